//! A method is refused, or means the same after being written again; hot and cold paths agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use warren_amqp::method::{BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, BASIC_REJECT, CLASS_BASIC};
use warren_amqp::{
    ColdError, method_ids, parse_ack, parse_method, parse_nack, parse_publish, parse_reject,
    put_method,
};

fuzz_target!(|input: &[u8]| {
    let parsed = parse_method(input);
    if let Some((CLASS_BASIC, method)) = method_ids(input) {
        let args = &input[4..];
        let hot = match method {
            BASIC_PUBLISH => parse_publish(args).map(|_| ()),
            BASIC_ACK => parse_ack(args).map(|_| ()),
            BASIC_NACK => parse_nack(args).map(|_| ()),
            BASIC_REJECT => parse_reject(args).map(|_| ()),
            _ => return,
        };
        assert_eq!(
            hot.map_err(ColdError::Reply),
            parsed.as_ref().map(|_| ()).map_err(Clone::clone)
        );
    }
    let Ok(method) = parsed else { return };
    let mut out = Vec::new();
    put_method(&mut out, 1, &method);
    let again = parse_method(&out[7..out.len() - 1]).expect("what we write is valid");
    // Compared as bytes, since NaN is not equal to itself.
    let mut out_again = Vec::new();
    put_method(&mut out_again, 1, &again);
    assert_eq!(out, out_again);
});
