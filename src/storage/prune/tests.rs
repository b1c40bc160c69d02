use super::*;
use crate::{
    model::{BucketId, Result},
    storage::block::{SeriesFilter, SeriesRuns},
};

/// `tag = value`.
#[derive(Debug)]
struct Is(&'static str, &'static str);

impl SeriesFilter for Is {
    fn keep(&self, runs: &SeriesRuns) -> Result<Vec<bool>> {
        Ok((0..runs.len()).map(|run| runs.tag(self.0).and_then(|t| t.value(run)) == Some(self.1)).collect())
    }

    fn tag(&self) -> &str {
        self.0
    }

    fn may_keep(&self, stretches: &[TagBounds]) -> Vec<bool> {
        let inside = |b: &TagBounds| b.min.as_deref().is_none_or(|min| min <= self.1) && b.max.as_deref().is_none_or(|max| self.1 <= max);
        stretches.iter().map(|b| b.absent != Some(b.rows) && inside(b)).collect()
    }
}

#[test]
fn a_file_is_bounded_by_its_first_and_last_row_up_to_the_first_tag_that_differs() {
    let key = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (Arc::from(*k), Arc::from(*v))).collect::<Vec<(Arc<str>, Arc<str>)>>();
    let tags: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).into();
    let may = |min: &[(&str, &str)], max: &[(&str, &str)], tag, value| {
        let draft = FileMeta::draft(BucketId::new(1).expect("not zero"), "m".into(), 0, 1);
        let file = FileMeta { key_min: key(min), key_max: key(max), rows: 10, ..draft };
        let filter = RowFilter { series: vec![Arc::new(Is(tag, value))], ..RowFilter::all() };
        may_keep_file(&file, &tags, &filter)
    };
    let (min, max) = ([("a", "x"), ("b", "k"), ("c", "5")], [("a", "x"), ("b", "m"), ("c", "1")]);
    assert!(!may(&min, &max, "a", "y"), "every row has a=x");
    assert!(may(&min, &max, "a", "x"));
    assert!(may(&min, &max, "b", "l"));
    assert!(!may(&min, &max, "b", "z"));
    assert!(may(&min, &max, "c", "9"), "b differs, so nothing is known of c");
    assert!(!may(&[("b", "k")], &[("b", "m")], "a", "x"), "the last row has no a, so none has");
    assert!(may(&[], &[("a", "m")], "a", "c"), "rows without a come first");
    assert!(!may(&[], &[("a", "m")], "a", "n"));
}
