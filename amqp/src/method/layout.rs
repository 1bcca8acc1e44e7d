//! The arguments of every method RabbitMQ knows, and the walk over them.
//!
//! `amq-protocol` parses without a word about what was wrong, and recurses without limit; so each
//! method's bytes are walked by this table first. That the table is complete, and right, is checked
//! against `amq-protocol` in the tests.

use super::is_utf8;
use crate::table::read::{self, bytes, longstr, shortstr};
use crate::table::{TableError, TableRef};

/// One argument, or several that nothing needs to be known about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arg {
    /// So many bytes: numbers, and bits (eight to an octet).
    Fixed(usize),
    /// Short string.
    Short,
    /// Long string.
    Long,
    /// Field table.
    Table,
}

use Arg::{Fixed, Long, Short, Table};

/// The arguments of a method; `None` for ids that mean nothing.
pub(super) fn layout(class: u16, method: u16) -> Option<&'static [Arg]> {
    match class {
        10 => connection(method),
        20 => channel(method),
        30 => access(method),
        40 => exchange(method),
        50 => queue(method),
        60 => basic(method),
        85 => confirm(method),
        90 => tx(method),
        _ => None,
    }
}

fn connection(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Fixed(2), Table, Long, Long], // start
        11 => &[Table, Short, Long, Short],   // start-ok
        20 | 21 => &[Long],                   // secure, secure-ok
        30 | 31 => &[Fixed(8)],               // tune, tune-ok
        40 => &[Short, Short, Fixed(1)],      // open
        41 | 60 => &[Short],                  // open-ok, blocked
        50 => &[Fixed(2), Short, Fixed(4)],   // close
        51 | 61 | 71 => &[],                  // close-ok, unblocked, update-secret-ok
        70 => &[Long, Short],                 // update-secret
        _ => return None,
    })
}

fn channel(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Short],                     // open
        11 => &[Long],                      // open-ok
        20 | 21 => &[Fixed(1)],             // flow, flow-ok
        40 => &[Fixed(2), Short, Fixed(4)], // close
        41 => &[],                          // close-ok
        _ => return None,
    })
}

fn access(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Short, Fixed(1)], // request
        11 => &[Fixed(2)],        // request-ok
        _ => return None,
    })
}

fn exchange(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Fixed(2), Short, Short, Fixed(1), Table], // declare
        20 => &[Fixed(2), Short, Fixed(1)],               // delete
        30 | 40 => &[Fixed(2), Short, Short, Short, Fixed(1), Table], // bind, unbind
        11 | 21 | 31 | 51 => &[],                         // their -ok, unbind's out of line
        _ => return None,
    })
}

fn queue(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Fixed(2), Short, Fixed(1), Table], // declare
        11 => &[Short, Fixed(8)],                  // declare-ok
        20 => &[Fixed(2), Short, Short, Short, Fixed(1), Table], // bind
        30 | 40 => &[Fixed(2), Short, Fixed(1)],   // purge, delete
        31 | 41 => &[Fixed(4)],                    // purge-ok, delete-ok
        50 => &[Fixed(2), Short, Short, Short, Table], // unbind
        21 | 51 => &[],                            // bind-ok, unbind-ok
        _ => return None,
    })
}

fn basic(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Fixed(7)],                                // qos
        20 => &[Fixed(2), Short, Short, Fixed(1), Table], // consume
        21 | 31 | 72 => &[Short],                         // consume-ok, cancel-ok, get-empty
        30 => &[Short, Fixed(1)],                         // cancel
        40 => &[Fixed(2), Short, Short, Fixed(1)],        // publish
        50 => &[Fixed(2), Short, Short, Short],           // return
        60 => &[Short, Fixed(9), Short, Short],           // deliver
        70 => &[Fixed(2), Short, Fixed(1)],               // get
        71 => &[Fixed(9), Short, Short, Fixed(4)],        // get-ok
        80 | 90 | 120 => &[Fixed(9)],                     // ack, reject, nack
        100 | 110 => &[Fixed(1)],                         // recover-async, recover
        11 | 111 => &[],                                  // qos-ok, recover-ok
        _ => return None,
    })
}

fn confirm(method: u16) -> Option<&'static [Arg]> {
    Some(match method {
        10 => &[Fixed(1)], // select
        11 => &[],         // select-ok
        _ => return None,
    })
}

fn tx(method: u16) -> Option<&'static [Arg]> {
    match method {
        10 | 11 | 20 | 21 | 30 | 31 => Some(&[]), // select, commit, rollback and their -ok
        _ => None,
    }
}

/// Why arguments are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// They are not laid out as the method's are.
    Layout,
    /// A short string, or the name of a table's entry, is not UTF-8.
    Utf8,
    /// A table is malformed.
    Table(TableError),
}

/// Walks arguments; returns the table among them, checked, with where it begins (its length
/// included). No method has two.
///
/// Layout goes before UTF-8, as RabbitMQ has it.
pub(super) fn check<'a>(
    layout: &[Arg],
    args: &'a [u8],
) -> Result<Option<(usize, TableRef<'a>)>, Fault> {
    let mut rest = args;
    let mut found = None;
    let mut utf8 = true;
    for arg in layout {
        let parsed = match arg {
            Fixed(len) => bytes(rest, *len),
            Short => shortstr(rest),
            Long | Table => longstr(rest),
        };
        let Ok((after, value)) = parsed else {
            return Err(Fault::Layout);
        };
        match arg {
            Short => utf8 &= is_utf8(value),
            Table => found = Some((args.len() - rest.len(), TableRef::new(value))),
            Fixed(_) | Long => {}
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Fault::Layout);
    }
    if let Some((_, table)) = found {
        TableRef::parse(table.as_bytes()).map_err(Fault::Table)?;
        utf8 &= read::names_are_utf8(table);
    }
    if utf8 { Ok(found) } else { Err(Fault::Utf8) }
}
