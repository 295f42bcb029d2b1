//! A real node, and a proxy before it that makes trouble.

// Each program that uses this uses its part.
#![allow(dead_code)]

pub(crate) mod anvil;
pub(crate) mod proxy;

pub(crate) use anvil::Anvil;
pub(crate) use proxy::{Proxy, Trouble};
