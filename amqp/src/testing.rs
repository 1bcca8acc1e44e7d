//! What the tests of several files share: random values, and `amq-protocol` as a second opinion.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use amq_protocol::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use proptest::collection::{btree_map, vec};
use proptest::num::{f32, f64};
use proptest::prelude::*;

/// Bytes of text up to what a short string holds, mostly short.
pub(crate) fn any_short() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z.#*-]{0,12}",
        2 => "\\PC{0,40}",
        1 => "[a-z]{255}",
    ]
}

pub(crate) fn any_scalar() -> impl Strategy<Value = AMQPValue> {
    prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        f32::NORMAL.prop_map(AMQPValue::Float),
        f64::NORMAL.prop_map(AMQPValue::Double),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        vec(any::<u8>(), 0..40).prop_map(|v| AMQPValue::LongString(v.into())),
        vec(any::<u8>(), 0..40).prop_map(|v| AMQPValue::ByteArray(v.into())),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        Just(AMQPValue::Void),
    ]
}

pub(crate) fn any_value() -> impl Strategy<Value = AMQPValue> {
    any_scalar().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|v| AMQPValue::FieldArray(v.into())),
            btree_map(any_short().prop_map(ShortString::from), inner, 0..6)
                .prop_map(|v| AMQPValue::FieldTable(v.into())),
        ]
    })
}

pub(crate) fn any_fields() -> impl Strategy<Value = FieldTable> {
    btree_map(any_short().prop_map(ShortString::from), any_value(), 0..6).prop_map(Into::into)
}

/// The encoded form of a table without its length, by `amq-protocol`.
pub(crate) fn generated_table(fields: &FieldTable) -> Vec<u8> {
    let written = gen_field_table(fields)(WriteContext::from(Vec::new()));
    written
        .expect("a Vec takes all")
        .into_inner()
        .0
        .split_off(4)
}

/// A table by `amq-protocol`, from its encoded form without length.
pub(crate) fn parsed_table(bytes: &[u8]) -> Option<FieldTable> {
    let mut counted = (bytes.len() as u32).to_be_bytes().to_vec();
    counted.extend_from_slice(bytes);
    match parse_field_table(&counted[..]) {
        Ok(([], fields)) => Some(fields),
        _ => None,
    }
}

/// The frames in `bytes`, by `amq-protocol`; panics if there is anything else.
pub(crate) fn parsed_frames(mut bytes: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (rest, frame) = parse_frame(bytes).expect("whole frames");
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// A frame's bytes, by `amq-protocol`.
pub(crate) fn generated_frame(frame: &AMQPFrame) -> Vec<u8> {
    let written = gen_frame(frame)(WriteContext::from(Vec::new()));
    written.expect("a Vec takes all").into_inner().0
}

/// `levels` arrays inside each other, as the value of a table's only entry; without length.
pub(crate) fn nested_arrays(levels: usize) -> Vec<u8> {
    let mut bytes = vec![1, b'k'];
    for level in (0..levels).rev() {
        bytes.push(b'A');
        bytes.extend_from_slice(&(level as u32 * 5).to_be_bytes());
    }
    bytes
}
