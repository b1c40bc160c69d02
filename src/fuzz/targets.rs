//! What is fuzzed. Each function takes any bytes, and panics when something is wrong: a promise is broken, or the code under it panics.

use crate::{
    flux,
    format::annotated_csv::{CsvTable, Dialect, decode, decode_raw, encode_tables, parse_layout},
    http::predicate,
    influxql,
    line_protocol::{Parser, escape, parse_series, whole_lines, write::push_series_tags, write_point},
    memory::Share,
    model::{
        BucketId, FieldType, MeasurementSchema, Precision,
        time::{parse_rfc3339, rfc3339, rfc3339_full},
    },
    sql,
    storage::{
        buffer::{Conflicts, RejectedLines, Staged, stage},
        fs::{FileSystem, LogFile},
        manifest::{FileMeta, Version},
        parquet::{decimal::Decimals, file::inspect, writer::FileWriter},
        wal::{self, Record, frame},
    },
    tsm,
};
use arrow::{
    array::{Array, RecordBatch},
    csv::ReaderBuilder,
    util::{display::array_value_to_string, pretty},
};
use bytes::Bytes;
use std::{collections::BTreeMap, io, ops::Range, path::Path, sync::Arc};

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// What cannot be kept as text.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Put in by mutations.
    pub words: &'static [&'static str],
    /// Mutations in the short form.
    pub short_runs: u32,
}

