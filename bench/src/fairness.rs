//! How long a broker makes others wait (`warren-bench fairness`): while one connection does
//! something large, another sends a message and gets it back, again and again. The longest of
//! these rounds, and the longest silence, is what is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, builder::PossibleValuesParser};
use warren_amqp::FrameKind;
use warren_amqp::frame::FRAME_END;

use crate::client::{CHANNEL, Connection, Error, put_frame, text};

/// What the other connection does.
type Disturb = fn(&Fairness, &mut Connection) -> Result<(), Error>;

const SCENARIOS: [(&str, Disturb); 6] = [
    ("nothing", nothing),
    ("slow-consumer", slow_consumer),
    ("large-message", large_message),
    ("purge", purge),
    ("declare", declare_many),
    ("bindings", bind_many),
];

/// Measures the longest time a connection waits for its own small message while another one
/// does something large.
#[derive(Debug, Parser)]
#[command(name = "warren-bench fairness")]
pub(crate) struct Fairness {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    addr: String,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", default_value = "guest:guest")]
    login: String,
    /// What to do; all if none is named
    #[arg(value_name = "SCENARIO", value_parser = PossibleValuesParser::new(SCENARIOS.map(|s| s.0)))]
    scenarios: Vec<String>,
    /// Messages to purge
    #[arg(long, default_value_t = 1_000_000)]
    messages: u32,
    /// Bytes of the large message
    #[arg(long, default_value_t = 100_000_000)]
    size: u32,
    /// Queues to declare
    #[arg(long, default_value_t = 10_000)]
    queues: u32,
    /// Bindings to make
    #[arg(long, default_value_t = 100_000)]
    bindings: u32,
}

impl Fairness {
    /// Runs the scenarios; prints a line for each.
    pub(crate) fn run(&self) -> Result<String, Error> {
        for (name, disturb) in SCENARIOS {
            if !self.scenarios.is_empty() && !self.scenarios.iter().any(|wanted| wanted == name) {
                continue;
            }
            let stop = AtomicBool::new(false);
            let (ready, begin) = mpsc::channel();
            let (took, rounds) = thread::scope(|scope| {
                let pinging = scope.spawn(|| self.ping(&stop, ready));
                // Nothing counts before it runs.
                let _ = begin.recv();
                let started = Instant::now();
                let result = Connection::open(&self.addr, &self.login)
                    .and_then(|mut other| disturb(self, &mut other).map(|()| other));
                let took = started.elapsed();
                stop.store(true, Ordering::Relaxed);
                let rounds = pinging.join().map_err(|_| Error::Panicked)?;
                // What a slow consumer has not read would come before the answer to a close.
                drop(result?);
                Ok::<_, Error>((took, rounds?))
            })?;
            println!(
                "{name:14} longest: {:7.1} ms  99.9 %: {:7.2} ms  rounds: {}  in {:.1} s",
                rounds.longest.as_secs_f64() * 1e3,
                rounds.p999_ms(),
                rounds.times.len(),
                took.as_secs_f64()
            );
        }
        Ok("done".to_owned())
    }

    /// Sends itself messages until `stop`.
    fn ping(&self, stop: &AtomicBool, ready: mpsc::Sender<()>) -> Result<Rounds, Error> {
        let mut conn = Connection::open(&self.addr, &self.login)?;
        let queue = "fairness-ping";
        declare(&mut conn, queue)?;
        consume(&mut conn, queue)?;
        let message = published(queue, b"ping", conn.frame_max);
        let mut rounds = Rounds::default();
        let _ = ready.send(());
        while !stop.load(Ordering::Relaxed) {
            let sent = Instant::now();
            conn.send(&message)?;
            let mut came = false;
            while !came {
                if !conn.fill()? {
                    return Err(crate::client::silence());
                }
                conn.take_frames(|frame| {
                    came |= frame.kind == FrameKind::Body;
                    Ok(())
                })?;
            }
            rounds.add(sent.elapsed());
        }
        conn.call(
            CHANNEL,
            (50, 40),
            &[&[0, 0], &text(queue)[..], &[0]].concat(),
        )?;
        conn.close()?;
        Ok(rounds)
    }
}

