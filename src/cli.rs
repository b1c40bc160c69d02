//! Commands. They are HTTP clients; only `serve`, offline tools and the demo open a database themselves.

pub mod args;
pub mod demo;
pub mod render;
pub mod test_flux;

pub use args::run;
