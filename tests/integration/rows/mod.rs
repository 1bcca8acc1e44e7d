//! One test for each row of the compatibility table that a client can see: the test's name begins
//! with the row's id, the file is the row's section.

mod ack_timeout;
mod acks;
mod alarms;
mod at_least_once;
mod bindings;
mod channel;
mod connection;
mod consumers;
mod dead_letter;
mod direct_reply;
mod errors;
mod exchange_types;
mod exchanges;
mod firehose;
mod limits;
mod logging;
mod login;
mod managed;
mod operators;
mod permissions;
mod persistence;
mod plugin_exchanges;
mod policies;
mod priority;
mod promises;
mod publish;
mod qos;
mod queue_arguments;
mod queues;
mod quorum;
mod tls;
mod transactions;
mod wire;
mod wire_order;
mod wire_values;
