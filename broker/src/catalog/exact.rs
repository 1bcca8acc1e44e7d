//! Field tables as JSON that keeps every wire type, for the command log and the view. Used with
//! `#[serde(with = "exact")]`.
//!
//! Each value is an object with one member, named by the type's letter on the wire:
//! `{"x-max-length": {"l": 5}, "x-overflow": {"S": "drop-head"}}`. Floats are kept as their bits,
//! because JSON has neither NaN nor a promise about the last digit. amq-protocol's own serde
//! form is not used for that reason, and because it writes strings as lists of numbers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use warren_amqp::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString};

type ExactTable = BTreeMap<String, Exact>;

#[derive(Serialize, Deserialize)]
enum Exact {
    #[serde(rename = "t")]
    Bool(bool),
    #[serde(rename = "b")]
    I8(i8),
    #[serde(rename = "B")]
    U8(u8),
    #[serde(rename = "s")]
    I16(i16),
    #[serde(rename = "u")]
    U16(u16),
    #[serde(rename = "I")]
    I32(i32),
    #[serde(rename = "i")]
    U32(u32),
    #[serde(rename = "l")]
    I64(i64),
    #[serde(rename = "f")]
    F32Bits(u32),
    #[serde(rename = "d")]
    F64Bits(u64),
    #[serde(rename = "D")]
    Decimal(u8, u32),
    #[serde(rename = "_")]
    ShortStr(String),
    #[serde(rename = "S")]
    LongStr(String),
    /// A long string that is no UTF-8.
    #[serde(rename = "S64")]
    LongStrBase64(String),
    #[serde(rename = "x")]
    BytesBase64(String),
    #[serde(rename = "A")]
    Array(Vec<Exact>),
    #[serde(rename = "T")]
    Timestamp(u64),
    #[serde(rename = "F")]
    Table(ExactTable),
    #[serde(rename = "V")]
    Void,
}

/// The JSON of a table. Equal tables give equal bytes: keys are in order.
pub(super) fn to_json(table: &FieldTable) -> Vec<u8> {
    serde_json::to_vec(&from_table(table)).expect("the mirror holds nothing JSON cannot")
}

