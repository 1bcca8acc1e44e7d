//! Definitions: the log of commands, which is the truth, and the indexed view of what they led
//! to, which is not.
//!
//! ```text
//!   log        the handle: append, wait_durable, view_changed; what its thread does
//!   recovery   reading snapshot and log back, choosing where to start from
//!   snapshot   the view as of one command, in a file; what came before it can be removed
//!   view       the view: what is asked of it, and one in memory
//!   sled_view  the view in sled
//! ```
//!
//! What a command means, and what it does to the view, only the caller knows.

mod log;
mod recovery;
mod sled_view;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

pub use log::{CommandLog, ViewOps};
pub use recovery::Definitions;

/// A record with a command: `index u64 | command`.
const COMMAND: u8 = 32;
/// A record of a snapshot with an entry of the view: `key length varint | key | value`.
const ENTRY: u8 = 33;
/// The last record of a snapshot: `number of entries u64`.
const END: u8 = 34;
