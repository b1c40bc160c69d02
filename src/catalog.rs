//! People and names: organisations, users, tokens, buckets, dbrps, in SQLite. It has never heard of rows.
