//! Binding arguments compared and hashed by value, for telling bindings apart.
//!
//! Two bindings are the same only if their arguments have the same keys, types and values. The
//! order they were sent in does not matter, and a float is equal to itself bit by bit, so that a
//! binding with a NaN can be removed again.

use std::hash::{Hash, Hasher};

use warren_amqp::{AMQPValue, FieldTable};

/// Whether both tables hold the same keys with the same types and values.
pub(crate) fn same_table(a: &FieldTable, b: &FieldTable) -> bool {
    let (a, b) = (a.inner(), b.inner());
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((ka, va), (kb, vb))| ka == kb && same_value(va, vb))
}

fn same_value(a: &AMQPValue, b: &AMQPValue) -> bool {
    match (a, b) {
        (AMQPValue::Float(a), AMQPValue::Float(b)) => a.to_bits() == b.to_bits(),
        (AMQPValue::Double(a), AMQPValue::Double(b)) => a.to_bits() == b.to_bits(),
        (AMQPValue::FieldArray(a), AMQPValue::FieldArray(b)) => {
            let (a, b) = (a.as_slice(), b.as_slice());
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (AMQPValue::FieldTable(a), AMQPValue::FieldTable(b)) => same_table(a, b),
        _ => a == b,
    }
}

/// Feeds a table to a hasher: equal tables give equal hashes.
pub(crate) fn hash_table(table: &FieldTable, state: &mut impl Hasher) {
    state.write_usize(table.inner().len());
    for (key, value) in table {
        key.as_str().hash(state);
        hash_value(value, state);
    }
}

fn hash_value(value: &AMQPValue, state: &mut impl Hasher) {
    std::mem::discriminant(value).hash(state);
    match value {
        AMQPValue::Boolean(v) => v.hash(state),
        AMQPValue::ShortShortInt(v) => v.hash(state),
        AMQPValue::ShortShortUInt(v) => v.hash(state),
        AMQPValue::ShortInt(v) => v.hash(state),
        AMQPValue::ShortUInt(v) => v.hash(state),
        AMQPValue::LongInt(v) => v.hash(state),
        AMQPValue::LongUInt(v) => v.hash(state),
        AMQPValue::LongLongInt(v) => v.hash(state),
        AMQPValue::Float(v) => v.to_bits().hash(state),
        AMQPValue::Double(v) => v.to_bits().hash(state),
        AMQPValue::DecimalValue(v) => v.hash(state),
        AMQPValue::ShortString(v) => v.hash(state),
        AMQPValue::LongString(v) => v.hash(state),
        AMQPValue::ByteArray(v) => v.hash(state),
        AMQPValue::Timestamp(v) => v.hash(state),
        AMQPValue::Void => {}
        AMQPValue::FieldTable(table) => hash_table(table, state),
        AMQPValue::FieldArray(array) => {
            state.write_usize(array.as_slice().len());
            for item in array.as_slice() {
                hash_value(item, state);
            }
        }
    }
}
