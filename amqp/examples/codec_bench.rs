//! How long the hot path takes, in nanoseconds a message: `cargo run --release --example
//! codec_bench -p warren-amqp`. The best of several rounds, on one core; not a test.

// The program's clock is for what it decides by; this is a stopwatch.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::Instant;

use warren_amqp::frame::{Frame, split};
use warren_amqp::{
    AMQPClass, Properties, TableBuilder, TableRef, encode_content_header, make_address,
    parse_content_header, parse_method, parse_properties, parse_publish, protocol, put_body,
    put_deliver_head, put_method,
};

const ROUNDS: usize = 20;
const MESSAGES: usize = 50_000;

fn main() {
    let headers = TableBuilder::new()
        .longstr("tenant", "acme")
        .long("n", 7)
        .bool("b", true)
        .finish();
    let lean = Properties {
        delivery_mode: Some(2),
        ..Properties::default()
    };
    let typical = Properties {
        content_type: Some(b"application/json"),
        headers: Some(TableRef::new(&headers)),
        priority: Some(1),
        correlation_id: Some(b"3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        message_id: Some(b"3f2504e0-4f89-11d3-9a0c-0305e82c3302"),
        timestamp: Some(1_700_000_000),
        ..lean
    };
    for (name, properties, size) in [
        ("16 B, delivery mode only", lean, 16),
        ("16 B, typical properties", typical, 16),
        ("1 KiB, typical properties", typical, 1024),
    ] {
        let body = vec![b'x'; size];
        let message = published(&properties, &body);
        let header = encode_content_header(size as u64, &properties);
        println!("{name}:");
        report("frames, publish, header, body in", || {
            parse(black_box(&message))
        });
        report("  of these, without framing", || {
            parse_payloads(black_box(&message), header.len())
        });
        let mut address = Vec::new();
        make_address(&mut address, "orders", "eu.created");
        let mut out = Vec::with_capacity(4096);
        report("deliver, header, body out", || {
            out.clear();
            put_deliver_head(
                &mut out,
                1,
                b"ctag-1",
                42,
                false,
                black_box(&address),
                &header,
            );
            put_body(&mut out, 1, 131_072, black_box(&body));
            out.len()
        });
    }
}

/// The frames of one published message.
fn published(properties: &Properties<'_>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let publish = protocol::basic::Publish {
        exchange: "orders".into(),
        routing_key: "eu.created".into(),
        ..Default::default()
    };
    put_method(
        &mut out,
        1,
        &AMQPClass::Basic(protocol::basic::AMQPMethod::Publish(publish)),
    );
    assert!(parse_method(&out[7..out.len() - 1]).is_ok());
    let header = encode_content_header(body.len() as u64, properties);
    out.extend_from_slice(&[2, 0, 1]);
    out.extend_from_slice(&(header.len() as u32).to_be_bytes());
    out.extend_from_slice(&header);
    out.push(0xCE);
    put_body(&mut out, 1, 131_072, body);
    out
}

fn next<'a>(stream: &mut &'a [u8]) -> Frame<'a> {
    let (frame, used) = split(stream, 131_072)
        .expect("well formed")
        .expect("complete");
    *stream = &stream[used..];
    frame
}

fn parse(mut stream: &[u8]) -> usize {
    let publish = parse_publish(&next(&mut stream).payload[4..]).expect("well formed");
    let header = parse_content_header(next(&mut stream).payload).expect("well formed");
    let properties = parse_properties(header.properties).expect("well formed");
    let body = next(&mut stream).payload;
    black_box((publish.address.len(), properties.delivery_mode, body.len())).0
}

/// The same without splitting: where the frames are is known.
fn parse_payloads(stream: &[u8], header_len: usize) -> usize {
    let method_len = stream[6] as usize;
    let publish = parse_publish(&stream[11..7 + method_len]).expect("well formed");
    let header_at = method_len + 15;
    let header = &stream[header_at..header_at + header_len];
    let header = parse_content_header(header).expect("well formed");
    let properties = parse_properties(header.properties).expect("well formed");
    black_box((publish.address.len(), properties.delivery_mode)).0
}

fn report(what: &str, mut once: impl FnMut() -> usize) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..MESSAGES {
            black_box(once());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    println!("  {what:<36} {best:6.1} ns");
}
