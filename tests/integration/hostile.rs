//! Broken, mutated and random bytes from several clients at once. Nothing they send may make the
//! broker panic, hang, forget its other clients or grow without bound.

use crate::{
    dialogue::*,
    harness::Broker,
    random::{Random, setting},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const THREADS: u64 = 6;
/// How much memory the broker may have grown by once it had time to let go.
const GROWTH_ALLOWED: u64 = 200 << 20;

/// The frames of a session in which everything is right; attacks start from them.
fn good_session(random: &mut Random) -> Vec<Vec<u8>> {
    let login = Login::default();
    let q = format!("hostile-{}", random.below(20));
    let arguments = table(&[
        ("x-max-length", int(10)),
        (
            "nested",
            AMQPValue::FieldTable(table(&[("a", array(vec![int(1), string("b")]))])),
        ),
    ]);
    let props = properties()
        .with_content_type("text/plain".into())
        .with_headers(table(&[("n", long(1)), ("s", string("x"))]))
        .with_expiration("1000".into());
    let method = |channel, method: AMQPClass| encode(METHOD, channel, &method_payload(&method));
    vec![
        PROTOCOL_HEADER.to_vec(),
        method(0, login.start_ok().into_class()),
        method(0, login.tune_ok().into_class()),
        method(0, open_vhost("/").into_class()),
        method(1, channel::Open {}.into_class()),
        method(
            1,
            queue::Declare {
                auto_delete: true,
                arguments,
                ..declare(&q)
            }
            .into_class(),
        ),
        method(1, bind(&q, "amq.topic", "a.#").into_class()),
        method(1, confirm_select().into_class()),
        method(1, qos(5).into_class()),
        method(1, consume(&q, "t").into_class()),
        method(1, publish("amq.topic", "a.b").into_class()),
        encode(HEADER, 1, &header_payload(5, &props)),
        encode(BODY, 1, b"hello"),
        method(1, ack_up_to(0).into_class()),
        method(1, get(&q).into_class()),
        method(1, nack(1).into_class()),
        method(1, cancel("t").into_class()),
        method(1, close_channel().into_class()),
        encode(HEARTBEAT, 0, b""),
    ]
}

/// Damages one frame, or puts something else in its place.
fn mutate(frame: &mut Vec<u8>, random: &mut Random) {
    if frame.is_empty() {
        return;
    }
    match random.below(11) {
        0 => {
            let at = random.below(frame.len());
            frame[at] = random.byte();
        }
        1 => {
            let at = random.below(frame.len());
            frame[at] ^= 1 << random.below(8);
        }
        2 => frame.truncate(random.below(frame.len())),
        3 => {
            let at = random.below(frame.len());
            frame.insert(at, random.byte());
        }
        4 if frame.len() > 7 => {
            let size = *random.pick(&[0, 1, 4096, 131_073, 0x7FFF_FFFF, u32::MAX]);
            frame[3..7].copy_from_slice(&size.to_be_bytes());
        }
        5 if frame.len() > 7 => {
            let channel = *random.pick(&[0, 1, 2, 2047, 65_535]);
            frame[1..3].copy_from_slice(&u16::to_be_bytes(channel));
        }
        6 => *frame = (0..random.below(300)).map(|_| random.byte()).collect(),
        7 => *frame = encode(METHOD, 1, &random_method(random)),
        8 => {
            let size = *random.pick(&[0, 1, 1 << 20, 1 << 40, u64::MAX]);
            *frame = encode(HEADER, 1, &raw_header_payload(60, 0, size, &[0, 0]));
        }
        9 => *frame = deep_table(random.below(60_000)),
        _ => {
            let flags: Vec<u8> = (0..random.below(60)).map(|_| random.byte()).collect();
            *frame = encode(HEADER, 1, &raw_header_payload(60, 0, 5, &flags));
        }
    }
}

/// A known class and method with arguments made up.
fn random_method(random: &mut Random) -> Vec<u8> {
    let class = *random.pick(&[10, 20, 30, 40, 50, 60, 85, 90]);
    let method = *random.pick(&[10, 11, 20, 21, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
    let mut payload = [u16::to_be_bytes(class), u16::to_be_bytes(method)].concat();
    for _ in 0..random.below(40) {
        let byte = if random.one_in(2) { 0 } else { random.byte() };
        payload.push(byte);
    }
    payload
}

/// queue.declare whose arguments are arrays in arrays, as deep as `levels`, if that fits.
fn deep_table(levels: usize) -> Vec<u8> {
    let levels = levels.min(131_000 / 5);
    let mut value = Vec::new();
    for level in 0..levels {
        value.push(b'A');
        value.extend(((levels - level - 1) as u32 * 5).to_be_bytes());
    }
    let mut arguments = vec![1, b'a'];
    arguments.extend(value);
    let mut payload = vec![0, 50, 0, 10, 0, 0, 1, b'q', 0];
    payload.extend((arguments.len() as u32).to_be_bytes());
    payload.extend(arguments);
    encode(METHOD, 1, &payload)
}

/// One connection: a good beginning, then whatever comes to mind. Gives the bytes that came back;
/// errors are expected.
fn attack(addr: SocketAddr, random: &mut Random) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    stream.set_read_timeout(Some(Duration::from_millis(1 + random.below(30) as u64)))?;
    let mut frames = good_session(random);
    if random.one_in(20) {
        frames = vec![(0..random.below(5000)).map(|_| random.byte()).collect()];
    } else {
        let good = random.below(frames.len());
        for frame in &mut frames[good..] {
            if random.one_in(3) {
                mutate(frame, random);
            }
        }
        if random.one_in(4) {
            let at = good + random.below(frames.len() - good);
            frames.swap(good, at);
        }
    }
    let bytes = frames.concat();
    if random.one_in(10) {
        // a handful of bytes at a time
        for part in bytes.chunks(1 + random.below(100)) {
            stream.write_all(part)?;
            thread::yield_now();
        }
    } else {
        stream.write_all(&bytes)?;
    }
    let mut answer = [0; 4096];
    let mut answered = 0;
    for _ in 0..random.below(6) {
        match stream.read(&mut answer) {
            Ok(0) | Err(_) => break,
            Ok(n) => answered += n,
        }
    }
    Ok(answered)
}

/// Handshakes that never end, held open while the others attack.
fn slow_handshakes(addr: SocketAddr, until: Instant) {
    let mut open = Vec::new();
    while Instant::now() < until {
        if open.len() < 100
            && let Ok(mut stream) = TcpStream::connect(addr)
        {
            stream.write_all(b"AMQ").ok();
            open.push(stream);
        }
        thread::sleep(Duration::from_millis(20));
        if let Some(stream) = open.first_mut() {
            stream.write_all(b"P").ok();
        }
    }
}

fn work_normally(broker: &Broker) {
    let started = Instant::now();
    let mut c = broker.client();
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare("normal")
        },
    );
    c.call(1, confirm_select());
    c.put("normal", "as if nothing had happened");
    let _: basic::Ack = c.expect(1);
    c.take("normal", "as if nothing had happened");
    c.call(0, close_connection());
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "a normal client had to wait {took:?}"
    );
}

