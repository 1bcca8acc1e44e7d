//! Filling durable queues and leaving them as they are (`warren-bench fill`): what a restart or a
//! measurement of memory begins with.

use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use warren_amqp::frame::FrameKind;

use crate::client::{CHANNEL, Connection, Error, put_frame, silence, text, unexpected};
use crate::measure::{peak_kib, resident_kib};

/// Declares durable queues fill-0, fill-1 and so on, publishes persistent messages to them in turn,
/// waits until all are confirmed, and says how many the queues hold then.
#[derive(Debug, Parser)]
#[command(name = "warren-bench fill")]
pub(crate) struct Fill {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    addr: String,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", default_value = "guest:guest")]
    login: String,
    /// Keep trying to log in for so many seconds
    #[arg(long, value_name = "S", default_value_t = 0)]
    wait: u32,
    /// Process of the broker, to measure its memory
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Queues
    #[arg(long, default_value_t = 10)]
    queues: u32,
    /// Messages, over all queues
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Bytes of a body
    #[arg(long, default_value_t = 128)]
    size: u32,
    /// Unconfirmed messages at most
    #[arg(long, value_name = "WINDOW", default_value_t = 10_000)]
    confirm: u64,
}

impl Fill {
    /// Runs it; the result is a line for people.
    pub(crate) fn run(&self) -> Result<String, Error> {
        let mut conn = self.open()?;
        let started = Instant::now();
        let found: u64 = self.declare(&mut conn)?;
        let declared = started.elapsed();
        let started = Instant::now();
        if self.messages > 0 {
            self.publish(&mut conn)?;
        }
        let published = started.elapsed().as_secs_f64();
        conn.close()?;
        let rate = self.messages as f64 / published.max(1e-9);
        let memory = if self.pid.is_empty() {
            String::new()
        } else {
            let (now, peak) = (resident_kib(&self.pid), peak_kib(&self.pid));
            format!("  resident: {} MiB  peak: {} MiB", now / 1024, peak / 1024)
        };
        Ok(format!(
            "found: {found}  queues declared in: {:.2} s  published: {}  per second: {rate:.0}{memory}",
            declared.as_secs_f64(),
            self.messages
        ))
    }

    fn open(&self) -> Result<Connection, Error> {
        let end = Instant::now() + Duration::from_secs(self.wait.into());
        loop {
            match Connection::open(&self.addr, &self.login) {
                Err(Error::Io(_)) if Instant::now() < end => {
                    thread::sleep(Duration::from_millis(20));
                }
                outcome => return outcome,
            }
        }
    }

    /// Declares the queues; how many messages they hold.
    fn declare(&self, conn: &mut Connection) -> Result<u64, Error> {
        const DURABLE: u8 = 2;
        let mut frames = Vec::new();
        for n in 0..self.queues {
            let name = text(&queue(n.into()));
            let args = [&[0, 50, 0, 10, 0, 0], &name[..], &[DURABLE, 0, 0, 0, 0]];
            put_frame(&mut frames, FrameKind::Method, CHANNEL, &args.concat());
        }
        conn.send(&frames)?;
        let (mut answers, mut found) = (0, 0u64);
        let queues = self.queues;
        answered(
            conn,
            |payload| {
                // declare-ok: queue, message count, consumer count.
                let count = payload
                    .len()
                    .checked_sub(8)
                    .and_then(|at| payload.get(at..));
                let count = count.and_then(|rest| rest.first_chunk());
                match count {
                    Some(count) if payload.starts_with(&[0, 50, 0, 11]) => {
                        answers += 1;
                        found += u64::from(u32::from_be_bytes(*count));
                        Ok(answers < queues)
                    }
                    _ => Err(unexpected(payload)),
                }
            },
            queues > 0,
        )?;
        Ok(found)
    }

    fn publish(&self, conn: &mut Connection) -> Result<(), Error> {
        conn.call(CHANNEL, (85, 10), &[0])?;
        let body = vec![b'x'; self.size as usize];
        let header = [
            &[0, 60, 0, 0][..],
            &u64::from(self.size).to_be_bytes(),
            // Of the properties the delivery mode: persistent.
            &[0x10, 0, 2],
        ]
        .concat();
        let (mut sent, mut confirmed, mut frames) = (0, 0, Vec::new());
        let half = self.confirm.div_ceil(2).max(1);
        let part = conn.frame_max as usize - 8;
        while confirmed < self.messages {
            let end = self.messages.min(sent + half);
            frames.clear();
            for n in sent..end {
                let key = text(&queue(n % u64::from(self.queues.max(1))));
                let method = [&[0, 60, 0, 40, 0, 0, 0], &key[..], &[0]].concat();
                put_frame(&mut frames, FrameKind::Method, CHANNEL, &method);
                put_frame(&mut frames, FrameKind::Header, CHANNEL, &header);
                for part in body.chunks(part) {
                    put_frame(&mut frames, FrameKind::Body, CHANNEL, part);
                }
            }
            conn.send(&frames)?;
            sent = end;
            // The next half goes out while the last one is on its way to the disk.
            let enough = if sent == self.messages {
                sent
            } else {
                sent - half
            };
            let more = confirmed < enough;
            answered(
                conn,
                |payload| {
                    let tag = payload.get(4..12).and_then(|tag| tag.first_chunk());
                    match tag {
                        Some(tag) if payload.starts_with(&[0, 60, 0, 80]) => {
                            confirmed = confirmed.max(u64::from_be_bytes(*tag));
                            Ok(confirmed < enough)
                        }
                        _ => Err(unexpected(payload)),
                    }
                },
                more,
            )?;
        }
        Ok(())
    }
}

/// Hands the methods that come to `see`, until it says that it has seen enough.
fn answered(
    conn: &mut Connection,
    mut see: impl FnMut(&[u8]) -> Result<bool, Error>,
    mut more: bool,
) -> Result<(), Error> {
    while more {
        if !conn.fill()? {
            return Err(silence());
        }
        conn.take_frames(|frame| {
            if frame.kind == FrameKind::Method {
                more = see(frame.payload)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn queue(n: u64) -> String {
    format!("fill-{n}")
}