/// Times of rounds.
#[derive(Default)]
struct Rounds {
    times: Vec<u32>,
    longest: Duration,
}

impl Rounds {
    fn add(&mut self, time: Duration) {
        self.longest = self.longest.max(time);
        self.times.push(time.as_micros() as u32);
    }

    fn p999_ms(&self) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let at = sorted.len() * 999 / 1000;
        sorted.get(at).map_or(0.0, |us| f64::from(*us) / 1e3)
    }
}

fn nothing(_: &Fairness, _: &mut Connection) -> Result<(), Error> {
    thread::sleep(Duration::from_secs(5));
    Ok(())
}

/// A consumer of everything that reads nothing, while its queue fills.
fn slow_consumer(plan: &Fairness, conn: &mut Connection) -> Result<(), Error> {
    let queue = "fairness-slow";
    declare(conn, queue)?;
    consume(conn, queue)?;
    let mut other = Connection::open(&plan.addr, &plan.login)?;
    let batch = published(queue, &[b'x'; 1024], other.frame_max).repeat(100);
    for _ in 0..500 {
        other.send(&batch)?;
    }
    other.call(
        CHANNEL,
        (50, 30),
        &[&[0, 0], &text(queue)[..], &[0]].concat(),
    )?;
    thread::sleep(Duration::from_secs(1));
    other.call(
        CHANNEL,
        (50, 40),
        &[&[0, 0], &text(queue)[..], &[0]].concat(),
    )?;
    other.close()
}

/// One message of 100 MB, in and out again.
fn large_message(plan: &Fairness, conn: &mut Connection) -> Result<(), Error> {
    let queue = "fairness-large";
    declare(conn, queue)?;
    let body = vec![b'x'; plan.size as usize];
    for _ in 0..3 {
        conn.send(&published(queue, &body, conn.frame_max))?;
        // Get it, and wait for its last octet.
        conn.tell(
            CHANNEL,
            (60, 70),
            &[&[0, 0], &text(queue)[..], &[1]].concat(),
        )?;
        let mut left = body.len();
        while left > 0 {
            if !conn.fill()? {
                return Err(crate::client::silence());
            }
            conn.take_frames(|frame| {
                if frame.kind == FrameKind::Body {
                    left -= frame.payload.len();
                }
                Ok(())
            })?;
        }
    }
    delete(conn, queue)
}

/// A purge of a million messages.
fn purge(plan: &Fairness, conn: &mut Connection) -> Result<(), Error> {
    let queue = "fairness-purge";
    declare(conn, queue)?;
    let batch = published(queue, b"x", conn.frame_max).repeat(1000);
    for _ in 0..plan.messages / 1000 {
        conn.send(&batch)?;
    }
    conn.call(
        CHANNEL,
        (50, 30),
        &[&[0, 0], &text(queue)[..], &[0]].concat(),
    )?;
    delete(conn, queue)
}

/// Ten thousand queues, declared and deleted, all in one go.
fn declare_many(plan: &Fairness, conn: &mut Connection) -> Result<(), Error> {
    about_each(conn, ((50, 10), &[0; 5]), "fairness-", plan.queues)?;
    delete_all(conn, "fairness-", plan.queues)
}

/// Declares so many durable queues, all in one go.
pub(crate) fn declare_durable(conn: &mut Connection, prefix: &str, n: u32) -> Result<(), Error> {
    about_each(conn, ((50, 10), &[2, 0, 0, 0, 0]), prefix, n)
}

/// Deletes so many queues, all in one go.
pub(crate) fn delete_all(conn: &mut Connection, prefix: &str, n: u32) -> Result<(), Error> {
    about_each(conn, ((50, 40), &[0]), prefix, n)
}

