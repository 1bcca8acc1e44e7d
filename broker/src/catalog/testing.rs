//! What the tests of this crate share: a catalog in a temporary directory, tables of all types.

use proptest::prelude::*;
use tempfile::TempDir;
use warren_amqp::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, ShortString};
use warren_storage::DataDir;

use super::{Catalog, Command};

/// A new catalog in which these commands were applied. It lives as long as its directory.
pub(crate) fn catalog_with(commands: &[Command]) -> (Catalog, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    for command in commands {
        catalog.propose(command.clone()).unwrap();
    }
    (catalog, dir)
}

/// A table of one entry.
pub(crate) fn entry(key: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(ShortString::from(key), value);
    table
}

/// Tables with values of every type, nested a few deep; no NaN, which equals nothing.
pub(crate) fn any_table() -> impl Strategy<Value = FieldTable> {
    prop::collection::btree_map("[a-z\u{e9}-]{0,8}", any_value(), 0..4).prop_map(|entries| {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert(ShortString::from(key), value);
        }
        table
    })
}

fn any_value() -> impl Strategy<Value = AMQPValue> {
    let numbers = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        any::<f32>()
            .prop_filter("equal to itself", |n| !n.is_nan())
            .prop_map(AMQPValue::Float),
        any::<f64>()
            .prop_filter("equal to itself", |n| !n.is_nan())
            .prop_map(AMQPValue::Double),
    ];
    let leaf = prop_oneof![
        4 => numbers,
        1 => any::<Vec<u8>>().prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        1 => "\\PC{0,8}".prop_map(|text| AMQPValue::LongString(text.into())),
        1 => any::<Vec<u8>>().prop_map(|bytes| AMQPValue::ByteArray(ByteArray::from(bytes))),
        1 => Just(AMQPValue::Void),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|members| AMQPValue::FieldArray(FieldArray::from(members))),
            prop::collection::btree_map("[a-z]{0,4}", inner, 0..3).prop_map(|entries| {
                let mut table = FieldTable::default();
                for (key, value) in entries {
                    table.insert(ShortString::from(key), value);
                }
                AMQPValue::FieldTable(table)
            }),
        ]
    })
}