#[test]
fn hostile_bytes_harm_nobody() {
    let seed = setting("HOSTILE_SEED", 4_092_026);
    let seconds = setting("HOSTILE_SECONDS", 5);
    println!("HOSTILE_SEED={seed} HOSTILE_SECONDS={seconds}");
    let mut broker = Broker::start(&["handshake_timeout = 2000"]);
    work_normally(&broker);
    let before = broker.process().rss_bytes();
    let until = Instant::now() + Duration::from_secs(seconds);
    let addr = broker.addr();
    let (attacks, logged_in) = (&AtomicU64::new(0), &AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| slow_handshakes(addr, until));
        for number in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(seed).fork(number);
                while Instant::now() < until {
                    // The broker hanging up is as good an answer as any.
                    let answered = attack(addr, &mut random).is_ok_and(|bytes| bytes > 600);
                    attacks.fetch_add(1, Ordering::Relaxed);
                    logged_in.fetch_add(u64::from(answered), Ordering::Relaxed);
                }
            });
        }
        while Instant::now() < until {
            work_normally(&broker);
            thread::sleep(Duration::from_millis(200));
        }
    });
    println!("{attacks:?} attacks, {logged_in:?} with more than a start for an answer");
    work_normally(&broker);
    assert!(broker.process().is_running());
    let log = broker.log();
    if let Some(at) = log.find("panicked") {
        let around = &log[log[..at].rfind('\n').unwrap_or(0)..];
        panic!(
            "the broker panicked: {}",
            around.chars().take(1000).collect::<String>()
        );
    }
    thread::sleep(Duration::from_secs(4)); // refused logins and fatal errors linger for 3 s
    let after = broker.process().rss_bytes();
    assert!(
        after < before + GROWTH_ALLOWED,
        "memory went from {before} to {after} bytes"
    );
    assert!(broker.terminate().success());
}

#[test]
fn huge_declared_sizes_reserve_nothing() {
    let mut broker = Broker::start(&[]);
    work_normally(&broker);
    let before = broker.process().rss_bytes();
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut c = broker.client();
        for channel in 2..50 {
            c.open_channel(channel);
            c.send(channel, publish("amq.fanout", ""));
            c.send_frame(
                HEADER,
                channel,
                &raw_header_payload(60, 0, 130_000_000, &[0, 0]),
            );
        }
        c.call(1, qos(0));
        peers.push(c);
    }
    let after = broker.process().rss_bytes();
    assert!(
        after < before + GROWTH_ALLOWED,
        "memory went from {before} to {after} bytes"
    );
    work_normally(&broker);
}

#[test]
fn deep_tables_are_refused() {
    for levels in [33, 1000, 26_000] {
        let broker = crate::harness::shared();
        let mut c = broker.client();
        c.send_bytes(&deep_table(levels));
        if crate::harness::is_oracle() {
            return;
        }
        let close: connection::Close = c.expect(0);
        assert!(matches!(close.reply_code, 501 | 502), "{close:?}");
        broker.client().expect_alive();
    }
}
