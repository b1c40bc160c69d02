//! Changes of names that take rows with them.

use super::Engine;
use crate::{
    catalog::{Caller, Catalog},
    model::{BucketId, Failure, OrgId, Result},
};

impl Engine {
    /// Removes a bucket and drops its rows. The name goes first: a crash in between leaves rows that nobody can name.
    pub async fn delete_bucket(&self, caller: &Caller, id: BucketId) -> Result<()> {
        let caller = caller.clone();
        self.forget(move |catalog| catalog.delete_bucket(&caller, id).map(|()| vec![id])).await
    }

    /// Removes an organisation, all that is in it, and the rows of its buckets.
    pub async fn delete_organization(&self, caller: &Caller, id: OrgId) -> Result<()> {
        let caller = caller.clone();
        self.forget(move |catalog| catalog.delete_organization(&caller, id)).await
    }

    async fn forget(&self, names: impl FnOnce(&Catalog) -> Result<Vec<BucketId>> + Send + 'static) -> Result<()> {
        let catalog = self.catalog().clone();
        let gone = tokio::task::spawn_blocking(move || names(&catalog)).await;
        for bucket in gone.map_err(|e| Failure::internal(format!("removing names panicked: {e}")))?? {
            self.storage().drop_bucket(bucket).await?;
        }
        Ok(())
    }
}
