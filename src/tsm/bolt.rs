//! Names of the buckets of InfluxDB 2.x, out of its `influxd.bolt` (bbolt 1.3; numbers little-endian).
//!
//! ```text
//! page       number u64, flags u16 (1 branch, 2 leaf, 4 meta), count u16, further pages u32, then by flags
//! meta       magic ED 0C DA ED, version u32 = 2, page length u32, flags u32, root bucket, 2 u64, transaction u64, FNV-1a u64
//! bucket     first page u64 (0: the page follows), sequence u64
//! branch     per child: place of the key u32, its length u32, page u64
//! leaf       per entry: flags u32 (1: a bucket), place u32, key length u32, value length u32
//! ```
//! Places count from the beginning of their own entry. Pages 0 and 1 are meta pages, the later transaction counts.

use super::{Damage, Unreadable, bytes::read_at};
use serde_json::Value;
use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
};

const PAGE_HEADER: usize = 16;
/// Where InfluxDB keeps a bucket's record, JSON by its id.
const BUCKETS: &[u8] = b"bucketsv1";
/// Takes key, value, and whether the value is a bucket, of an entry.
type Found<'a> = dyn FnMut(&[u8], &[u8], bool) + 'a;

/// A bucket of InfluxDB 2.x.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName {
    /// 16 hex digits, the name of its folder.
    pub id: String,
    pub name: String,
}

/// All buckets, in order of their ids.
pub fn buckets(path: &Path) -> Result<Vec<BucketName>, Unreadable> {
    let file = File::open(path).map_err(Unreadable::io(path))?;
    let length = file.metadata().map_err(Unreadable::io(path))?.len();
    let bolt = Bolt { path: path.into(), file, length, page_bytes: 0 };
    let (bolt, root) = bolt.newest()?;
    let damaged = |what: &str| Unreadable::Damaged { path: path.into(), offset: 0, what: what.into() };
    let mut found = None;
    bolt.walk(&root, &mut |key, value, is_bucket| {
        if is_bucket && key == BUCKETS {
            found = Some(value.to_vec());
        }
    })?;
    let found = found.ok_or_else(|| damaged("it has no buckets of InfluxDB 2.x"))?;
    let (mut out, mut unread) = (vec![], 0);
    bolt.walk(&found, &mut |_, value, _| match serde_json::from_slice::<Value>(value) {
        Ok(record) => {
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_string();
            out.push(BucketName { id: text("id"), name: text("name") });
        }
        Err(_) => unread += 1,
    })?;
    if unread > 0 {
        return Err(damaged("the record of a bucket is no JSON"));
    }
    Ok(out)
}

struct Bolt {
    path: PathBuf,
    file: File,
    length: u64,
    page_bytes: u64,
}

impl Bolt {
    /// The root bucket of the later of the two meta pages that are whole.
    fn newest(self) -> Result<(Bolt, Vec<u8>), Unreadable> {
        let first = self.meta(0)?;
        // Where the second one is says the first; when that is damaged, the usual length of a page has to do.
        let second = self.meta(first.as_ref().map_or(4096, |meta| meta.page_bytes))?;
        let newest = [first, second].into_iter().flatten().max_by_key(|meta| meta.transaction);
        let Some(newest) = newest else {
            let what = "it is no file of bolt's, or its first pages are damaged".into();
            return Err(Unreadable::Damaged { path: self.path, offset: 0, what });
        };
        Ok((Bolt { page_bytes: newest.page_bytes, ..self }, newest.root))
    }

    fn meta(&self, offset: u64) -> Result<Option<Meta>, Unreadable> {
        if offset.checked_add(80).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let page = self.bytes(offset, 80)?;
        Ok(Meta::of(&page[PAGE_HEADER..]))
    }

