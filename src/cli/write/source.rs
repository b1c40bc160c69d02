//! Where lines come from: arguments, files, URLs, stdin.

use super::{Batch, Compression, Format, InputArguments, Places, csv, pieces::Pieces};
use crate::{
    line_protocol::whole_lines,
    model::{Failure, Result},
};
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

pub struct Source {
    pub name: String,
    /// Length, where it is known before.
    pub bytes: Option<u64>,
    read: Box<dyn Read>,
    format: Format,
}

/// All sources, opened: a file that is not there is found out before anything is written.
pub fn all(input: &InputArguments) -> Result<Vec<Source>> {
    let mut sources = vec![];
    let mut lines = vec![];
    for argument in &input.lines {
        match (argument.as_str(), argument.strip_prefix('@')) {
            ("-", _) => sources.push(stdin(input)),
            (_, Some(path)) => sources.push(file(Path::new(path), input)?),
            (line, None) => lines.push(line.to_string()),
        }
    }
    if !lines.is_empty() {
        let text = lines.join("\n") + "\n";
        let bytes = Some(text.len() as u64);
        sources.push(source("arguments".into(), Box::new(Cursor::new(text.into_bytes())), bytes, Compression::None, input));
    }
    for path in &input.file {
        sources.push(file(path, input)?);
    }
    for url in &input.url {
        let answer = reqwest::blocking::get(url).and_then(reqwest::blocking::Response::error_for_status);
        let answer = answer.map_err(|e| Failure::invalid(format!("failed to read from \"{url}\": {e}")))?;
        let bytes = answer.content_length();
        sources.push(source(url.clone(), Box::new(answer), bytes, compression(url), input));
    }
    if sources.is_empty() {
        sources.push(stdin(input));
    }
    Ok(sources)
}

fn stdin(input: &InputArguments) -> Source {
    source("stdin".into(), Box::new(std::io::stdin()), None, Compression::None, input)
}

fn file(path: &Path, input: &InputArguments) -> Result<Source> {
    let name = path.to_string_lossy().into_owned();
    let file = File::open(path).map_err(|e| Failure::invalid(format!("failed to open \"{name}\": {e}")))?;
    let packed = compression(&name);
    let bytes = file.metadata().ok().map(|m| m.len()).filter(|_| packed == Compression::None);
    Ok(source(name, Box::new(file), bytes, packed, input))
}

fn compression(name: &str) -> Compression {
    if name.ends_with(".gz") { Compression::Gzip } else { Compression::None }
}

fn source(name: String, read: Box<dyn Read>, bytes: Option<u64>, packed: Compression, input: &InputArguments) -> Source {
    let read = match input.compression.unwrap_or(packed) {
        Compression::None => read,
        Compression::Gzip => Box::new(MultiGzDecoder::new(read)),
    };
    let is_csv = name.trim_end_matches(".gz").ends_with(".csv");
    let format = input.format.unwrap_or(if is_csv { Format::Csv } else { Format::Lp });
    Source { name, bytes, read, format }
}

/// The lines of a source, in batches.
pub fn batches(source: Source, input: &InputArguments) -> Result<Box<dyn Iterator<Item = Result<Batch>>>> {
    let Source { name, read, format, .. } = source;
    let boundary = if format == Format::Csv { csv::whole_records } else { whole_lines };
    let pieces = Pieces::new(name.clone(), read, boundary, input.max_line_length, input.skip_header)?;
    let headers: String = input.header.iter().map(|line| format!("{line}\n")).collect();
    if format == Format::Lp {
        let before = (!headers.is_empty()).then(|| batch(&name, headers.into_bytes(), Places::From(0), 0));
        let rest = pieces.map(move |piece| piece.map(|p| batch(&name, p.bytes, Places::From(p.first_line), p.source_bytes)));
        return Ok(Box::new(before.into_iter().map(Ok).chain(rest)));
    }
    let mut converter = csv::Converter::new(input.skip_row_on_error);
    converter.convert(&headers, 0).map_err(|f| f.context("--header"))?;
    Ok(Box::new(pieces.map(move |piece| {
        let piece = piece?;
        let text = std::str::from_utf8(&piece.bytes).map_err(|e| Failure::invalid(format!("{name}: the text is not UTF-8: {e}")))?;
        let (body, places) = converter.convert(text, piece.first_line).map_err(|f| f.context(&name))?;
        Ok(batch(&name, body.into_bytes(), Places::Each(places), piece.source_bytes))
    })))
}

fn batch(source: &str, body: Vec<u8>, places: Places, source_bytes: usize) -> Batch {
    Batch { body, source: source.into(), places, source_bytes }
}
