//! Identifiers: 64-bit, never zero, written as 16 lower-case hex digits (InfluxDB 2.x).

use std::{fmt, num::NonZeroU64, str::FromStr};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub NonZeroU64);

        impl $name {
            /// `None` for zero, which no identifier has.
            pub fn new(value: u64) -> Option<$name> {
                NonZeroU64::new(value).map($name)
            }

            pub fn get(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0.get())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<$name, InvalidId> {
                let hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                hex.then(|| u64::from_str_radix(text, 16).ok().and_then($name::new)).flatten().ok_or(InvalidId)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<$name, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The text is not 16 lower-case hex digits, or all of them are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("id must have a length of 16 bytes of lower-case hexadecimal digits, not all zero")
    }
}

impl std::error::Error for InvalidId {}

id!(/// An organisation.
    OrgId);
id!(/// A bucket: where users write.
    BucketId);
id!(/// A person or a script that signs in.
    UserId);
id!(/// An authorization (API token).
    AuthorizationId);
id!(/// A mapping of an InfluxDB 1.x database and retention policy to a bucket.
    DbrpId);
id!(/// A label.
    LabelId);
id!(/// Any of the others, where the kind stands beside it.
    ResourceId);
