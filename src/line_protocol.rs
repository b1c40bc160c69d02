//! InfluxDB line protocol: a borrowed parser with per-line errors, and the encoder.
