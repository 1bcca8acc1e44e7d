//! What is counted and measured: counters on the objects, their recent history, rates.
//!
//! * [`counters`]: the counters themselves, relaxed atomics added to once per batch;
//! * [`live`]: open connections and channels as an observer sees them;
//! * [`pairs`]: what passed between two objects;
//! * [`series`]: the compact history of one object;
//! * [`sampler`]: the one task's work that turns counters into rates and history;
//! * [`node`]: totals of the whole node, which outlive the objects they came from;
//! * [`machine`]: what the operating system says about the process.
//!
//! An object that does nothing costs nothing: it is sampled only after something was counted on
//! it, and its rate is zero because it was not.

mod counters;
mod live;
mod machine;
mod node;
mod pairs;
mod sampler;
mod series;

pub use counters::{
    DeadLettered, EVENTS, Event, ExchangeStats, MessageStats, Octets, SIZE_BOUNDS, SizeHistogram,
    VhostStats,
};
pub use live::{ConnectionInfo, ConnectionState, LiveChannel, LiveConnection};
pub use machine::Machine;
pub use node::{Churn, Login, LoginCount, NodeStats};
pub use pairs::{Pair, Pairs, key_of};
pub use sampler::{Sampled, Sampler, Track};
pub use series::{History, Window};

pub(crate) use counters::{Happened, Sizes, add};
