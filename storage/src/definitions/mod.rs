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
pub(crate) mod sled_view;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod view;

pub(crate) use log::VIEW_DIR;
pub use log::{CommandLog, ViewOps};
pub use recovery::Definitions;

/// A record with a command: `index u64 | command`.
pub(crate) const COMMAND: u8 = 32;
/// A record of a snapshot with an entry of the view: `key length varint | key | value`.
pub(crate) const ENTRY: u8 = 33;
/// The last record of a snapshot: `number of entries u64`.
pub(crate) const END: u8 = 34;
