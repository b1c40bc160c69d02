//! Completion in the line editor, and when Enter sends.

use super::{command::COMMANDS, editor::is_complete, vocabulary::Vocabulary};
use rustyline::{
    Context, Helper, Result,
    completion::{Completer as Complete, Pair},
    highlight::Highlighter,
    hint::Hinter,
    validate::{ValidationContext, ValidationResult, Validator},
};

pub struct Completer {
    pub vocabulary: Vocabulary,
}

impl Completer {
    pub fn new(vocabulary: Vocabulary) -> Completer {
        Completer { vocabulary }
    }

    /// Where the word before the cursor begins, and the words that begin like it.
    fn words(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = &line[..at];
        if let Some(command) = before.strip_prefix('\\') {
            if let Some(bucket) = command.strip_prefix("use ") {
                return (at - bucket.len(), matching(&self.vocabulary.buckets, bucket));
            }
            let names = COMMANDS.iter().filter_map(|(name, _)| name.split(' ').next()).map(str::to_string).collect::<Vec<_>>();
            return (0, matching(&names, before));
        }
        let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let start = before.rfind(|c| !in_word(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        // `r.` in Flux stands before a column.
        let start = start + word.strip_prefix("r.").map_or(0, |_| 2);
        let word = &before[start..];
        if word.is_empty() && start == before.len() && !before.ends_with("r.") {
            return (start, vec![]);
        }
        (start, matching(&self.vocabulary.words(), word))
    }
}

/// Words that begin with `prefix`, in any case, in order.
fn matching(words: &[String], prefix: &str) -> Vec<String> {
    let begins = |word: &&String| word.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let mut found: Vec<String> = words.iter().filter(begins).cloned().collect();
    found.sort();
    found.dedup();
    found
}

impl Complete for Completer {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let (start, words) = self.words(line, at);
        Ok((start, words.into_iter().map(|word| Pair { display: word.clone(), replacement: word }).collect()))
    }
}

impl Validator for Completer {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Completer {
    type Hint = String;
}

impl Highlighter for Completer {}

impl Helper for Completer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::question::Language;

    #[test]
    fn words_are_completed_where_they_stand() {
        let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        let vocabulary =
            Vocabulary { language: Language::Flux, buckets: names(&["demo", "mlops"]), names: names(&["cpu", "usage_idle", "host"]) };
        let completer = Completer::new(vocabulary);
        let complete = |line: &str| completer.words(line, line.len());
        assert_eq!(complete("\\use ml"), (5, names(&["mlops"])));
        assert_eq!(complete("\\ti"), (0, names(&["\\timing"])));
        let (start, words) = complete("from(bucket: \"demo\") |> aggregateW");
        assert_eq!((start, words), (24, names(&["aggregateWindow"])));
        assert_eq!(complete("filter(fn: (r) => r.usage"), (20, names(&["usage_idle"])));
        assert_eq!(complete("from(bucket: \"ml"), (14, names(&["mlops"])));
        let (_, words) = complete("import \"math\" math.fl");
        assert!(words.contains(&"math.floor".to_string()), "{words:?}");
        assert_eq!(complete("from( ").1, Vec::<String>::new());
    }
}
