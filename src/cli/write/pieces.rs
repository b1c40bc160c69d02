//! A source cut into pieces of whole lines.

use crate::model::{ErrorKind, Failure, Result};
use std::io::Read;

/// Bytes of a piece, which becomes one request.
const PIECE_BYTES: usize = 1 << 20;

pub struct Piece {
    pub bytes: Vec<u8>,
    /// Counted from 1.
    pub first_line: usize,
    /// As `bytes.len()`, but the first piece counts what was skipped too.
    pub source_bytes: usize,
}

pub struct Pieces {
    name: String,
    read: Box<dyn Read>,
    /// How many bytes of a text that may go on are whole lines.
    boundary: fn(&[u8]) -> usize,
    line_bytes_max: usize,
    buffer: Vec<u8>,
    line: usize,
    skipped: usize,
    ended: bool,
}

impl Pieces {
    /// `skip_lines` lines are left out at the beginning.
    pub fn new(
        name: String,
        read: Box<dyn Read>,
        boundary: fn(&[u8]) -> usize,
        line_bytes_max: usize,
        skip_lines: usize,
    ) -> Result<Pieces> {
        let mut pieces = Pieces { name, read, boundary, line_bytes_max, buffer: vec![], line: 1, skipped: 0, ended: false };
        while pieces.line <= skip_lines {
            match memchr::memchr(b'\n', &pieces.buffer) {
                Some(at) => {
                    pieces.buffer.drain(..=at);
                    pieces.skipped += at + 1;
                    pieces.line += 1;
                }
                None if pieces.ended => {
                    pieces.buffer.clear();
                    break;
                }
                None => pieces.fill(PIECE_BYTES)?,
            }
        }
        Ok(pieces)
    }

    fn fill(&mut self, bytes: usize) -> Result<()> {
        let failed = |e: std::io::Error| Failure::new(ErrorKind::Invalid, format!("failed to read {}: {e}", self.name));
        let read = self.read.by_ref().take(bytes as u64).read_to_end(&mut self.buffer).map_err(failed)?;
        self.ended = read < bytes;
        Ok(())
    }

    fn cut(&mut self, at: usize) -> Piece {
        let rest = self.buffer.split_off(at);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let first_line = self.line;
        self.line += memchr::memchr_iter(b'\n', &bytes).count();
        let source_bytes = bytes.len() + std::mem::take(&mut self.skipped);
        Piece { bytes, first_line, source_bytes }
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Result<Piece>> {
        loop {
            if !self.ended
                && self.buffer.len() < PIECE_BYTES
                && let Err(failure) = self.fill(PIECE_BYTES - self.buffer.len())
            {
                self.ended = true;
                self.buffer.clear();
                return Some(Err(failure));
            }
            if self.ended {
                let rest = self.buffer.len();
                return (rest > 0).then(|| Ok(self.cut(rest)));
            }
            match (self.boundary)(&self.buffer) {
                0 if self.buffer.len() > self.line_bytes_max => {
                    self.ended = true;
                    self.buffer.clear();
                    let (line, max) = (self.line, self.line_bytes_max);
                    let message = format!("{} line {line}: the line is longer than {max} bytes (--max-line-length)", self.name);
                    return Some(Err(Failure::invalid(message)));
                }
                0 => {
                    if let Err(failure) = self.fill(PIECE_BYTES) {
                        return Some(Err(failure));
                    }
                }
                at => return Some(Ok(self.cut(at))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line_protocol::whole_lines;

    fn pieces(text: &[u8], skip: usize) -> Vec<(usize, usize)> {
        let read = Box::new(std::io::Cursor::new(text.to_vec()));
        let pieces = Pieces::new("test".into(), read, whole_lines, 16 << 20, skip).expect("readable");
        pieces.map(|p| p.expect("readable")).map(|p| (p.first_line, p.bytes.len())).collect()
    }

    #[test]
    fn pieces_are_whole_lines_and_know_their_place() {
        let line = "m,t=a v=1 1\n";
        let text = line.repeat(200_000);
        let found = pieces(text.as_bytes(), 0);
        assert_eq!(found.iter().map(|(_, bytes)| bytes).sum::<usize>(), text.len());
        for window in found.windows(2) {
            assert_eq!(window[1].0 - window[0].0, window[0].1 / line.len(), "whole lines");
        }
        assert_eq!(pieces(b"a\nb\nm v=1", 2), [(3, 5)]);
        assert_eq!(pieces(b"a\nb", 2), []);
        assert_eq!(pieces(b"", 0), []);
    }

    #[test]
    fn a_string_with_newlines_is_not_cut() {
        let long = format!("m v=\"{}\" 1\n", "text\n".repeat(300_000));
        let text = format!("m v=1 1\n{long}m v=2 2\n");
        let found = pieces(text.as_bytes(), 0);
        assert_eq!(found, [(1, 8), (2, long.len() + 8)], "the string and what follows");
    }

    #[test]
    fn a_line_past_the_limit_is_refused() {
        let read = Box::new(std::io::Cursor::new(vec![b'x'; 3 << 20]));
        let mut pieces = Pieces::new("test".into(), read, whole_lines, 1000, 0).expect("readable");
        assert!(pieces.next().expect("a failure").err().expect("too long").message.contains("--max-line-length"));
        assert!(pieces.next().is_none());
    }
}
