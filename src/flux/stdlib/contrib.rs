//! Packages below `contrib`, which Flux's users contributed.

pub mod events;
pub mod hex;
