//! SQL as DataFusion brings it, with InfluxDB 3's additions: gap filling, selectors, buckets as schemas.
