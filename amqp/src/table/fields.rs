//! The bridge to owned tables: `amq-protocol`'s, the model of declare and bind arguments.
//!
//! Their keys are unique and sorted, so order and duplicates of the wire are lost: right for
//! arguments, wrong for message headers, which stay [`TableRef`].

use amq_protocol::types::{
    AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString,
};

use super::builder::{put_counted, put_name, put_value};
use super::{ArrayRef, MAX_TABLE_DEPTH, TableRef, ValueRef};
use crate::method::short;

/// RabbitMQ's name of an argument's type, as its error texts have it.
pub fn arg_type_name(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::FieldArray(_) => "array",
        AMQPValue::FieldTable(_) => "table",
        other => scalar(other).map_or("void", |value| value.type_name()),
    }
}

/// An argument's value if it is of an integer type, whatever its width.
pub fn arg_as_i64(value: &AMQPValue) -> Option<i64> {
    scalar(value).and_then(|value| value.as_i64())
}

/// The encoded form of an owned table, without its length.
pub fn table_from_fields(fields: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    put_fields(&mut out, fields);
    out
}

/// The owned form of a table, every value with its exact type (`L` is the same type as `l`). Of
/// entries with the same name the first is kept. Names that are not UTF-8 are mended, and nesting
/// beyond [`MAX_TABLE_DEPTH`], which a validated table cannot have, is left empty.
pub fn fields_from_table(table: TableRef<'_>) -> FieldTable {
    owned_table(table, 1)
}

fn owned_table(table: TableRef<'_>, depth: usize) -> FieldTable {
    let mut entries = std::collections::BTreeMap::new();
    for (name, value) in table {
        let name: ShortString = short(&String::from_utf8_lossy(name));
        entries
            .entry(name)
            .or_insert_with(|| owned_value(value, depth));
    }
    entries.into()
}

fn owned_array(array: ArrayRef<'_>, depth: usize) -> FieldArray {
    array
        .iter()
        .map(|value| owned_value(value, depth))
        .collect::<Vec<_>>()
        .into()
}

fn owned_value(value: ValueRef<'_>, depth: usize) -> AMQPValue {
    match value {
        ValueRef::Bool(v) => AMQPValue::Boolean(v),
        ValueRef::I8(v) => AMQPValue::ShortShortInt(v),
        ValueRef::U8(v) => AMQPValue::ShortShortUInt(v),
        ValueRef::I16(v) => AMQPValue::ShortInt(v),
        ValueRef::U16(v) => AMQPValue::ShortUInt(v),
        ValueRef::I32(v) => AMQPValue::LongInt(v),
        ValueRef::U32(v) => AMQPValue::LongUInt(v),
        ValueRef::I64(v) => AMQPValue::LongLongInt(v),
        ValueRef::F32(v) => AMQPValue::Float(v),
        ValueRef::F64(v) => AMQPValue::Double(v),
        ValueRef::Decimal { scale, value } => {
            AMQPValue::DecimalValue(DecimalValue { scale, value })
        }
        ValueRef::LongStr(bytes) => AMQPValue::LongString(LongString::from(bytes)),
        ValueRef::Bytes(bytes) => AMQPValue::ByteArray(ByteArray::from(bytes)),
        ValueRef::Timestamp(v) => AMQPValue::Timestamp(v),
        ValueRef::Void => AMQPValue::Void,
        ValueRef::Array(_) if depth >= MAX_TABLE_DEPTH => FieldArray::default().into(),
        ValueRef::Table(_) if depth >= MAX_TABLE_DEPTH => FieldTable::default().into(),
        ValueRef::Array(array) => owned_array(array, depth + 1).into(),
        ValueRef::Table(table) => owned_table(table, depth + 1).into(),
    }
}

fn put_fields(out: &mut Vec<u8>, fields: &FieldTable) {
    for (name, value) in fields {
        put_name(out, name.as_str().as_bytes());
        put_owned(out, value);
    }
}

fn put_owned(out: &mut Vec<u8>, value: &AMQPValue) {
    match value {
        AMQPValue::FieldArray(array) => {
            out.push(b'A');
            put_counted(out, |out| {
                for value in array.as_slice() {
                    put_owned(out, value);
                }
            });
        }
        AMQPValue::FieldTable(table) => {
            out.push(b'F');
            put_counted(out, |out| put_fields(out, table));
        }
        other => put_value(out, scalar(other).unwrap_or(ValueRef::Void)),
    }
}

/// The borrowed form of a value that holds no others.
fn scalar(value: &AMQPValue) -> Option<ValueRef<'_>> {
    Some(match value {
        AMQPValue::Boolean(v) => ValueRef::Bool(*v),
        AMQPValue::ShortShortInt(v) => ValueRef::I8(*v),
        AMQPValue::ShortShortUInt(v) => ValueRef::U8(*v),
        AMQPValue::ShortInt(v) => ValueRef::I16(*v),
        AMQPValue::ShortUInt(v) => ValueRef::U16(*v),
        AMQPValue::LongInt(v) => ValueRef::I32(*v),
        AMQPValue::LongUInt(v) => ValueRef::U32(*v),
        AMQPValue::LongLongInt(v) => ValueRef::I64(*v),
        AMQPValue::Float(v) => ValueRef::F32(*v),
        AMQPValue::Double(v) => ValueRef::F64(*v),
        AMQPValue::DecimalValue(v) => ValueRef::Decimal {
            scale: v.scale,
            value: v.value,
        },
        // Has no type octet on the wire; only a program can make one.
        AMQPValue::ShortString(v) => ValueRef::LongStr(v.as_str().as_bytes()),
        AMQPValue::LongString(v) => ValueRef::LongStr(v.as_bytes()),
        AMQPValue::ByteArray(v) => ValueRef::Bytes(v.as_slice()),
        AMQPValue::Timestamp(v) => ValueRef::Timestamp(*v),
        AMQPValue::Void => ValueRef::Void,
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => return None,
    })
}
