//! The definitions of the node: everything durable that is not a message. Vhosts, users,
//! permissions, policies, parameters, durable exchanges and queues, and the bindings between
//! durable things.
//!
//! ```text
//!   Command --check, apply--> State, Event...        pure: no clock, no randomness, no I/O
//!      |                                 |
//!   command log (the truth)           view_ops -> indexed view (for a quick start)
//! ```
//!
//! [`Catalog`] is the one writer. Replaying the log, or loading the view, gives the same
//! [`State`]. Transient and exclusive objects never enter it. [`Definitions`] is the same content
//! as a file that RabbitMQ writes and reads.

mod apply;
mod bindings;
mod check;
mod command;
pub mod definitions;
mod exact;
mod names;
mod policy;
mod recovery;
mod settings;
mod state;
mod view;
mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use apply::{Event, apply};
pub use check::CatalogError;
pub use command::{BindingDef, Command, DecodeError};
pub use definitions::json::{from_table as json_from_table, to_table as table_from_json};
pub use definitions::{Definitions, ImportReport};
pub use names::queue_names;
pub use policy::{
    ApplyTo, PolicyDef, TopicPermissionDef, UserLimit, UserLimits, VhostLimit, VhostLimits,
};
pub use state::{ExchangeDef, PermissionDef, QueueDef, State, UserDef, VhostDef};
pub use view::{LoadError, load, view_ops};
pub use writer::{Catalog, Proposed};