fn none() -> Vec<Vec<u8>> {
    vec![]
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "line_protocol",
        run: line_protocol,
        seeds: none,
        words: &[
            "m",
            ",t=v",
            " f=1",
            " f=1i",
            "f=1u",
            "=\"a\"",
            "\\\"",
            "\\,",
            "\\ ",
            "\\=",
            "\\\\",
            "\n",
            " 1700000000000000000",
            "true",
            "1e308",
            "#",
        ],
        short_runs: 300,
    },
    Target {
        name: "flux",
        run: flux_script,
        seeds: none,
        words: &[
            "from(bucket: \"b\")",
            " |> ",
            "range(start: -1h)",
            "(r) => ",
            "r._value",
            "r[\"x\"]",
            "import \"math\"\n",
            "option ",
            "if ",
            " then ",
            " else ",
            " and ",
            " or ",
            "not ",
            "exists ",
            "[1, 2]",
            "{a: 1}",
            "{r with b: 2}",
            "[\"a\": 1]",
            "1h30m",
            "2020-01-01T00:00:00Z",
            "/a.b/",
            "=~",
            "\"${x}\"",
            "\\x41",
            "// c\n",
            "builtin a : (x: A) => B where A: Number",
            "return ",
            "testcase t {",
            "package p\n",
            "@a(1)\n",
            "^",
            "%",
            ".5",
            "0.",
            "1_000",
            "{ ",
            " }",
            "(a=<-, b=1) => ",
        ],
        short_runs: 100,
    },
    Target {
        name: "influxql",
        run: influxql_query,
        seeds: none,
        words: &[
            "SELECT ",
            " FROM ",
            " WHERE ",
            " GROUP BY ",
            "time(1m)",
            " fill(previous)",
            " ORDER BY time DESC",
            " LIMIT 1",
            " SLIMIT 1",
            " OFFSET 1",
            " tz('UTC')",
            "mean(f)",
            "*",
            "/a.b/",
            "::tag",
            "::float",
            " AND ",
            " OR ",
            "=~",
            "!~",
            "'2020-01-01'",
            "now()",
            "1h30m",
            "SHOW ",
            "TAG VALUES ",
            "WITH KEY IN (",
            " INTO ",
            ":MEASUREMENT",
            "\"a\"",
            "$x",
            "; ",
            "(",
            ")",
            "DELETE ",
            "DROP SERIES ",
            "CREATE DATABASE ",
            " NAME ",
            "GRANT ",
        ],
        short_runs: 150,
    },
    Target {
        name: "sql",
        run: sql_query,
        seeds: none,
        words: &[
            "SELECT ",
            " FROM ",
            " WHERE ",
            " GROUP BY ",
            " JOIN ",
            " ON ",
            "WITH a AS (",
            " UNION ALL ",
            "CASE WHEN ",
            " THEN ",
            " ELSE ",
            " END",
            "::int",
            "CAST(a AS int)",
            " IS NULL",
            " BETWEEN ",
            " IN (",
            " EXISTS (",
            "date_bin(",
            "INTERVAL '1 hour'",
            " OVER (PARTITION BY ",
            "ARRAY[",
            "{a: 1}",
            "x -> x",
            "NOT ",
            "- ",
            "DELETE FROM ",
            "EXPLAIN ",
            "SHOW TABLES",
            "$a",
            "'",
            "\"",
            "/*",
            "*/",
            "--",
            " LIKE ",
            " AT TIME ZONE ",
            "||",
        ],
        short_runs: 150,
    },
    Target {
        name: "delete_predicate",
        run: delete_predicate,
        seeds: none,
        words: &[
            "_measurement=",
            "_field=",
            "_value>",
            "\"a\"",
            "'b'",
            " AND ",
            " and ",
            "!=",
            "(",
            ")",
            "1.5",
            "-1",
            "true",
            "\\",
            "==",
            "=~",
            " OR ",
        ],
        short_runs: 500,
    },
    Target {
        name: "annotated_csv",
        run: annotated_csv,
        seeds: none,
        words: &[
            "#datatype,string,long,dateTime:RFC3339,double",
            "#group,false,false,true,false",
            "#default,_result,,,",
            ",result,table,_time,_value",
            "\r\n",
            ",,0,2020-01-01T00:00:00Z,1.5",
            "\"a\"\"b\"",
            "unsignedLong",
            "boolean",
            "duration",
            "base64Binary",
            "error,reference",
            "NaN",
            "+Inf",
            ",",
            "\"",
        ],
        short_runs: 300,
    },
    Target {
        name: "time",
        run: time,
        seeds: none,
        words: &[
            "2006-01-02T15:04:05.999999999Z07:00",
            "Monday",
            "Jan",
            "_2",
            "+01:00",
            "-0001",
            "23:59:60",
            "Z",
            "T",
            ".5",
            "PM",
            "MST",
            "\n",
        ],
        short_runs: 500,
    },
    Target { name: "wal", run: log, seeds: logs, words: &["TGR1"], short_runs: 500 },
    Target {
        name: "manifest",
        run: manifest,
        seeds: manifests,
        words: &["\"files\":[", "\"number\":", "null", "{", "}", "18446744073709551616"],
        short_runs: 300,
    },
    Target { name: "parquet", run: parquet, seeds: parquet_files, words: &["PAR1", "tidegauge.file"], short_runs: 200 },
    Target { name: "tsm_block", run: tsm_block, seeds: tsm_blocks, words: &[], short_runs: 500 },
    Target { name: "tsm_file", run: tsm_file, seeds: tsm_files, words: &["\x16\u{1}", "#!~#"], short_runs: 100 },
];

type Points = Vec<(String, Vec<(String, String)>, Vec<(String, String)>, i64)>;

/// Good lines as understood.
fn points(body: &[u8]) -> Points {
    let mut parser = Parser::new(body, Precision::Nanosecond, 7);
    let (mut fields, mut out) = (vec![], vec![]);
    while let Some(line) = parser.next(&mut fields) {
        let Ok(line) = line else { continue };
        let Ok(series) = parse_series(line.series) else { continue };
        let tags = series.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let fields = fields.iter().map(|f| (escape::key(f.key).into_owned(), format!("{:?}", f.value))).collect();
        out.push((series.measurement.to_string(), tags, fields, line.time));
    }
    out
}

