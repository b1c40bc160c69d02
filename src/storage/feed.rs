//! Where a merge has its blocks from, and reading the next one on another thread while the rows of this one are worked on.

use crate::model::Result;
use crate::storage::block::{Block, Span};
use async_trait::async_trait;
use futures::future::BoxFuture;
use std::sync::Arc;

/// A block, and the rows that are wanted of it: never none.
pub struct Rows {
    pub block: Arc<Block>,
    pub spans: Vec<Span>,
    /// Bytes that exist because the block was read.
    pub held_bytes: usize,
    /// Whether it was fetched or decoded now, rather than found in memory.
    pub fetched: bool,
}

/// Blocks in the order of a measurement.
#[async_trait]
pub trait Source: Send {
    async fn next_block(&mut self) -> Result<Option<Rows>>;

    /// Whether there may be another block.
    fn has_more(&self) -> bool;
}

/// Rows already in memory.
pub struct OneBlock(pub Option<(Arc<Block>, Vec<Span>)>);

#[async_trait]
impl Source for OneBlock {
    async fn next_block(&mut self) -> Result<Option<Rows>> {
        let rows = self.0.take().filter(|(_, spans)| !spans.is_empty());
        Ok(rows.map(|(block, spans)| Rows { block, spans, held_bytes: 0, fetched: false }))
    }

    fn has_more(&self) -> bool {
        self.0.is_some()
    }
}

/// A block on its way, with its source.
pub type Reading = BoxFuture<'static, Result<(Box<dyn Source>, Option<Rows>)>>;

/// Begins a reading on another thread. Dropping what is returned gives the reading up.
pub type Spawn = fn(Reading) -> Reading;

/// A source, at rest or at work.
pub enum Feed {
    Idle(Box<dyn Source>),
    Reading(Reading),
    /// It failed, or whoever waited for it gave up.
    Broken,
}

impl Feed {
    pub fn is_reading(&self) -> bool {
        matches!(self, Feed::Reading(_))
    }

    /// Begins to read the next block; false when there is none, or when that has begun before.
    pub fn begin(&mut self, spawn: Spawn) -> bool {
        match std::mem::replace(self, Feed::Broken) {
            Feed::Idle(source) if source.has_more() => {
                *self = Feed::Reading(spawn(Box::pin(read(source))));
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    pub async fn next(&mut self) -> Result<Option<Rows>> {
        let reading = match std::mem::replace(self, Feed::Broken) {
            Feed::Idle(source) => Box::pin(read(source)),
            Feed::Reading(reading) => reading,
            Feed::Broken => return Ok(None),
        };
        let (source, rows) = reading.await?;
        *self = Feed::Idle(source);
        Ok(rows)
    }
}

async fn read(mut source: Box<dyn Source>) -> Result<(Box<dyn Source>, Option<Rows>)> {
    let rows = source.next_block().await?;
    Ok((source, rows))
}

#[cfg(test)]
mod tests;
