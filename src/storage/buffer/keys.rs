//! The series of a table by place.

use std::{ops::Index, sync::Arc};

/// Tag sets in canonical form. Only ever appended to. A copy costs next to nothing and stays as it is: readers sort by one for as long as
/// that takes, and no write waits for them.
#[derive(Debug, Clone, Default)]
pub struct SeriesKeys {
    /// Of [`PIECE`] keys each.
    full: Arc<Vec<Arc<Vec<Arc<str>>>>>,
    last: Arc<Vec<Arc<str>>>,
}

/// What a write copies at most when somebody has a copy.
const PIECE: usize = 1024;

impl SeriesKeys {
    pub fn count(&self) -> usize {
        self.full.len() * PIECE + self.last.len()
    }

    pub fn push(&mut self, key: Arc<str>) {
        Arc::make_mut(&mut self.last).push(key);
        if self.last.len() == PIECE {
            Arc::make_mut(&mut self.full).push(std::mem::take(&mut self.last));
        }
    }

    /// Whether they are the same ones, and in the same memory.
    #[cfg(test)]
    pub fn is_shared(&self, other: &SeriesKeys) -> bool {
        Arc::ptr_eq(&self.full, &other.full) && Arc::ptr_eq(&self.last, &other.last)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.full.iter().chain([&self.last]).flat_map(|piece| piece.iter())
    }
}

impl Index<usize> for SeriesKeys {
    type Output = Arc<str>;

    fn index(&self, place: usize) -> &Arc<str> {
        &self.full.get(place / PIECE).unwrap_or(&self.last)[place % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_as_they_were() {
        let text = |place: usize| format!("id={place}");
        let (mut keys, mut copies) = (SeriesKeys::default(), vec![]);
        for place in 0..3 * PIECE + 5 {
            if place % 500 == 0 || place % PIECE < 2 {
                copies.push((place, keys.clone()));
            }
            keys.push(text(place).into());
        }
        for (len, copy) in copies.into_iter().chain([(3 * PIECE + 5, keys)]) {
            assert_eq!(copy.count(), len);
            assert!(copy.iter().map(AsRef::as_ref).eq((0..len).map(text)));
            assert!((0..len).all(|place| *copy[place] == *text(place)));
        }
    }
}