/// Lines read the same when they come in two pieces, when they are written again, and when the log has those that were accepted.
fn line_protocol(body: &[u8]) {
    let whole = points(body);
    let at = whole_lines(&body[..body.len() / 2]);
    let mut pieces = points(&body[..at]);
    pieces.extend(points(&body[at..]));
    assert_eq!(pieces, whole, "cut at {at}");

    let mut parser = Parser::new(body, Precision::Nanosecond, 7);
    let (mut fields, mut written) = (vec![], String::new());
    while let Some(line) = parser.next(&mut fields) {
        let Ok(line) = line else { continue };
        let Ok(series) = parse_series(line.series) else { continue };
        let tags = || series.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
        let (mut text, mut expected) = (String::new(), String::new());
        series.push_tags(&mut text);
        push_series_tags(&mut expected, tags());
        assert_eq!(text, expected, "tags of {}", line.series);
        let names: Vec<_> = fields.iter().map(|f| escape::key(f.key)).collect();
        let values = names.iter().zip(&fields).map(|(name, f)| (name.as_ref(), f.value.clone()));
        assert!(write_point(&mut written, &series.measurement, tags(), values, Some(line.time)), "a line has fields");
    }
    assert_eq!(points(written.as_bytes()), whole, "written again: {written}");

    // Also by a replay that does not know the schema that they were staged by.
    let quarantine = Conflicts::Quarantine { write: 7, memory: Share::new("requests", usize::MAX) };
    for conflicts in [Conflicts::Reject, Conflicts::Coerce, quarantine] {
        let staged = stage(body, Precision::Nanosecond, 7, None, conflicts, |m| (m == "m").then(|| Arc::new(schema())));
        let logged = staged.log_text(body);
        let again = stage(&logged, Precision::Nanosecond, 7, None, Conflicts::Reject, |_| None);
        assert_eq!(
            (&again.rejected, stored(&again)),
            (&RejectedLines::default(), stored(&staged)),
            "of the log: {}",
            String::from_utf8_lossy(&logged)
        );
    }
}

