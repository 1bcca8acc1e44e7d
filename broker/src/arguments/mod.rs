//! Arguments of declares, consumes and publishes: parsed into plain structs and validated with
//! the explanation texts RabbitMQ 3.13 gives, on which clients and scripts match.
//!
//! Nothing here knows a queue or an exchange that runs; a refusal is a [`ReplyError`] ready to be
//! sent. What a queue type accepts is written once, in `keys.rs`.
//!
//! [`ReplyError`]: warren_amqp::ReplyError

mod consumer;
mod equivalence;
pub(crate) mod erlang;
mod exchange;
mod expiration;
mod keys;
mod queue;
mod validate;

pub use consumer::{ConsumerArguments, parse_consumer_arguments};
pub use equivalence::{
    ExchangeShape, QueueShape, check_exchange_equivalent, check_queue_equivalent,
    identity_arguments,
};
pub use exchange::alternate_exchange;
pub use expiration::parse_expiration;
pub use queue::{
    DeadLetterStrategy, Overflow, QueueArguments, QueueType, is_available, parse_queue_arguments,
};

/// How a queue is named in explanations (row E-4).
fn queue_phrase(name: &str, vhost: &str) -> String {
    format!("queue '{name}' in vhost '{vhost}'")
}

/// How an exchange is named in explanations (row E-4).
fn exchange_phrase(name: &str, vhost: &str) -> String {
    format!("exchange '{name}' in vhost '{vhost}'")
}
