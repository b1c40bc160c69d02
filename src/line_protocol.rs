//! InfluxDB line protocol: a borrowed parser with per-line errors, and the encoder.
//!
//! ```text
//! measurement,tag=value,tag=value field=1.5,count=3i,total=7u,up=true,note="text" 1700000000000000000
//! └────────── series ───────────┘ └──────────────── fields ─────────────────────┘ └──── time ──────┘
//! ```
//! The series part is handed out as written: it is the key under which a writer looks a known series up, so that
//! its tags are taken apart once and not on every line. This module knows nothing of schemas or buckets.

pub mod escape;
pub mod parse;
pub mod series;
pub mod write;

pub use parse::{BadLine, Field, Line, Parser, whole_lines};
pub use series::{SeriesKey, parse_series};
pub use write::{write_point, write_row};
