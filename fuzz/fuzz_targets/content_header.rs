//! A content header is refused, or its properties can be read and written again unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use warren_amqp::{encode_content_header, parse_content_header, parse_properties};

/// Flag bits that mean nothing are dropped when a header is written again.
const MEANINGLESS: u8 = 0b11;

fuzz_target!(|input: &[u8]| {
    let Ok(header) = parse_content_header(input) else {
        return;
    };
    let _ = header.expect_basic();
    let Ok(properties) = parse_properties(header.properties) else {
        return;
    };
    let written = encode_content_header(header.body_size, &properties);
    let again = parse_content_header(&written).expect("what we write is valid");
    assert_eq!(parse_properties(again.properties), Ok(properties));
    let mut expected = header.properties.to_vec();
    expected[1] &= !MEANINGLESS;
    assert_eq!(again.properties, expected);
});
