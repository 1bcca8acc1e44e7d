//! The dialogue kit: a blocking AMQP peer that says exactly what a test tells it to, and checks
//! exactly what comes back. A test reads as the dialogue it has.
//!
//! `frame` turns bytes into frames, `method` gives short names to methods, `peer` holds the
//! socket and the expectations, `login` the handshake, `content` messages, `table` field tables.

mod content;
mod frame;
mod login;
mod method;
mod peer;
mod table;

pub(crate) use amq_protocol::{
    protocol::{
        AMQPClass, BasicProperties, access, basic, channel, confirm, connection, exchange, queue,
        tx,
    },
    types::{AMQPValue, FieldTable, LongString},
};
pub(crate) use content::{Message, properties, text, with_headers};
pub(crate) use frame::{BODY, ContentHeader, Frame, HEADER, HEARTBEAT, METHOD};
pub(crate) use frame::{encode, header_payload, method_payload, raw_header_payload};
pub(crate) use login::{Login, PROTOCOL_HEADER};
pub(crate) use method::*;
pub(crate) use peer::{Event, PATIENCE, Peer, differs_on_rabbitmq_3_10};
pub(crate) use table::*;
