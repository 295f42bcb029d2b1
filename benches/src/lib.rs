//! zvm beside revm: the same transactions, results compared and time measured.
//!
//! A [`Case`] is a transaction with its whole world. [`machine`] and [`peer`] execute it on zvm and
//! on revm and tell what came of it as an [`Observation`], in words that both can answer in.

mod case;
pub mod machine;
mod observe;
pub mod peer;

pub use case::{Case, World, WorldAccount, WorldDb, block_hash};
pub use observe::{Ending, Observation, PostAccount, Ran, Rule, differences};