/// Every row with its values.
fn stored(staged: &Staged) -> Vec<String> {
    let mut rows = vec![];
    for table in &staged.tables {
        for (row, (series, time)) in table.rows.iter().zip(&table.times).enumerate() {
            let mut text = format!("{} {} {time}", table.measurement, table.series.get(*series as usize).expect("a series"));
            for (name, field_type, column) in table.columns.iter().filter(|(_, _, column)| column.is_valid(row)) {
                text += &format!(" {name}={field_type}:{}", array_value_to_string(column, row).expect("it prints"));
            }
            rows.push(text);
        }
    }
    rows.sort();
    rows
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What is printed of a statement reads as the same statement. (Blocks are left out: printed on one line their statements run together. So
/// are functions whose body is a record, which are printed without the parentheses that would tell it from a block.)
fn flux_script(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(file) = flux::parse_file(text) else { return };
    let _ = flux::semantic::check(&file, std::iter::empty::<&str>());
    for statement in &file.body {
        let printed = statement.to_string();
        if printed.contains("{ ") || printed.contains("=> {") {
            continue;
        }
        let again = flux::parse_file(&printed).unwrap_or_else(|e| panic!("{printed}: {}", e.message));
        assert_eq!(again.body.iter().map(|s| s.to_string()).collect::<Vec<_>>(), [printed]);
    }
}

/// What is printed of a query reads as the same query.
fn influxql_query(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(query) = influxql::parse::query(text, None) else { return };
    let printed = query.to_string();
    let again = influxql::parse::query(&printed, None).unwrap_or_else(|e| panic!("{printed}: {}", e.message));
    assert_eq!(again, query, "{printed}");
}

/// What is not refused for its depth has room on the stack.
fn sql_query(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(statement) = sql::read(text) {
        let _ = statement.to_string();
    }
}

/// A predicate of tags names the same when it is written anew.
fn delete_predicate(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(found) = predicate::parse(text) else { return };
    if !found.values.is_empty() {
        return;
    }
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let measurement = found.measurement.iter().map(|m| format!("_measurement = {}", quoted(m)));
    let tags = found.tags.iter().map(|t| format!("{} {} {}", quoted(&t.tag), if t.equal { "=" } else { "!=" }, quoted(&t.value)));
    let written = measurement.chain(tags).collect::<Vec<_>>().join(" AND ");
    let again = predicate::parse(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
    assert_eq!(format!("{again:?}"), format!("{found:?}"), "{written}");
}

/// Tables that were written come back as they are when they are read and written again. (What was read first may be less sound: rows of
/// one table with different keys, say.)
fn annotated_csv(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = decode_raw(text);
    let Ok(tables) = decode(text) else { return };
    let written = |tables: &[CsvTable]| {
        let bytes = encode_tables(tables, Dialect::annotated()).expect("what was read can be written");
        String::from_utf8(bytes).expect("text")
    };
    let print = |tables: &[CsvTable]| -> Vec<(Vec<String>, String)> {
        let print = |table: &CsvTable| pretty::pretty_format_batches(std::slice::from_ref(&table.batch)).expect("printable").to_string();
        tables.iter().map(|table| (table.key.clone(), print(table))).collect()
    };
    let read = |text: &str| decode(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let once = written(&tables);
    let again = read(&once);
    let rows = |tables: &[CsvTable]| tables.iter().map(|table| table.batch.num_rows()).sum::<usize>();
    assert_eq!(rows(&again), rows(&tables), "{once}");
    let twice = written(&again);
    assert_eq!(print(&read(&twice)), print(&again), "{twice}");
}

/// A time is read as it is written. Behind a newline stands what is read by the layout before it.
fn time(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Some(time) = parse_rfc3339(text) {
        assert_eq!((parse_rfc3339(&rfc3339(time)), parse_rfc3339(&rfc3339_full(time))), (Some(time), Some(time)));
    }
    if let Some((layout, text)) = text.split_once('\n') {
        let _ = parse_layout(layout, text);
    }
    let _ = flux::pattern::compile(text);
}

/// Segments of a log in memory.
#[derive(Default)]
struct Segments(BTreeMap<String, Vec<u8>>);

impl FileSystem for Segments {
    fn create(&self, _: &str) -> io::Result<Box<dyn LogFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn renew(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes numbers from the front of an input; at its end there are zeros.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> usize {
        let first = self.0.first().copied().unwrap_or(0);
        self.0 = self.0.get(1..).unwrap_or_default();
        first.into()
    }

    fn below(&mut self, end: usize) -> usize {
        (self.byte() << 8 | self.byte()) % end.max(1)
    }
}

/// Writes a log that the input says, damages it as the input says, and reads it: whatever was not touched is found, as it was written,
/// and nothing else. Then it reads the input itself as a segment, and as a record whose checksum is right.
fn log(bytes: &[u8]) {
    let mut numbers = Numbers(bytes);
    let (mut log, mut written): (Segments, Vec<(String, Range<usize>, Record)>) = Default::default();
    let mut sequence = 1 + numbers.byte() as u64;
    for _ in 0..1 + numbers.byte() % 3 {
        let name = format!("{sequence:016x}.wal");
        let mut segment = frame::beginning(sequence - 1, 1);
        for _ in 0..numbers.byte() % 6 {
            let length = numbers.byte();
            let (text, rest) = numbers.0.split_at(length.min(numbers.0.len()));
            let record =
                Record { sequence, bucket: BucketId::new(sequence % 3 + 1).expect("not zero"), unit_ns: 1, now: 5, text: text.into() };
            let mut framed = frame::encode(record.bucket, record.unit_ns, record.now, &record.text);
            frame::seal(&mut framed, sequence);
            written.push((name.clone(), segment.len()..segment.len() + framed.len(), record));
            segment.extend(framed);
            (sequence, numbers) = (sequence + 1, Numbers(rest));
        }
        log.0.insert(name, segment);
        sequence += numbers.byte() as u64 % 2;
    }
    for _ in 0..numbers.byte() % 4 {
        let at = numbers.below(log.0.len());
        let Some((name, segment)) = log.0.iter_mut().nth(at) else { break };
        let (name, length) = (name.clone(), segment.len());
        let at = numbers.below(length);
        let end = (at + 1 + numbers.below(64)).min(length);
        match numbers.byte() % 5 {
            0 => segment.truncate(at),
            1 => segment[at..end].fill(0),
            2 => segment[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(numbers.byte() as u8 | 1)),
            3 => drop(log.0.remove(&name)),
            _ => {
                let copy = segment.clone();
                log.0.insert(format!("{:016x}.wal", numbers.byte()), copy);
            }
        }
        if log.0.is_empty() {
            break;
        }
    }
    let mut found = vec![];
    wal::replay(&log, |record| found.push(record)).expect("memory can be read");
    for (name, place, record) in &written {
        let there = log.0.get(name).and_then(|segment| frame::decode(segment.get(place.clone())?));
        if there.is_some_and(|(frame, _)| frame == frame::Frame::Lines(record.clone())) {
            assert!(found.contains(record), "{record:?} in {name} at {place:?}");
        }
    }
    assert!(found.iter().all(|record| written.iter().any(|(_, _, w)| w == record)), "nothing else is found");

    let raw = Segments([("0000000000000001.wal".to_string(), bytes.to_vec())].into());
    wal::replay(&raw, |_| ()).expect("memory can be read");
    if bytes.len() >= frame::HEADER_BYTES {
        let mut sealed = bytes.to_vec();
        sealed[..4].copy_from_slice(frame::MAGIC);
        let length = (sealed.len() - frame::HEADER_BYTES) as u32;
        sealed[44..48].copy_from_slice(&length.to_le_bytes());
        let sequence = u64::from(sealed[8]);
        frame::seal(&mut sealed, sequence);
        if let Some((frame::Frame::Lines(record), length)) = frame::decode(&sealed) {
            assert_eq!(length, sealed.len());
            let mut again = frame::encode(record.bucket, record.unit_ns, record.now, &record.text);
            frame::seal(&mut again, sequence);
            assert_eq!(frame::decode(&again), Some((frame::Frame::Lines(record), again.len())));
        }
    }
}

fn logs() -> Vec<Vec<u8>> {
    let mut sealed = frame::encode(BucketId::new(1).expect("not zero"), 1, 5, b"m f=1 1");
    frame::seal(&mut sealed, 3);
    vec![b"\x01\x02\x03\x07m f=1 1\x07m f=2 2\x07m f=3 3\0\x02\x07m f=4 4\x07m f=5 5\0\x01\0\x01\0\x50\0\x10\x02".to_vec(), sealed]
}

/// A version that reads is written and read as the same; also when the header fits whatever the body is.
fn manifest(bytes: &[u8]) {
    let mut sealed = b"TGMANIF\n\x01\0\0\0".to_vec();
    sealed.extend(crc32c::crc32c(bytes).to_le_bytes());
    sealed.extend((bytes.len() as u64).to_le_bytes());
    sealed.extend(bytes);
    for bytes in [bytes, sealed.as_slice()] {
        if let Ok(version) = Version::decode(bytes) {
            assert_eq!(Version::decode(&version.encode()), Ok(version));
        }
    }
}

fn schema() -> MeasurementSchema {
    let mut schema = MeasurementSchema::new("m");
    schema.add_tag("h");
    schema.fields.insert("f".into(), FieldType::Float);
    schema
}

fn manifests() -> Vec<Vec<u8>> {
    let mut version = Version::empty(BucketId::new(7).expect("not zero"));
    version.schemas.insert("m".into(), Arc::new(schema()));
    version.number = 3;
    version.files.push(Arc::new(FileMeta { key_min: vec![("h".into(), "a".into())], ..FileMeta::draft(version.bucket, "m".into(), 0, 5) }));
    let bytes = version.encode().to_vec();
    vec![bytes[24..].to_vec(), bytes]
}

/// What a file says of itself is read without trust: the next start looks at files that no manifest vouches for.
fn parquet(bytes: &[u8]) {
    if let Ok((footer, damage)) = inspect(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(footer.file.bytes, bytes.len() as u64);
        assert!(damage.is_some() || footer.file.checksum == crc32c::crc32c(bytes));
    }
}

fn parquet_files() -> Vec<Vec<u8>> {
    let schema = schema();
    let bucket = BucketId::new(7).expect("not zero");
    let mut writer = FileWriter::new(bucket, &schema, Decimals::default(), FileMeta::draft(bucket, "m".into(), 0, 5)).expect("a writer");
    let layout = schema.arrow_schema();
    let text = "1970-01-01T00:00:00.000000001,a,1.5\n1970-01-01T00:00:00.000000002,b,2.5\n";
    let plain = arrow::datatypes::Schema::new(
        layout.fields().iter().map(|f| arrow::datatypes::Field::new(f.name(), plain(f.data_type()), true)).collect::<Vec<_>>(),
    );
    let mut rows = ReaderBuilder::new(Arc::new(plain)).build(text.as_bytes()).expect("a reader");
    let rows = rows.next().expect("rows").expect("read");
    let columns = rows.columns().iter().zip(layout.fields()).map(|(c, f)| arrow::compute::cast(c, f.data_type()).expect("cast")).collect();
    writer.write(&RecordBatch::try_new(layout, columns).expect("rows of the layout")).expect("written");
    vec![writer.finish().expect("finished").0.to_vec()]
}

fn plain(of: &arrow::datatypes::DataType) -> arrow::datatypes::DataType {
    match of {
        arrow::datatypes::DataType::Dictionary(..) => arrow::datatypes::DataType::Utf8,
        other => other.clone(),
    }
}

/// No count that a block claims is believed.
fn tsm_block(bytes: &[u8]) {
    if let Ok(values) = tsm::block::decode(bytes) {
        assert!(values.len() <= tsm::block::VALUES_MAX);
    }
}

/// Files of InfluxDB 1.6.7, and their blocks.
fn tsm_paths() -> Vec<std::path::PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() { walk(&path, out) } else { out.push(path) }
        }
    }
    let mut out = vec![];
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tsm/v1"), &mut out);
    out
}

fn tsm_blocks() -> Vec<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> = vec![];
    for path in tsm_paths().iter().filter(|path| path.extension().is_some_and(|e| e == "tsm")) {
        let Ok(mut file) = tsm::file::TsmFile::open(path) else { continue };
        let bytes = std::fs::read(path).expect("read");
        while let Ok(Some(indexed)) = file.next_key() {
            for entry in indexed.entries {
                let block = &bytes[entry.offset as usize + 4..(entry.offset + u64::from(entry.bytes)) as usize];
                // One of each kind of values and times is enough.
                let is_new = |known: &Vec<u8>| known.get(..3) != block.get(..3);
                if block.len() < 400 && blocks.iter().all(is_new) {
                    blocks.push(block.to_vec());
                }
            }
        }
    }
    blocks
}

const KINDS: [&str; 4] = ["tsm", "wal", "tombstone", "bolt"];

/// Whatever an index, a log, tombstones or a bolt file say, it is read or refused. The first byte says which it is; behind a TSM file
/// its blocks are read, too.
fn tsm_file(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("000000001-000000001.{kind}"));
    std::fs::write(&path, bytes).expect("written");
    match kind {
        "tsm" => read_tsm(&path),
        "wal" => drop(tsm::wal::Wal::read(&[path])),
        "tombstone" => {
            let sound = tsm_paths().into_iter().find(|path| path.extension().is_some_and(|e| e == "tsm")).expect("a file");
            let path = path.with_extension("tsm");
            std::fs::copy(sound, &path).expect("copied");
            read_tsm(&path);
        }
        _ => drop(tsm::bolt::buckets(&path)),
    }
}

fn read_tsm(path: &Path) {
    let Ok(mut file) = tsm::file::TsmFile::open(path) else { return };
    let blocks = file.blocks();
    while let Ok(Some(indexed)) = file.next_key() {
        file.deleted(&indexed.key);
        for entry in &indexed.entries {
            if let Ok(values) = blocks.read(entry) {
                assert!(values.is_sorted_by(|a, b| a.time < b.time));
            }
        }
    }
}

fn tsm_files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = vec![];
    for path in tsm_paths() {
        let kind = KINDS.iter().position(|kind| path.extension().is_some_and(|e| e == *kind));
        let bytes = std::fs::read(&path).expect("read");
        if let Some(kind) = kind
            && bytes.len() < 4_000
        {
            files.push([vec![kind as u8], bytes].concat());
        }
    }
    let bolt = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tsm/v2.bolt.gz")).expect("a file");
    let mut bytes = vec![3];
    io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bolt), &mut bytes).expect("unpacked");
    files.push(bytes);
    files
}
