//! Tables against `amq-protocol`, byte for byte, and at their limits.

use proptest::prelude::*;

use super::*;
use crate::testing::{any_fields, any_value, generated_table, nested_arrays, parsed_table};

/// One entry of every type, as bytes.
fn every_type() -> Vec<u8> {
    let mut b = b"\x01tt\x02\x01bb\xFF\x01BB\xFF\x01ss\xFF\xFE\x01uu\xFF\xFE".to_vec();
    b.extend_from_slice(b"\x01II\xFF\xFF\xFF\xFD\x01ii\xFF\xFF\xFF\xFD");
    b.extend_from_slice(b"\x01ll\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC\x01LL\0\0\0\0\0\0\0\x05");
    b.extend_from_slice(b"\x01ff\x3F\x80\0\0\x01dd\x3F\xF0\0\0\0\0\0\0\x01DD\x02\0\0\0\x07");
    b.extend_from_slice(b"\x01SS\0\0\0\x02\xC3\xFF\x01xx\0\0\0\x01\0\x01AA\0\0\0\x03Vt\x00");
    b.extend_from_slice(b"\x01TT\0\0\0\0\0\0\0\x09\x01FF\0\0\0\x03\x01kV\x01VV");
    b
}

#[test]
fn row_w_29_every_type_is_read() {
    let bytes = every_type();
    let table = TableRef::parse(&bytes).expect("all types are known");
    let expected: [(&[u8], &str, Option<i64>); 18] = [
        (b"t", "bool", None),
        (b"b", "byte", Some(-1)),
        (b"B", "unsignedbyte", Some(255)),
        (b"s", "short", Some(-2)),
        (b"u", "unsignedshort", Some(65_534)),
        (b"I", "signedint", Some(-3)),
        (b"i", "unsignedint", Some(4_294_967_293)),
        (b"l", "long", Some(-4)),
        (b"L", "long", Some(5)),
        (b"f", "float", None),
        (b"d", "double", None),
        (b"D", "decimal", None),
        (b"S", "longstr", None),
        (b"x", "binary", None),
        (b"A", "array", None),
        (b"T", "timestamp", None),
        (b"F", "table", None),
        (b"V", "void", None),
    ];
    let got: Vec<_> = table
        .iter()
        .map(|(k, v)| (k, v.type_name(), v.as_i64()))
        .collect();
    assert_eq!(got, expected);
    assert_eq!(table.get(b"t"), Some(ValueRef::Bool(true)));
    assert_eq!(
        table.get(b"S").and_then(|v| v.as_longstr()),
        Some(&[0xC3, 0xFF][..])
    );
    assert_eq!(
        table.get(b"D"),
        Some(ValueRef::Decimal { scale: 2, value: 7 })
    );
    let array = table
        .get(b"A")
        .and_then(|v| v.as_array())
        .expect("an array");
    assert_eq!(
        array.iter().collect::<Vec<_>>(),
        [ValueRef::Void, ValueRef::Bool(false)]
    );
    let inner = table.get(b"F").and_then(|v| v.as_table()).expect("a table");
    assert_eq!(inner.get(b"k"), Some(ValueRef::Void));
    assert_eq!(table.get(b"missing"), None);
}

#[test]
fn arguments_have_the_same_types_as_values() {
    let bytes = every_type();
    let table = TableRef::parse(&bytes).expect("all types are known");
    let fields = fields_from_table(table);
    for (name, value) in table {
        let name = std::str::from_utf8(name).expect("ascii");
        let owned = &fields.inner()[name];
        assert_eq!(arg_type_name(owned), value.type_name(), "{name}");
        assert_eq!(arg_as_i64(owned), value.as_i64(), "{name}");
    }
}

