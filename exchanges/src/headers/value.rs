//! Header values in a canonical form: equal bytes mean equal values.
//!
//! RabbitMQ compares values as Erlang terms after dropping the wire type (rows ), by
//! the strict rule it has since 3.13: integers of any width are equal by value, floats of both
//! widths too, but an integer never equals a float, nor a number its string. Strings and byte
//! arrays are both binaries. Timestamps are integers counted in milliseconds. Within arrays and
//! tables the type belongs to the value, so there it must be equal as well; tables do not care
//! about order.

use warren_amqp::{AMQPValue, ValueRef};

const VOID: u8 = 0;
const BOOL: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const BINARY: u8 = 4;
const DECIMAL: u8 = 5;
const ARRAY: u8 = 6;
const TABLE: u8 = 7;

/// Appends the canonical form of a message header's value.
pub(super) fn put_header(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Void => out.push(VOID),
        ValueRef::Bool(v) => out.extend([BOOL, u8::from(v)]),
        ValueRef::I8(v) => put_integer(out, v.into()),
        ValueRef::U8(v) => put_integer(out, v.into()),
        ValueRef::I16(v) => put_integer(out, v.into()),
        ValueRef::U16(v) => put_integer(out, v.into()),
        ValueRef::I32(v) => put_integer(out, v.into()),
        ValueRef::U32(v) => put_integer(out, v.into()),
        ValueRef::I64(v) => put_integer(out, v.into()),
        ValueRef::Timestamp(v) => put_timestamp(out, v),
        ValueRef::F32(v) => put_float(out, v.into()),
        ValueRef::F64(v) => put_float(out, v),
        ValueRef::Decimal { scale, value } => put_decimal(out, scale, value),
        ValueRef::LongStr(v) | ValueRef::Bytes(v) => put_binary(out, v),
        ValueRef::Array(array) => {
            let start = open(out, ARRAY);
            for item in array.iter() {
                out.push(header_type(&item));
                put_header(out, item);
            }
            close(out, start);
        }
        ValueRef::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.dedup_by_key(|(key, _)| *key);
            let start = open(out, TABLE);
            for (key, item) in entries {
                put_binary(out, key);
                out.push(header_type(&item));
                put_header(out, item);
            }
            close(out, start);
        }
    }
}

/// Appends the canonical form of a binding argument.
pub(super) fn put_argument(out: &mut Vec<u8>, value: &AMQPValue) {
    match value {
        AMQPValue::Void => out.push(VOID),
        AMQPValue::Boolean(v) => out.extend([BOOL, u8::from(*v)]),
        AMQPValue::ShortShortInt(v) => put_integer(out, (*v).into()),
        AMQPValue::ShortShortUInt(v) => put_integer(out, (*v).into()),
        AMQPValue::ShortInt(v) => put_integer(out, (*v).into()),
        AMQPValue::ShortUInt(v) => put_integer(out, (*v).into()),
        AMQPValue::LongInt(v) => put_integer(out, (*v).into()),
        AMQPValue::LongUInt(v) => put_integer(out, (*v).into()),
        AMQPValue::LongLongInt(v) => put_integer(out, (*v).into()),
        AMQPValue::Timestamp(v) => put_timestamp(out, *v),
        AMQPValue::Float(v) => put_float(out, (*v).into()),
        AMQPValue::Double(v) => put_float(out, *v),
        AMQPValue::DecimalValue(v) => put_decimal(out, v.scale, v.value),
        AMQPValue::ShortString(v) => put_binary(out, v.as_str().as_bytes()),
        AMQPValue::LongString(v) => put_binary(out, v.as_bytes()),
        AMQPValue::ByteArray(v) => put_binary(out, v.as_slice()),
        AMQPValue::FieldArray(array) => {
            let start = open(out, ARRAY);
            for item in array.as_slice() {
                out.push(argument_type(item));
                put_argument(out, item);
            }
            close(out, start);
        }
        AMQPValue::FieldTable(table) => {
            let start = open(out, TABLE);
            // The table is sorted by key already.
            for (key, item) in table {
                put_binary(out, key.as_str().as_bytes());
                out.push(argument_type(item));
                put_argument(out, item);
            }
            close(out, start);
        }
    }
}

fn put_integer(out: &mut Vec<u8>, value: i128) {
    out.push(INTEGER);
    out.extend(value.to_le_bytes());
}

fn put_timestamp(out: &mut Vec<u8>, seconds: u64) {
    put_integer(out, i128::from(seconds) * 1000);
}

fn put_float(out: &mut Vec<u8>, value: f64) {
    // The two zeros are one value, and all NaNs another.
    let value = match value {
        0.0 => 0.0,
        v if v.is_nan() => f64::NAN,
        v => v,
    };
    out.push(FLOAT);
    out.extend(value.to_bits().to_le_bytes());
}

fn put_decimal(out: &mut Vec<u8>, scale: u8, value: u32) {
    out.extend([DECIMAL, scale]);
    out.extend(value.to_le_bytes());
}

fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(BINARY);
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Begins an array or table; its length in bytes is filled in by [`close`].
fn open(out: &mut Vec<u8>, tag: u8) -> usize {
    out.push(tag);
    out.extend(0u64.to_le_bytes());
    out.len()
}

fn close(out: &mut [u8], start: usize) {
    let len = (out.len() - start) as u64;
    out[start - 8..start].copy_from_slice(&len.to_le_bytes());
}

fn header_type(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Bool(_) => b't',
        ValueRef::I8(_) => b'b',
        ValueRef::U8(_) => b'B',
        ValueRef::I16(_) => b's',
        ValueRef::U16(_) => b'u',
        ValueRef::I32(_) => b'I',
        ValueRef::U32(_) => b'i',
        ValueRef::I64(_) => b'l',
        ValueRef::F32(_) => b'f',
        ValueRef::F64(_) => b'd',
        ValueRef::Decimal { .. } => b'D',
        ValueRef::LongStr(_) => b'S',
        ValueRef::Bytes(_) => b'x',
        ValueRef::Array(_) => b'A',
        ValueRef::Timestamp(_) => b'T',
        ValueRef::Table(_) => b'F',
        ValueRef::Void => b'V',
    }
}

fn argument_type(value: &AMQPValue) -> u8 {
    match value {
        AMQPValue::Boolean(_) => b't',
        AMQPValue::ShortShortInt(_) => b'b',
        AMQPValue::ShortShortUInt(_) => b'B',
        AMQPValue::ShortInt(_) => b's',
        AMQPValue::ShortUInt(_) => b'u',
        AMQPValue::LongInt(_) => b'I',
        AMQPValue::LongUInt(_) => b'i',
        AMQPValue::LongLongInt(_) => b'l',
        AMQPValue::Float(_) => b'f',
        AMQPValue::Double(_) => b'd',
        AMQPValue::DecimalValue(_) => b'D',
        AMQPValue::ShortString(_) | AMQPValue::LongString(_) => b'S',
        AMQPValue::ByteArray(_) => b'x',
        AMQPValue::FieldArray(_) => b'A',
        AMQPValue::Timestamp(_) => b'T',
        AMQPValue::FieldTable(_) => b'F',
        AMQPValue::Void => b'V',
    }
}
