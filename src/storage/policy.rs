//! What buckets are set to. Storage asks whoever keeps it.

use crate::model::BucketId;
use std::{fmt, sync::Arc};

/// What each bucket is set to, as of the moment it is asked.
#[derive(Clone)]
pub struct PolicyOf<T>(Arc<dyn Fn(BucketId) -> T + Send + Sync>);

impl<T> PolicyOf<T> {
    pub fn new(of: impl Fn(BucketId) -> T + Send + Sync + 'static) -> PolicyOf<T> {
        PolicyOf(Arc::new(of))
    }

    pub fn get(&self, bucket: BucketId) -> T {
        (self.0)(bucket)
    }
}

impl<T: Default + 'static> Default for PolicyOf<T> {
    fn default() -> PolicyOf<T> {
        PolicyOf::new(|_| T::default())
    }
}

impl<T> fmt::Debug for PolicyOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyOf")
    }
}