#[test]
fn row_w_30_unknown_types_are_refused() {
    for kind in 0..=255_u8 {
        let mut bytes = vec![1, b'k', kind];
        bytes.extend_from_slice(&[0; 8]);
        let known = b"tbBsuIilLfdDSxATFV".contains(&kind);
        let verdict = TableRef::parse(&bytes);
        assert_eq!(
            verdict == Err(TableError::UnknownType(kind)),
            !known,
            "{kind}"
        );
    }
    assert_eq!(
        TableRef::parse(b"\x01kU\0\x01"),
        Err(TableError::UnknownType(b'U'))
    );
}

#[test]
fn row_w_33_of_equal_names_all_are_kept_and_the_first_counts() {
    let bytes = TableBuilder::new()
        .long("k", 1)
        .bool("other", true)
        .long("k", 2)
        .finish();
    let table = TableRef::parse(&bytes).expect("well formed");
    assert_eq!(table.iter().count(), 3);
    assert_eq!(table.get(b"k"), Some(ValueRef::I64(1)));
    assert_eq!(arg_as_i64(&fields_from_table(table).inner()["k"]), Some(1));
}

#[test]
fn nesting_is_limited() {
    // The table itself is the first level.
    assert!(TableRef::parse(&nested_arrays(MAX_TABLE_DEPTH - 1)).is_ok());
    assert_eq!(
        TableRef::parse(&nested_arrays(MAX_TABLE_DEPTH)),
        Err(TableError::TooDeep)
    );
    assert_eq!(
        TableRef::parse(&nested_arrays(20_000)),
        Err(TableError::TooDeep)
    );
}

#[test]
fn bytes_taken_on_trust_cannot_overflow_the_stack_either() {
    let bytes = nested_arrays(20_000);
    let fields = fields_from_table(TableRef::new(&bytes));
    assert_eq!(fields.inner().len(), 1);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = TableBuilder::new()
        .array_of_longstr("CC", ["a", "b"])
        .finish();
    for len in 1..bytes.len() {
        assert_eq!(
            TableRef::parse(&bytes[..len]),
            Err(TableError::Truncated),
            "{len}"
        );
    }
    assert!(TableRef::parse(&[]).expect("empty").is_empty());
}

#[test]
fn builder_writes_what_the_wire_says() {
    let inner = TableBuilder::new().bool("k", true).finish();
    let bytes = TableBuilder::new()
        .longstr("a", "x")
        .int("i", -1)
        .timestamp(b"t", 9)
        .table("f", &inner)
        .array_of_tables("A", [&inner, &inner])
        .raw("d", ValueRef::Decimal { scale: 1, value: 2 })
        .finish();
    let mut expected = b"\x01aS\0\0\0\x01x\x01iI\xFF\xFF\xFF\xFF\x01tT\0\0\0\0\0\0\0\x09".to_vec();
    expected.extend_from_slice(b"\x01fF\0\0\0\x04\x01kt\x01");
    expected.extend_from_slice(b"\x01AA\0\0\0\x12F\0\0\0\x04\x01kt\x01F\0\0\0\x04\x01kt\x01");
    expected.extend_from_slice(b"\x01dD\x01\0\0\0\x02");
    assert_eq!(bytes, expected);
    TableRef::parse(&bytes).expect("well formed");
}

#[test]
fn copying_leaves_bytes_alone() {
    let bytes = every_type();
    let table = TableRef::new(&bytes);
    assert_eq!(TableBuilder::new().copy_except(table, &[]).finish(), bytes);
    let without = TableBuilder::new()
        .copy_except(table, &[b"t", b"V", b"none"])
        .finish();
    assert_eq!(without, bytes[4..bytes.len() - 3]);
}

#[test]
fn names_too_long_are_cut() {
    let bytes = TableBuilder::new().bool("k".repeat(300), true).finish();
    let table = TableRef::parse(&bytes).expect("well formed");
    assert_eq!(
        table.get("k".repeat(255).as_bytes()),
        Some(ValueRef::Bool(true))
    );
}

