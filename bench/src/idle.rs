//! What connections and queues cost that do nothing (`warren-bench idle`), and what it costs to open and close
//! them (`warren-bench churn`).

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::client::{Connection, Error};
use crate::fairness::{declare_durable, delete_all};
use crate::measure::{cpu_seconds, resident_kib};

/// Opens connections with a channel each, leaves them alone, and prints what the broker's memory
/// grew by; then the same with empty durable queues.
#[derive(Debug, Parser)]
#[command(name = "warren-bench idle")]
pub(crate) struct Idle {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    addr: String,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", default_value = "guest:guest")]
    login: String,
    /// Process of the broker
    #[arg(long, value_delimiter = ',', required = true)]
    pid: Vec<u32>,
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Queues
    #[arg(long, default_value_t = 0)]
    queues: u32,
    /// Seconds to leave them alone before measuring
    #[arg(long, value_name = "S", default_value_t = 2)]
    rest: u32,
}

impl Idle {
    /// Runs it; the result is a line for people.
    pub(crate) fn run(&self) -> Result<String, Error> {
        let before = resident_kib(&self.pid);
        let cpu = cpu_seconds(&self.pid);
        let mut open: Vec<TcpStream> = Vec::new();
        for _ in 0..self.connections {
            open.push(Connection::open(&self.addr, &self.login)?.into_stream());
        }
        let opening_s = cpu_seconds(&self.pid) - cpu;
        thread::sleep(Duration::from_secs(self.rest.into()));
        let after = resident_kib(&self.pid);
        let each = after.saturating_sub(before) as f64 / f64::from(self.connections.max(1));
        drop(open);
        thread::sleep(Duration::from_secs(self.rest.into()));
        let left = resident_kib(&self.pid);
        let queues = self.keep_queues()?;
        Ok(format!(
            "connections: {}  before: {before} KiB  with them: {after} KiB  each: {each:.1} KiB  \
             after closing: {left} KiB  broker CPU to open one: {:.0} us{queues}",
            self.connections,
            opening_s * 1e6 / f64::from(self.connections.max(1))
        ))
    }

    /// Declares queues, looks at what they cost, and deletes them.
    fn keep_queues(&self) -> Result<String, Error> {
        if self.queues == 0 {
            return Ok(String::new());
        }
        let mut conn = Connection::open(&self.addr, &self.login)?;
        let before = resident_kib(&self.pid);
        let started = Instant::now();
        declare_durable(&mut conn, "idle-", self.queues)?;
        let took_s = started.elapsed().as_secs_f64();
        thread::sleep(Duration::from_secs(self.rest.into()));
        let after = resident_kib(&self.pid);
        let each = after.saturating_sub(before) as f64 / f64::from(self.queues);
        delete_all(&mut conn, "idle-", self.queues)?;
        conn.close()?;
        Ok(format!(
            "\nqueues: {}  declared in {took_s:.1} s  before: {before} KiB  with them: {after} KiB  \
             each: {each:.1} KiB",
            self.queues
        ))
    }
}

/// Opens connections with a channel and closes them again, as fast as it can, for a while.
#[derive(Debug, Parser)]
#[command(name = "warren-bench churn")]
pub(crate) struct Churn {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    addr: String,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", default_value = "guest:guest")]
    login: String,
    /// Process of the broker
    #[arg(long, value_delimiter = ',', required = true)]
    pid: Vec<u32>,
    /// Threads that do so, each with one connection at a time
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Seconds
    #[arg(long, value_name = "S", default_value_t = 5)]
    duration: u32,
}

impl Churn {
    /// Runs it; the result is a line for people.
    pub(crate) fn run(&self) -> Result<String, Error> {
        let end = Instant::now() + Duration::from_secs(self.duration.into());
        let cpu = cpu_seconds(&self.pid);
        let started = Instant::now();
        let count = thread::scope(|scope| {
            let each = || {
                let mut count = 0_u64;
                while Instant::now() < end {
                    Connection::open(&self.addr, &self.login)?.close()?;
                    count += 1;
                }
                Ok::<u64, Error>(count)
            };
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(each)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| Error::Panicked)?)
                .sum::<Result<u64, Error>>()
        })?;
        let cpu = cpu_seconds(&self.pid) - cpu;
        Ok(format!(
            "connections opened and closed: {count}  per second: {:.0}  per broker CPU second: {:.0}",
            count as f64 / started.elapsed().as_secs_f64(),
            count as f64 / cpu.max(1e-9)
        ))
    }
}
