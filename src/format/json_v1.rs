//! Answers of the 1.x `/query` endpoint as json.

use super::{series::StatementAnswer, v1::AnswerOptions};
use crate::model::{ErrorKind, Failure, Result};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};

/// Encodes the statements' answers, in order, as they come. Nothing is held whole.
pub fn encode(_answers: BoxStream<'static, StatementAnswer>, _options: AnswerOptions) -> BoxStream<'static, Result<Bytes>> {
    futures::stream::once(async { Err(Failure::new(ErrorKind::NotImplemented, "not encoded yet")) }).boxed()
}
