//! Tests from outside: the real binary, driven by the clients that people have,
//! with real containers. They need root and what `./test` installs.

mod clients;
mod image;
mod layered;
mod server;
mod stranger;

pub use clients::{Answer, Client};
pub use image::HostImage;
pub use layered::LayeredImage;
pub use server::Longshore;
pub use stranger::{Door, Stranger};

#[cfg(test)]
mod tests;
