//! The engine: vhosts, queues, consumers, users, permissions, dead-lettering, alarms.
//!
//! Knows no socket and no HTTP; both faces (the AMQP connections of the program and the
//! management API) call it. Nothing in here blocks on the network or the disk: what must be
//! durable is named by a position, and the caller waits for that where it can.

mod admin;
pub mod alarms;
pub mod arguments;
mod audit;
pub mod auth;
mod broker;
pub mod buffers;
pub mod catalog;
mod contained;
mod dead_lately;
pub mod dead_letter;
mod delay;
mod explain;
mod finish;
mod held;
mod history;
mod ids;
mod import;
mod intercept;
pub mod message;
mod notices;
mod overview;
mod pager;
pub mod policy;
mod publish;
mod publish_one;
mod queue;
mod recovery;
mod release;
mod route;
mod session;
pub mod stats;
#[cfg(test)]
mod testing;
mod timers;
mod tls_details;
mod turn;
mod unroutable;
mod vhost;

pub use admin::{
    ChannelSlot, ConnectionSlot, DefaultAccess, DefaultLimits, DefaultPolicy, NodeLimits,
    VhostDefaults, VhostMetadata, check_limit, check_parameter,
};
pub use audit::{Change, Face};
pub use broker::{BootError, Broker, ConnectionHandle, Settings, Shared};
pub use dead_lately::DeadLately;
pub use explain::{Explanation, Hop, Verdict};
pub use held::Held;
pub use ids::{ConnectionId, ConsumerId};
pub use import::{ImportError, Imported};
pub use intercept::Interceptors;
pub use notices::{Client, Happening, LiveFilter, LiveTrace, Sighting, Tap};
pub use overview::ObjectTotals;
pub use pager::PagingSettings;
pub use publish::{NEVER, Outcome, PublishBatch, Published, TxAcks};
pub use warren_exchanges::{Binding, Destination, ExchangeKind};

pub use publish_one::Fate;
pub use queue::{
    Browsed, ChannelCredit, ConsumeRefused, Consumer, ConsumerInfo, ConsumerLoad, ConsumerSink,
    DeadLetter, DeleteRefused, Depth, Entry, Glance, Got, HeadWaiter, Queue, QueueDefinition,
    QueueHandle, ResidentLimits,
};
pub use route::{REPLY_TO, Route, RouteAt, RouteCache};
pub use session::Session;
pub use timers::{OnEarlier, Timers};
pub use tls_details::{PeerCertificate, TlsDetails};
pub use turn::Turn;
pub use unroutable::Unroutable;
pub use vhost::{
    BindingRequest, Declared, Exchange, ExchangeRequest, QueueRequest, Vhost, generated_name,
};
pub use warren_storage::Durability;
