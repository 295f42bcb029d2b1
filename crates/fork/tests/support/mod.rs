//! A real node, and a proxy before it that makes trouble.

// Each program that uses this uses its part.
#![allow(dead_code)]

pub mod anvil;
pub mod proxy;

pub use anvil::Anvil;
pub use proxy::{Proxy, Trouble};
