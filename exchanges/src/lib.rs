//! Routing: exchange types, bindings and matchers over opaque queue handles, without I/O.
//!
//! [`RoutingTable`] is the routing state of one vhost. It answers which queues a message goes to
//! and keeps the bindings that say so. It holds no lock, reads no clock and knows nothing about
//! queues: a queue is any `Q: Clone + Eq + Hash`. Whether an exchange is durable, internal or
//! auto-delete, and who may use it, is the broker's business.
//!
//! ```text
//!  route(exchange, keys, headers)
//!    |  table: names -> exchange ids, bindings, who is bound where
//!    v
//!  matcher of the exchange's type: (key, headers) -> target ids
//!    |  direct: a map     fanout: a list    topic: a trie    headers: an index of conditions
//!    |  one of many: by a hash of the message, or by a number the caller drew
//!    v
//!  queues, each once; exchanges are routed on, each once
//! ```
//!
//! Names, keys and header values are chosen by clients, so maps keyed by them use the standard
//! library's keyed hash: with a fast unkeyed one a client could make every key collide. Inside,
//! everything is a small integer and hashed fast.

mod args;
mod bindings;
mod direct;
mod envelope;
mod exchange_type;
mod hashing;
mod headers;
mod id_set;
mod kind;
mod matcher;
mod route;
mod table;
mod topic;

pub use bindings::{Binding, Destination};
pub use envelope::{Envelope, Routes, delay_of};
pub use exchange_type::ExchangeType;
pub use kind::{ExchangeKind, UnknownExchangeKind};
pub use route::RouteOutcome;
pub use table::{BindError, RoutingTable, Unbound};
