//! UDFs, one per file, over the loops of `kernel`; shared by Flux, InfluxQL and SQL.
