//! Tests of headers matching, row by row and against a naive evaluation.

use proptest::prelude::*;
use warren_amqp::{AMQPValue, DecimalValue, FieldTable, TableRef, short, table_from_fields};

use super::*;
use crate::matcher::Rule;

fn text(s: &str) -> AMQPValue {
    AMQPValue::LongString(s.into())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(short(key), value.clone());
    }
    table
}

fn rule(binding: u32, arguments: &FieldTable) -> Rule<'_> {
    Rule {
        binding,
        target: binding,
        identity: 0,
        key: "",
        arguments,
    }
}

fn find(index: &Headers, headers: Option<&FieldTable>) -> Vec<u32> {
    let bytes = headers.map(table_from_fields);
    let headers = bytes
        .as_deref()
        .map(|bytes| TableRef::parse(bytes).expect("well formed"));
    let mut found = Found::new();
    index.find(headers, &mut found);
    found.sort_unstable();
    found.dedup();
    found.to_vec()
}

/// Whether one binding with these arguments takes a message with these headers.
fn one(arguments: &[(&str, AMQPValue)], headers: &[(&str, AMQPValue)]) -> bool {
    let mut index = Headers::default();
    let arguments = table(arguments);
    index.insert(rule(3, &arguments));
    let matched = find(&index, Some(&table(headers))) == [3];
    index.remove(rule(3, &arguments));
    assert!(index.is_bare());
    matched
}

impl Headers {
    fn is_bare(&self) -> bool {
        self.keys.is_empty()
            && self.key_ids.is_empty()
            && self.atoms.is_empty()
            && self.tests.is_empty()
            && self.always.is_empty()
    }
}

#[test]
fn x30_modes() {
    let (a, b) = (("a", text("1")), ("b", text("2")));
    let both = [a.clone(), b.clone()];
    let with = |mode: &str| [("x-match", text(mode)), a.clone(), b.clone()];
    assert!(one(&both, &both));
    assert!(!one(&both, std::slice::from_ref(&a)));
    for mode in ["all", "all-with-x"] {
        assert!(one(&with(mode), &both));
        assert!(!one(&with(mode), std::slice::from_ref(&b)));
    }
    for mode in ["any", "any-with-x"] {
        assert!(one(&with(mode), &both));
        assert!(one(&with(mode), std::slice::from_ref(&b)));
        assert!(!one(&with(mode), &[("a", text("2")), ("b", text("1"))]));
    }
}

#[test]
fn x31_arguments_beginning_with_x() {
    let arguments = |mode: &str| {
        [
            ("x-match", text(mode)),
            ("x-a", text("1")),
            ("b", text("2")),
        ]
    };
    let plain = [("b", text("2"))];
    assert!(one(&arguments("all"), &plain));
    assert!(!one(&arguments("all-with-x"), &plain));
    assert!(one(
        &arguments("all-with-x"),
        &[("b", text("2")), ("x-a", text("1"))]
    ));
    let only_x = [("x-a", text("1"))];
    assert!(!one(&arguments("any"), &only_x));
    assert!(one(&arguments("any-with-x"), &only_x));
    // x-match itself is never a condition.
    assert!(!one(
        &[("x-match", text("any-with-x"))],
        &[("x-match", text("any-with-x"))]
    ));
}

#[test]
fn x32_without_conditions() {
    for arguments in [vec![], vec![("x-a", text("1"))]] {
        assert!(one(&arguments, &[]));
        assert!(one(&arguments, &[("a", text("1"))]));
        let mut any = arguments.clone();
        any.push(("x-match", text("any")));
        assert!(!one(&any, &[]));
        assert!(!one(&any, &[("x-a", text("1"))]));
    }
    let mut index = Headers::default();
    index.insert(rule(1, &FieldTable::default()));
    assert_eq!(find(&index, None), [1]);
}

