//! What operators do while the node runs: policies, parameters, limits, vhosts, users.
//!
//! Each change goes through the catalog, then to what runs. The caller's turn says, as for
//! clients, which catalog index the answer must wait for. Nothing here is called by a connection:
//! going through thousands of queues takes its time, on a thread that may block.

mod defaults;
mod limits;
mod parameters;
mod policies;
mod users;
mod vhosts;

#[cfg(test)]
mod tests;

pub use defaults::{DefaultAccess, DefaultLimits, DefaultPolicy, VhostDefaults};
pub use limits::{ChannelSlot, ConnectionSlot, NodeLimits};
pub(crate) use limits::{OpenCounts, limit};
pub use parameters::{check_limit, check_parameter};
pub use vhosts::VhostMetadata;