#[test]
fn names_need_not_be_utf8_in_headers() {
    let bytes = b"\x01\xFFV";
    let table = TableRef::parse(bytes).expect("as RabbitMQ");
    assert_eq!(table.get(b"\xFF"), Some(ValueRef::Void));
    assert!(!read::names_are_utf8(table));
    assert!(fields_from_table(table).contains_key("\u{FFFD}"));
}

#[test]
fn equal_names_are_found_at_every_level() {
    let twice = TableBuilder::new().long("k", 1).long("k", 2).finish();
    let in_array = TableBuilder::new().array_of_tables("a", [&twice]).finish();
    let once = TableBuilder::new().table("k", []).long("l", 2).finish();
    assert!(read::has_equal_names(TableRef::new(&twice)));
    assert!(read::has_equal_names(TableRef::new(&in_array)));
    assert!(!read::has_equal_names(TableRef::new(&once)));
}

/// Copies a table value by value, going down into tables and arrays.
fn rebuilt(table: TableRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in table {
        builder::put_name(&mut out, name);
        put_rebuilt(&mut out, value);
    }
    out
}

fn put_rebuilt(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Table(table) => {
            let inner = rebuilt(table);
            builder::put_value(out, ValueRef::Table(TableRef::new(&inner)));
        }
        ValueRef::Array(array) => {
            let mut inner = Vec::new();
            array
                .iter()
                .for_each(|value| put_rebuilt(&mut inner, value));
            builder::put_value(out, ValueRef::Array(ArrayRef { bytes: &inner }));
        }
        other => builder::put_value(out, other),
    }
}

proptest! {
    #[test]
    fn what_amq_protocol_writes_we_read(fields in any_fields()) {
        let bytes = generated_table(&fields);
        let table = TableRef::parse(&bytes).expect("well formed");
        prop_assert_eq!(&fields_from_table(table), &fields);
        prop_assert_eq!(rebuilt(table), &bytes[..]);
        prop_assert_eq!(TableBuilder::new().copy_except(table, &[]).finish(), bytes);
    }

    #[test]
    fn what_we_write_amq_protocol_reads(fields in any_fields()) {
        let bytes = table_from_fields(&fields);
        prop_assert_eq!(&bytes, &generated_table(&fields));
        prop_assert_eq!(parsed_table(&bytes), Some(fields));
    }

    #[test]
    fn types_and_numbers_agree(value in any_value()) {
        let mut fields = amq_protocol::types::FieldTable::default();
        fields.insert("k".into(), value.clone());
        let bytes = table_from_fields(&fields);
        let read = TableRef::new(&bytes).get(b"k").expect("present");
        prop_assert_eq!(read.type_name(), arg_type_name(&value));
        prop_assert_eq!(read.as_i64(), arg_as_i64(&value));
    }

    /// Bytes with the letters of types in them, so that some are tables.
    #[test]
    fn arbitrary_bytes_are_answered(
        bytes in proptest::collection::vec(
            prop_oneof![3 => 0..4_u8, 2 => Just(b'A'), 2 => Just(b'F'), 1 => any::<u8>()], 0..80)
    ) {
        // What is not checked must do no harm either.
        let _ = rebuilt(TableRef::new(&bytes));
        if let Ok(table) = TableRef::parse(&bytes) {
            let utf8 = read::names_are_utf8(table);
            // amq-protocol agrees but for names that are not UTF-8.
            prop_assert_eq!(parsed_table(&bytes).is_some(), utf8);
            prop_assert_eq!(TableBuilder::new().copy_except(table, &[]).finish(), &bytes[..]);
        }
    }

    #[test]
    fn one_changed_byte_is_answered(fields in any_fields(), at: usize, byte: u8) {
        let mut bytes = generated_table(&fields);
        let len = bytes.len();
        if let Some(changed) = bytes.get_mut(at % len.max(1)) {
            *changed = byte;
        }
        if let Ok(table) = TableRef::parse(&bytes) {
            prop_assert_eq!(rebuilt(table).len(), bytes.len());
        }
    }
}
