//! The nouns everything else speaks of. No IO, no clock, no query language.

pub mod bytes;
pub mod delete;
pub mod duplicates;
pub mod duration;
pub mod failure;
pub mod names;
pub mod runs;
pub mod schema;
pub mod time;
pub mod time_range;
pub mod type_conflicts;
pub mod value;

pub use delete::{DeleteSpec, TagPredicate};
pub use duplicates::Duplicates;
pub use duration::Duration;
pub use failure::{ErrorKind, Failure, Result};
pub use names::{AuthorizationId, BucketId, DbrpId, LabelId, OrgId, ResourceId, UserId};
pub use schema::{FieldType, MeasurementSchema, TIME_COLUMN};
pub use time::{Precision, Timestamp};
pub use time_range::TimeRange;
pub use type_conflicts::TypeConflicts;
pub use value::FieldValue;
