//! Many short texts in one piece of memory.

/// Texts in a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Adds what is appended to the text that is handed in; the place of the new one.
    pub fn push(&mut self, append: impl FnOnce(&mut String)) -> usize {
        append(&mut self.all);
        self.ends.push(self.all.len());
        self.ends.len() - 1
    }

    /// Takes the last one away.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.all.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.all[begin..end])
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_apart() {
        let mut texts = Texts::default();
        for text in ["a=1", "", "b=2,c=\u{e4}"] {
            texts.push(|all| all.push_str(text));
        }
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["a=1", "", "b=2,c=\u{e4}"]);
        texts.pop();
        texts.push(|all| all.push('x'));
        assert_eq!((texts.iter().collect::<Vec<_>>(), texts.get(3)), (vec!["a=1", "", "x"], None));
        (0..4).for_each(|_| texts.pop());
        assert_eq!(texts, Texts::default());
    }
}
