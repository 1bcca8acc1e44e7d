//! Everything that does not come once per message, through `amq-protocol`.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::{AMQPClass, gen_class, parse_class};

use super::layout::{Fault, check, layout};
use super::{cannot_decode, malformed_utf8, method_ids};
use crate::error::ReplyError;
use crate::frame::{FRAME_END, FRAME_METHOD};
use crate::table::{TableRef, fields_from_table, read, table_from_fields};

/// Why a method is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ColdError {
    /// Ids that mean nothing. RabbitMQ drops the TCP connection, without a method.
    #[error("unknown method ({class}, {method})")]
    UnknownMethod {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// Arguments that don't follow the method's layout: 501.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

/// Reads a method's payload, ids included. Of table entries with the same name the first is kept.
///
/// # Errors
/// See [`ColdError`].
pub fn parse_method(payload: &[u8]) -> Result<AMQPClass, ColdError> {
    let Some((class, method)) = method_ids(payload) else {
        return Err(cannot_decode(0, 0, payload).into());
    };
    let Some(layout) = layout(class, method) else {
        return Err(ColdError::UnknownMethod { class, method });
    };
    let args = &payload[4..];
    let refused = match check(layout, args) {
        Ok(table) => match parse_checked(payload, table) {
            Some(parsed) => return Ok(parsed),
            None => cannot_decode(class, method, args),
        },
        Err(Fault::Layout) => cannot_decode(class, method, args),
        Err(Fault::Utf8) => malformed_utf8(),
        Err(Fault::Table(error)) => ReplyError::frame_error(error.to_string()).at(class, method),
    };
    Err(refused.into())
}

/// `table` is the method's table, if it has one, and where it begins in the arguments.
fn parse_checked(payload: &[u8], table: Option<(usize, TableRef<'_>)>) -> Option<AMQPClass> {
    match table {
        // amq-protocol would keep the last of equal names.
        Some((at, table)) if read::has_equal_names(table) => {
            parse_all(&first_wins(payload, at + 4, table))
        }
        _ => parse_all(payload),
    }
}

fn parse_all(payload: &[u8]) -> Option<AMQPClass> {
    match parse_class(payload) {
        Ok(([], parsed)) => Some(parsed),
        _ => None,
    }
}

/// The payload with every name only once in the table at `at`.
fn first_wins(payload: &[u8], at: usize, table: TableRef<'_>) -> Vec<u8> {
    let unique = table_from_fields(&fields_from_table(table));
    let after = at + 4 + table.as_bytes().len();
    let mut out = Vec::with_capacity(payload.len());
    out.extend_from_slice(&payload[..at]);
    out.extend_from_slice(&(unique.len() as u32).to_be_bytes());
    out.extend_from_slice(&unique);
    out.extend_from_slice(&payload[after..]);
    out
}

/// Appends a complete method frame.
pub fn put_method(out: &mut Vec<u8>, channel: u16, method: &AMQPClass) {
    let payload = gen_class(method)(WriteContext::from(Vec::with_capacity(64)))
        .expect("writing to a Vec cannot fail")
        .into_inner()
        .0;
    out.reserve(payload.len() + 8);
    out.push(FRAME_METHOD);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&payload);
    out.push(FRAME_END);
}
