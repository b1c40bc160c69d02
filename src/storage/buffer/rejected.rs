//! Lines of a request that are not stored. All are counted, and so many are held as somebody is told of: a body may have a hundred
//! million bad ones, each a byte and its newline.

use crate::model::Timestamp;

/// Lines of each kind that are held, the first ones.
pub const HELD_MAX: usize = 100;
/// As much of a line as is held.
const TEXT_BYTES_MAX: usize = 1024;

/// Why a line was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// It is no line protocol, or breaks a rule on names.
    Unreadable,
    /// A field has another type already, or a name is both tag and field.
    TypeConflict,
    /// Older than the bucket keeps rows.
    Expired,
}

const KINDS: usize = 3;

/// One line that was refused while the others of its request were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedLine {
    /// Counted from 1.
    pub number: usize,
    /// The line; of a long one the beginning, and `...`.
    pub text: String,
    pub reason: String,
    pub kind: Rejected,
    /// The line's time, where it could be read.
    pub time: Option<Timestamp>,
}

impl RejectedLine {
    pub fn new(number: usize, text: &str, time: Option<Timestamp>, kind: Rejected, reason: String) -> RejectedLine {
        let shown = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let more = if shown.len() < text.len() { "..." } else { "" };
        RejectedLine { number, text: format!("{shown}{more}"), reason, kind, time }
    }
}

/// The lines of one request that were refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RejectedLines {
    kinds: [OfKind; KINDS],
    /// The oldest and the newest of those that have expired.
    expired: Option<(RejectedLine, RejectedLine)>,
    /// A bit for each number.
    numbers: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfKind {
    count: usize,
    /// In order of their numbers.
    first: Vec<RejectedLine>,
}

impl RejectedLines {
    /// Each line comes once, in any order.
    pub fn add(&mut self, line: RejectedLine) {
        let (word, bit) = place(line.number);
        self.numbers.resize(self.numbers.len().max(word + 1), 0);
        self.numbers[word] |= bit;
        if line.kind == Rejected::Expired {
            let (oldest, newest) = self.expired.get_or_insert_with(|| (line.clone(), line.clone()));
            if line.time < oldest.time {
                *oldest = line.clone();
            }
            if line.time >= newest.time {
                *newest = line.clone();
            }
        }
        let OfKind { count, first } = &mut self.kinds[line.kind as usize];
        *count += 1;
        let at = first.partition_point(|other| other.number < line.number);
        if at < HELD_MAX {
            first.truncate(HELD_MAX - 1);
            first.insert(at, line);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Of all of them.
    pub fn count(&self) -> usize {
        self.kinds.iter().map(|of| of.count).sum()
    }

    pub fn count_of(&self, kind: Rejected) -> usize {
        self.kinds[kind as usize].count
    }

    /// The first ones of a kind, in order of their numbers.
    pub fn of_kind(&self, kind: Rejected) -> &[RejectedLine] {
        &self.kinds[kind as usize].first
    }

    /// The first ones of all kinds, in order of their numbers.
    pub fn named(&self) -> Vec<&RejectedLine> {
        let mut all: Vec<&RejectedLine> = self.kinds.iter().flat_map(|of| &of.first).collect();
        all.sort_by_key(|line| line.number);
        all.truncate(HELD_MAX);
        all
    }

    pub fn first(&self) -> Option<&RejectedLine> {
        self.named().first().copied()
    }

    /// The oldest and the newest line of those that have expired.
    pub fn expired(&self) -> Option<(&RejectedLine, &RejectedLine)> {
        self.expired.as_ref().map(|(oldest, newest)| (oldest, newest))
    }

    /// Whether the line of that number is one of them.
    pub fn has(&self, number: usize) -> bool {
        let (word, bit) = place(number);
        self.numbers.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

/// Where the bit of a number is.
fn place(number: usize) -> (usize, u64) {
    (number / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, kind: Rejected, time: i64) -> RejectedLine {
        RejectedLine::new(number, &format!("line {number}"), Some(time), kind, String::new())
    }

    #[test]
    fn all_are_counted_and_the_first_are_held() {
        use Rejected::*;
        let mut lines = RejectedLines::default();
        // The even ones in order, then the odd ones against it.
        for number in (2..=100_000).step_by(2).chain((1..100_000).step_by(2).rev()) {
            lines.add(line(number, if number % 3 == 0 { Unreadable } else { TypeConflict }, 0));
        }
        assert_eq!((lines.count(), lines.count_of(Unreadable), lines.count_of(Expired)), (100_000, 33_333, 0));
        let numbers = |lines: &[RejectedLine]| lines.iter().map(|line| line.number).collect::<Vec<_>>();
        assert_eq!(numbers(lines.of_kind(Unreadable)), (3..=300).step_by(3).collect::<Vec<_>>());
        assert_eq!(numbers(lines.of_kind(TypeConflict)), (1..150).filter(|n| n % 3 > 0).collect::<Vec<_>>());
        assert!(lines.named().iter().map(|line| line.number).eq(1..=100));
        assert_eq!(lines.first().map(|line| line.text.as_str()), Some("line 1"));
        assert!((1..=100_000).all(|number| lines.has(number)) && !lines.has(0) && !lines.has(100_001) && !lines.has(1 << 40));
        assert_eq!((lines.expired(), lines.numbers.len()), (None, 100_000 / 64 + 1), "two hundred lines, and a bit for each of all");
    }

    #[test]
    fn of_those_that_have_expired_the_oldest_and_the_newest_are_held() {
        let mut lines = RejectedLines::default();
        for number in 1..=1_000 {
            lines.add(line(number, Rejected::Expired, [-7, 0, 9][number * 7 % 3]));
        }
        let (oldest, newest) = lines.expired().expect("some");
        assert_eq!((oldest.time, oldest.number, newest.time, newest.number), (Some(-7), 3, Some(9), 998), "the first, and the last");
    }

    #[test]
    fn a_long_line_is_held_by_its_beginning() {
        let held = |text: &str| RejectedLine::new(1, text, None, Rejected::Unreadable, String::new()).text;
        assert_eq!(held(&"x".repeat(1024)), "x".repeat(1024));
        assert_eq!(held(&format!("x{}", "\u{e9}".repeat(600))), format!("x{}...", "\u{e9}".repeat(511)));
    }
}