#[test]
fn x33_void_asks_for_presence() {
    let arguments = [("a", AMQPValue::Void)];
    assert!(one(&arguments, &[("a", text("anything"))]));
    assert!(one(&arguments, &[("a", AMQPValue::Void)]));
    assert!(!one(&arguments, &[("b", AMQPValue::Void)]));
    // The reverse is no wildcard.
    assert!(!one(&[("a", text("1"))], &[("a", AMQPValue::Void)]));
}

#[test]
fn x34_values_not_wire_types() {
    use AMQPValue::*;
    let same = [
        vec![
            ShortShortInt(1),
            ShortShortUInt(1),
            ShortInt(1),
            ShortUInt(1),
            LongInt(1),
            LongUInt(1),
            LongLongInt(1),
        ],
        vec![
            LongLongInt(-1),
            ShortShortInt(-1),
            ShortInt(-1),
            LongInt(-1),
        ],
        vec![Float(1.0), Double(1.0)],
        vec![Double(0.0), Double(-0.0)],
        vec![LongString("1".into()), ByteArray(b"1".as_slice().into())],
        vec![Boolean(true)],
        vec![LongString("true".into())],
        vec![Double(1.5), Float(1.5)],
        vec![DecimalValue(self::DecimalValue {
            scale: 1,
            value: 10,
        })],
        vec![LongUInt(u32::MAX), LongLongInt(u32::MAX.into())],
    ];
    for (i, left) in same.iter().enumerate() {
        for (j, right) in same.iter().enumerate() {
            for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
                let equal = one(&[("k", a.clone())], &[("k", b.clone())]);
                assert_eq!(equal, i == j, "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn x34_arrays_and_tables_compare_with_their_types() {
    use AMQPValue::*;
    let array = |items: Vec<AMQPValue>| FieldArray(items.into());
    assert!(one(
        &[("k", array(vec![LongInt(1)]))],
        &[("k", array(vec![LongInt(1)]))]
    ));
    assert!(!one(
        &[("k", array(vec![LongInt(1)]))],
        &[("k", array(vec![LongLongInt(1)]))]
    ));
    assert!(!one(
        &[("k", array(vec![LongInt(1)]))],
        &[("k", array(vec![]))]
    ));
    let nested = |n| FieldTable(table(&[("a", LongInt(n)), ("b", array(vec![Void]))]));
    assert!(one(&[("k", nested(1))], &[("k", nested(1))]));
    assert!(!one(&[("k", nested(1))], &[("k", nested(2))]));
    assert!(!one(
        &[("k", array(vec![]))],
        &[("k", FieldTable(table(&[])))]
    ));
}

#[test]
fn x36_timestamps_are_milliseconds() {
    use AMQPValue::*;
    assert!(one(&[("k", Timestamp(5))], &[("k", Timestamp(5))]));
    assert!(!one(&[("k", Timestamp(5))], &[("k", Timestamp(6))]));
    assert!(!one(&[("k", Timestamp(5))], &[("k", LongInt(5))]));
    assert!(one(&[("k", Timestamp(5))], &[("k", LongInt(5000))]));
    assert!(one(
        &[("k", Timestamp(u64::MAX))],
        &[("k", Timestamp(u64::MAX))]
    ));
}

#[test]
fn of_a_header_sent_twice_the_first_counts() {
    let mut index = Headers::default();
    let (first, second) = (table(&[("k", text("1"))]), table(&[("k", text("2"))]));
    index.insert(rule(1, &first));
    index.insert(rule(2, &second));
    let mut bytes = table_from_fields(&first);
    bytes.extend(table_from_fields(&second));
    let mut found = Found::new();
    index.find(
        Some(TableRef::parse(&bytes).expect("well formed")),
        &mut found,
    );
    assert_eq!(found.as_slice(), [1]);
}

#[test]
fn all_bindings_stand_under_their_rarest_condition() {
    let mut index = Headers::default();
    let tables: Vec<FieldTable> = (0..100)
        .map(|n| table(&[("format", text("pdf")), ("n", AMQPValue::LongInt(n))]))
        .collect();
    for (arguments, id) in tables.iter().zip(0..) {
        index.insert(rule(id, arguments));
    }
    assert!(index.atoms.iter().all(|(_, atom)| atom.tests.len() <= 1));
    assert_eq!(find(&index, Some(&tables[42])), [42]);
}

fn value() -> impl Strategy<Value = AMQPValue> {
    prop_oneof![
        (0i64..3).prop_map(AMQPValue::LongLongInt),
        (0i32..3).prop_map(AMQPValue::LongInt),
        (0u8..3).prop_map(|n| AMQPValue::Double(n.into())),
        (0u8..3).prop_map(|n| text(&n.to_string())),
        (b'0'..b'3').prop_map(|n| AMQPValue::ByteArray(vec![n].into())),
        any::<bool>().prop_map(AMQPValue::Boolean),
        (0u64..3).prop_map(AMQPValue::Timestamp),
        Just(AMQPValue::Void),
    ]
}

fn entries() -> impl Strategy<Value = FieldTable> {
    let key = prop_oneof![Just("a"), Just("b"), Just("c"), Just("x-a"), Just("x-b")];
    prop::collection::vec((key, value()), 0..5).prop_map(|entries| table(&entries))
}

fn arguments() -> impl Strategy<Value = FieldTable> {
    let mode = prop::option::of(prop::sample::select(vec![
        "all",
        "any",
        "all-with-x",
        "any-with-x",
    ]));
    (entries(), mode).prop_map(|(mut arguments, mode)| {
        if let Some(mode) = mode {
            arguments.insert(short("x-match"), text(mode));
        }
        arguments
    })
}

fn equal(a: &AMQPValue, b: &AMQPValue) -> bool {
    use AMQPValue::*;
    let integer = |v: &AMQPValue| match v {
        LongInt(n) => Some(i64::from(*n)),
        LongLongInt(n) => Some(*n),
        Timestamp(n) => Some(*n as i64 * 1000),
        _ => None,
    };
    let binary = |v: &AMQPValue| match v {
        LongString(s) => Some(s.as_bytes().to_vec()),
        ByteArray(s) => Some(s.as_slice().to_vec()),
        _ => None,
    };
    match (integer(a), integer(b), binary(a), binary(b)) {
        (Some(a), Some(b), ..) => a == b,
        (_, _, Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn naive(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let mode = match arguments.inner().get("x-match") {
        Some(AMQPValue::LongString(mode)) => mode.to_string(),
        _ => "all".to_owned(),
    };
    let mut conditions = arguments
        .into_iter()
        .filter(|(key, _)| {
            key.as_str() != "x-match"
                && (mode.ends_with("-with-x") || !key.as_str().starts_with("x-"))
        })
        .map(|(key, wanted)| {
            headers
                .inner()
                .get(key)
                .is_some_and(|value| *wanted == AMQPValue::Void || equal(wanted, value))
        });
    if mode.starts_with("all") {
        conditions.all(|held| held)
    } else {
        conditions.any(|held| held)
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_evaluation(
        bindings in prop::collection::vec(arguments(), 1..30),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..15),
        messages in prop::collection::vec(entries(), 1..10),
    ) {
        let mut index = Headers::default();
        let mut model: Vec<Option<&FieldTable>> = bindings.iter().map(Some).collect();
        for (arguments, id) in bindings.iter().zip(0..) {
            index.insert(rule(id, arguments));
        }
        for place in removed {
            let place = place.index(model.len());
            if let Some(arguments) = model[place].take() {
                index.remove(rule(place as u32, arguments));
            }
        }
        for message in &messages {
            let expected: Vec<u32> = model
                .iter()
                .zip(0..)
                .filter(|(arguments, _)| arguments.is_some_and(|a| naive(a, message)))
                .map(|(_, id)| id)
                .collect();
            prop_assert_eq!(find(&index, Some(message)), expected);
        }
        for (arguments, id) in model.into_iter().zip(0..) {
            if let Some(arguments) = arguments {
                index.remove(rule(id, arguments));
            }
        }
        prop_assert!(index.is_bare());
    }
}