    fn bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
        read_at(&self.file, &self.path, offset, length)
    }

    /// A page with those that continue it.
    fn page(&self, number: u64) -> Result<Vec<u8>, Unreadable> {
        let offset = number.saturating_mul(self.page_bytes);
        let damaged = |what: &str| Unreadable::Damaged { path: self.path.clone(), offset, what: what.into() };
        let fits = |pages: u64| offset.checked_add(self.page_bytes.saturating_mul(pages)).is_some_and(|end| end <= self.length);
        if !fits(1) {
            return Err(damaged("a page behind the end of the file"));
        }
        let head = self.bytes(offset, PAGE_HEADER)?;
        let pages = 1 + u64::from(u32_at(&head, 12).map_err(|d| d.in_file(&self.path, offset))?);
        if !fits(pages) {
            return Err(damaged("a page that goes on behind the end of the file"));
        }
        self.bytes(offset, (self.page_bytes * pages) as usize)
    }

    /// Hands on key, value and whether it is a bucket, of each entry of a bucket, in order of keys.
    fn walk(&self, bucket: &[u8], found: &mut Found<'_>) -> Result<(), Unreadable> {
        let mut number = u64_at(bucket, 0).map_err(|d| d.in_file(&self.path, 0))?;
        let mut page = match number {
            0 => bucket.get(PAGE_HEADER..).unwrap_or_default().to_vec(),
            number => self.page(number)?,
        };
        let (mut todo, mut seen) = (vec![], HashSet::from([number]));
        loop {
            let damaged = |d: Damage| d.in_file(&self.path, number.saturating_mul(self.page_bytes));
            todo.extend(children(&page, found).map_err(damaged)?.into_iter().rev());
            let Some(next) = todo.pop() else { return Ok(()) };
            if !seen.insert(next) {
                return Err(damaged(Damage::new(0, format!("page {next} is met twice"))));
            }
            page = self.page(next)?;
            number = next;
        }
    }
}

/// The pages below a branch; the entries of a leaf are handed on.
fn children(page: &[u8], found: &mut Found<'_>) -> Result<Vec<u64>, Damage> {
    let (flags, count) = (u16_at(page, 8)?, usize::from(u16_at(page, 10)?));
    let mut places = (0..count).map(|i| PAGE_HEADER + i * 16);
    match flags & 3 {
        1 => places.map(|at| u64_at(page, at + 8)).collect(),
        2 => places.try_for_each(|at| entry(page, at).map(|(key, value, is_bucket)| found(key, value, is_bucket))).map(|()| vec![]),
        _ => Err(Damage::new(8, "neither a branch nor a leaf")),
    }
}

struct Meta {
    page_bytes: u64,
    root: Vec<u8>,
    transaction: u64,
}

impl Meta {
    /// `None` when the bytes are no whole meta page.
    fn of(meta: &[u8]) -> Option<Meta> {
        let checked = meta.get(..56)?;
        let fnv = checked.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        let page_bytes = u32_at(meta, 8).ok()?;
        let whole = u32_at(meta, 0).ok()? == 0xed0c_daed && u32_at(meta, 4).ok()? == 2 && u64_at(meta, 56).ok()? == fnv;
        let meta = Meta { page_bytes: page_bytes.into(), root: meta.get(16..32)?.into(), transaction: u64_at(meta, 48).ok()? };
        Some(meta).filter(|_| whole && page_bytes.is_power_of_two() && (512..=1 << 20).contains(&page_bytes))
    }
}

/// Key, value, and whether the value is a bucket, of the leaf entry at `at`.
fn entry(page: &[u8], at: usize) -> Result<(&[u8], &[u8], bool), Damage> {
    let number = |offset| u32_at(page, at + offset).map(|number| number as usize);
    let (flags, key_start, key_length, value_length) = (number(0)?, at + number(4)?, number(8)?, number(12)?);
    let key = page.get(key_start..key_start + key_length);
    let value = page.get(key_start + key_length..key_start + key_length + value_length);
    let out_of_page = || Damage::new(at, "an entry that reaches out of its page");
    Ok((key.ok_or_else(out_of_page)?, value.ok_or_else(out_of_page)?, flags & 1 != 0))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Damage> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().ok_or_else(|| Damage::new(at, "a page that breaks off"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Damage> {
    number(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Damage> {
    number(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Damage> {
    number(bytes, at).map(u64::from_le_bytes)
}