/// One method about each of so many queues, whose names are `prefix` and a number.
fn about_each(
    conn: &mut Connection,
    (ids, tail): ((u16, u16), &[u8]),
    prefix: &str,
    n: u32,
) -> Result<(), Error> {
    let mut out = Vec::new();
    for n in 0..n {
        let name = text(&format!("{prefix}{n}"));
        method(&mut out, ids, &[&[0, 0], &name[..], tail].concat());
    }
    send_while_reading(conn, &out, n)
}

/// A table of a hundred thousand bindings, built in one go and dropped with its queue.
fn bind_many(plan: &Fairness, conn: &mut Connection) -> Result<(), Error> {
    let queue = "fairness-bindings";
    declare(conn, queue)?;
    for exchange in ["amq.topic", "amq.direct", "amq.headers"] {
        let mut out = Vec::new();
        for n in 0..plan.bindings / 3 {
            let key = text(&format!("a.{n}.*.b"));
            let table = header_table(n);
            let args = [
                &[0, 0],
                &text(queue)[..],
                &text(exchange),
                &key,
                &[0],
                &table,
            ]
            .concat();
            method(&mut out, (50, 20), &args);
        }
        send_while_reading(conn, &out, plan.bindings / 3)?;
    }
    delete(conn, queue)
}

/// A table with one number, so that bindings to a headers exchange differ.
fn header_table(n: u32) -> Vec<u8> {
    let entry = [&text("n")[..], b"I", &n.to_be_bytes()].concat();
    [&(entry.len() as u32).to_be_bytes()[..], &entry].concat()
}

/// Sends methods and reads their answers, so that neither side waits for the other.
fn send_while_reading(conn: &mut Connection, out: &[u8], answers: u32) -> Result<(), Error> {
    let mut writer = conn.stream()?;
    thread::scope(|scope| {
        let writing = scope.spawn(move || std::io::Write::write_all(&mut writer, out));
        let mut left = answers;
        while left > 0 {
            if !conn.fill()? {
                return Err(crate::client::silence());
            }
            conn.take_frames(|frame| {
                if frame.payload.get(..2) == Some(&[0, 20]) {
                    return Err(crate::client::unexpected(frame.payload));
                }
                left -= 1;
                Ok(())
            })?;
        }
        writing
            .join()
            .map_err(|_| Error::Panicked)?
            .map_err(Error::from)
    })
}

fn declare(conn: &mut Connection, queue: &str) -> Result<(), Error> {
    conn.call(
        CHANNEL,
        (50, 10),
        &[&[0, 0], &text(queue)[..], &[0, 0, 0, 0, 0]].concat(),
    )
}

fn delete(conn: &mut Connection, queue: &str) -> Result<(), Error> {
    conn.call(
        CHANNEL,
        (50, 40),
        &[&[0, 0], &text(queue)[..], &[0]].concat(),
    )
}

/// Consumes without acks.
fn consume(conn: &mut Connection, queue: &str) -> Result<(), Error> {
    let args = [&[0, 0], &text(queue)[..], &text("c"), &[2, 0, 0, 0, 0]].concat();
    conn.call(CHANNEL, (60, 20), &args)
}

fn method(out: &mut Vec<u8>, ids: (u16, u16), args: &[u8]) {
    let payload = [&ids.0.to_be_bytes(), &ids.1.to_be_bytes(), args].concat();
    put_frame(out, FrameKind::Method, CHANNEL, &payload);
}

/// The frames of a transient message to a queue.
fn published(queue: &str, body: &[u8], frame_max: u32) -> Vec<u8> {
    let mut out = Vec::new();
    method(
        &mut out,
        (60, 40),
        &[&[0, 0, 0], &text(queue)[..], &[0]].concat(),
    );
    let size = (body.len() as u64).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, &[0, 0]].concat();
    put_frame(&mut out, FrameKind::Header, CHANNEL, &header);
    for part in body.chunks(frame_max as usize - 8) {
        put_frame(&mut out, FrameKind::Body, CHANNEL, part);
    }
    debug_assert_eq!(out.last(), Some(&FRAME_END));
    out
}
