//! Field tables and their values, written briefly.

use super::{AMQPValue, FieldTable};

/// A table from pairs: `table(&[("x-max-length", int(1))])`.
pub(crate) fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert((*key).into(), value.clone());
    }
    table
}

/// A signed 32-bit integer (`I`), what most clients send for a small number.
pub(crate) fn int(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

/// A signed 64-bit integer (`l`).
pub(crate) fn long(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

pub(crate) fn string(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(crate) fn boolean(value: bool) -> AMQPValue {
    AMQPValue::Boolean(value)
}

pub(crate) fn array(values: Vec<AMQPValue>) -> AMQPValue {
    AMQPValue::FieldArray(values.into())
}

/// The value at `key`; a test that asks for it expects it to be there.
pub(crate) fn field<'a>(table: &'a FieldTable, key: &str) -> &'a AMQPValue {
    table
        .inner()
        .get(key)
        .unwrap_or_else(|| panic!("no {key:?} in {table:?}"))
}

/// The members of an array value.
pub(crate) fn members(value: &AMQPValue) -> &[AMQPValue] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value:?} is not an array"))
        .as_slice()
}

/// The fields of a table value.
pub(crate) fn fields(value: &AMQPValue) -> &FieldTable {
    value
        .as_field_table()
        .unwrap_or_else(|| panic!("{value:?} is not a table"))
}
