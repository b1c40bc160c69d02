//! Keys of TSM files and logs: `measurement,tag=value#!~#field`. The series is escaped as in line protocol, the field is
//! not escaped at all (InfluxDB 1.x, and 2.x from its first release on).

/// Stands between a series and a field.
pub const SEPARATOR: &[u8] = b"#!~#";

/// Series and field; `None` when the key has no separator. The first one divides, as it does in InfluxDB.
pub fn split(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::find(key, SEPARATOR)?;
    Some((&key[..at], &key[at + SEPARATOR.len()..]))
}
