//! Commands. They are HTTP clients; only `serve` and offline tools open an Engine.
