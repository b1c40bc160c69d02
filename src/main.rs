//! The `tidegauge` program.

fn main() {
    println!("tidegauge {}", env!("CARGO_PKG_VERSION"));
}
