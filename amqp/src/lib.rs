//! The wire: AMQP 0-9-1 frames, methods, tables, properties and reply codes as values, without I/O.
//!
//! Bytes come in as `&[u8]` and go out as appended `Vec<u8>`; there is no socket, clock or task
//! here. Two paths share the crate:
//!
//! - **hot**: publish, content header, ack in; deliver, get-ok, return, body, confirm out. Parsed
//!   in place and written by hand, without allocating.
//! - **cold**: every other method, as `amq-protocol` types. That library never sees bytes which our
//!   own checks (structure, UTF-8, field types, nesting) have not passed: it recurses without
//!   limit on nested arrays.
//!
//! ```text
//! socket bytes -> frame::split -> method::parse_publish, parse_ack ... (hot, borrowed)
//!                              -> method::parse_method               (cold, owned)
//!                              -> properties::parse_content_header, parse_properties
//! values -> deliver::put_* / method::put_method -> bytes for the socket
//! ```
//!
//! Every rule the peer can break comes back as a [`ReplyError`], which already knows the reply code
//! and text to close with; who closes what, and when, is the caller's business.

pub mod deliver;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod method;
mod octets;
pub mod properties;
pub mod table;
#[cfg(test)]
mod testing;

pub use deliver::{
    put_ack, put_body, put_body_frame_head, put_deliver_head, put_frame_end, put_get_ok_head,
    put_nack, put_return_head,
};
pub use error::{ReplyCode, ReplyError};
pub use frame::{Frame, FrameKind};
pub use handshake::{
    Credentials, HeaderCheck, HeaderMistake, PROTOCOL_HEADER, SaslError, check_protocol_header,
    parse_sasl,
};
pub use method::{
    Ack, ColdError, Nack, Publish, Reject, make_address, method_ids, parse_ack, parse_method,
    parse_nack, parse_publish, parse_reject, put_method, short, split_address,
};
pub use properties::{
    ContentHeader, Properties, encode_content_header, parse_content_header, parse_properties,
};
pub use table::{
    ArrayRef, MAX_TABLE_DEPTH, TableBuilder, TableError, TableRef, ValueRef, arg_as_i64,
    arg_type_name, fields_from_table, table_from_fields,
};

pub use amq_protocol::protocol::{self, AMQPClass};
pub use amq_protocol::types::{
    AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString,
};
