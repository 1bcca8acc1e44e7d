//! A table is refused or can be walked to its end, copied byte for byte, and owned without loss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use warren_amqp::{
    ArrayRef, TableBuilder, TableRef, ValueRef, fields_from_table, parse_sasl, table_from_fields,
};

fn walk_table(table: TableRef<'_>) -> usize {
    let entries = table
        .iter()
        .map(|(name, value)| 1 + name.len() + walk_value(value));
    let len = entries.sum();
    assert_eq!(len, table.as_bytes().len());
    len
}

fn walk_array(array: ArrayRef<'_>) -> usize {
    let len = array.iter().map(walk_value).sum();
    assert_eq!(len, array.as_bytes().len());
    len
}

/// The length of a value on the wire, its type octet included.
fn walk_value(value: ValueRef<'_>) -> usize {
    1 + match value {
        ValueRef::Bool(_) | ValueRef::I8(_) | ValueRef::U8(_) => 1,
        ValueRef::I16(_) | ValueRef::U16(_) => 2,
        ValueRef::I32(_) | ValueRef::U32(_) | ValueRef::F32(_) => 4,
        ValueRef::I64(_) | ValueRef::F64(_) | ValueRef::Timestamp(_) => 8,
        ValueRef::Decimal { .. } => 5,
        ValueRef::LongStr(bytes) | ValueRef::Bytes(bytes) => 4 + bytes.len(),
        ValueRef::Array(array) => 4 + walk_array(array),
        ValueRef::Table(table) => 4 + walk_table(table),
        ValueRef::Void => 0,
    }
}

fuzz_target!(|input: &[u8]| {
    let _ = parse_sasl("AMQPLAIN", input);
    let _ = parse_sasl("PLAIN", input);
    let Ok(table) = TableRef::parse(input) else {
        // Harmless even when taken on trust.
        let _ = fields_from_table(TableRef::new(input));
        return;
    };
    walk_table(table);
    assert_eq!(TableBuilder::new().copy_except(table, &[]).finish(), input);
    let owned = table_from_fields(&fields_from_table(table));
    let again = TableRef::parse(&owned).expect("what we write is valid");
    assert_eq!(table_from_fields(&fields_from_table(again)), owned);
});