pub(super) fn serialize<S: Serializer>(table: &FieldTable, to: S) -> Result<S::Ok, S::Error> {
    from_table(table).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<FieldTable, D::Error> {
    to_table(ExactTable::deserialize(from)?).map_err(D::Error::custom)
}

fn from_table(table: &FieldTable) -> ExactTable {
    table
        .inner()
        .iter()
        .map(|(key, value)| (key.as_str().to_owned(), from_value(value)))
        .collect()
}

fn from_value(value: &AMQPValue) -> Exact {
    match value {
        AMQPValue::Boolean(v) => Exact::Bool(*v),
        AMQPValue::ShortShortInt(v) => Exact::I8(*v),
        AMQPValue::ShortShortUInt(v) => Exact::U8(*v),
        AMQPValue::ShortInt(v) => Exact::I16(*v),
        AMQPValue::ShortUInt(v) => Exact::U16(*v),
        AMQPValue::LongInt(v) => Exact::I32(*v),
        AMQPValue::LongUInt(v) => Exact::U32(*v),
        AMQPValue::LongLongInt(v) => Exact::I64(*v),
        AMQPValue::Float(v) => Exact::F32Bits(v.to_bits()),
        AMQPValue::Double(v) => Exact::F64Bits(v.to_bits()),
        AMQPValue::DecimalValue(v) => Exact::Decimal(v.scale, v.value),
        AMQPValue::ShortString(v) => Exact::ShortStr(v.as_str().to_owned()),
        AMQPValue::LongString(v) => match std::str::from_utf8(v.as_bytes()) {
            Ok(text) => Exact::LongStr(text.to_owned()),
            Err(_) => Exact::LongStrBase64(STANDARD.encode(v.as_bytes())),
        },
        AMQPValue::FieldArray(v) => Exact::Array(v.as_slice().iter().map(from_value).collect()),
        AMQPValue::Timestamp(v) => Exact::Timestamp(*v),
        AMQPValue::FieldTable(v) => Exact::Table(from_table(v)),
        AMQPValue::ByteArray(v) => Exact::BytesBase64(STANDARD.encode(v.as_slice())),
        AMQPValue::Void => Exact::Void,
    }
}

fn to_table(exact: ExactTable) -> Result<FieldTable, String> {
    let mut table = FieldTable::default();
    for (key, value) in exact {
        let key = ShortString::try_new(key).map_err(|error| error.to_string())?;
        table.insert(key, to_value(value)?);
    }
    Ok(table)
}

fn to_value(exact: Exact) -> Result<AMQPValue, String> {
    let decode = |text: String| STANDARD.decode(text).map_err(|error| error.to_string());
    Ok(match exact {
        Exact::Bool(v) => AMQPValue::Boolean(v),
        Exact::I8(v) => AMQPValue::ShortShortInt(v),
        Exact::U8(v) => AMQPValue::ShortShortUInt(v),
        Exact::I16(v) => AMQPValue::ShortInt(v),
        Exact::U16(v) => AMQPValue::ShortUInt(v),
        Exact::I32(v) => AMQPValue::LongInt(v),
        Exact::U32(v) => AMQPValue::LongUInt(v),
        Exact::I64(v) => AMQPValue::LongLongInt(v),
        Exact::F32Bits(v) => AMQPValue::Float(f32::from_bits(v)),
        Exact::F64Bits(v) => AMQPValue::Double(f64::from_bits(v)),
        Exact::Decimal(scale, value) => AMQPValue::DecimalValue(DecimalValue { scale, value }),
        Exact::ShortStr(v) => {
            AMQPValue::ShortString(ShortString::try_new(v).map_err(|error| error.to_string())?)
        }
        Exact::LongStr(v) => AMQPValue::LongString(v.into()),
        Exact::LongStrBase64(v) => AMQPValue::LongString(decode(v)?.into()),
        Exact::BytesBase64(v) => AMQPValue::ByteArray(decode(v)?.into()),
        Exact::Array(v) => {
            let members: Result<Vec<AMQPValue>, String> = v.into_iter().map(to_value).collect();
            AMQPValue::FieldArray(FieldArray::from(members?))
        }
        Exact::Timestamp(v) => AMQPValue::Timestamp(v),
        Exact::Table(v) => AMQPValue::FieldTable(to_table(v)?),
        Exact::Void => AMQPValue::Void,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{any_table, entry};
    use super::*;

    fn round_trip(table: &FieldTable) -> FieldTable {
        let exact: ExactTable = serde_json::from_slice(&to_json(table)).unwrap();
        to_table(exact).unwrap()
    }

    #[test]
    fn the_form_is_readable() {
        let table = entry("x-max-length", AMQPValue::LongLongInt(5));
        assert_eq!(to_json(&table), br#"{"x-max-length":{"l":5}}"#);
    }

    #[test]
    fn floats_json_cannot_hold_are_kept() {
        for bits in [
            f64::NAN.to_bits(),
            f64::NEG_INFINITY.to_bits(),
            (-0.0f64).to_bits(),
        ] {
            let table = entry("n", AMQPValue::Double(f64::from_bits(bits)));
            let back = round_trip(&table);
            let value = back
                .inner()
                .get("n")
                .and_then(AMQPValue::as_double)
                .unwrap();
            assert_eq!(value.to_bits(), bits);
        }
    }

    #[test]
    fn the_deepest_table_the_wire_allows_is_kept() {
        let mut table = entry("x", AMQPValue::Void);
        for _ in 0..32 {
            table = entry("x", AMQPValue::FieldTable(table));
        }
        assert_eq!(round_trip(&table), table);
    }

    #[test]
    fn a_key_too_long_for_the_wire_is_refused() {
        let exact = ExactTable::from([("k".repeat(256), Exact::Void)]);
        assert!(to_table(exact).is_err());
    }

    proptest! {
        #[test]
        fn every_table_comes_back_with_its_types(table in any_table()) {
            prop_assert_eq!(round_trip(&table), table);
        }
    }
}
