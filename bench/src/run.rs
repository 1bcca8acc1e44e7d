//! A run: queues, connections, threads, the measured span, and the end.

use std::io::IsTerminal;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::client::{CHANNEL, Connection, Error, text};
use crate::consumer::Consumer;
use crate::measure::{Histogram, cpu_seconds, peak_kib};
use crate::plan::Plan;
use crate::producer::Producer;
use crate::tally::Tally;

/// No delivery for so long while some are missing: they are lost.
const STALL: Duration = Duration::from_secs(30);

/// What the threads see of each other.
pub(crate) struct Shared {
    /// Where stamps count from.
    epoch: Instant,
    /// Producers: finish.
    pub(crate) stop: AtomicBool,
    /// Everybody: give up.
    abort: AtomicBool,
    /// The measured span is now.
    pub(crate) measuring: AtomicBool,
    /// By producer.
    pub(crate) published: Vec<AtomicU64>,
    /// By queue.
    pub(crate) delivered: Vec<AtomicU64>,
    /// Messages each queue gets in all; the maximum until that is known.
    pub(crate) expected: Vec<AtomicU64>,
    /// Every queue gets every message.
    fanout: bool,
}

impl Shared {
    fn new(plan: &Plan) -> Shared {
        let zeros = |count: u16| (0..count).map(|_| AtomicU64::new(0)).collect();
        let [stop, abort, measuring] = [const { AtomicBool::new(false) }; 3];
        let (published, delivered) = (zeros(plan.producers), zeros(plan.queues()));
        let expected = (0..plan.queues())
            .map(|_| AtomicU64::new(u64::MAX))
            .collect();
        Shared {
            epoch: Instant::now(),
            stop,
            abort,
            measuring,
            published,
            delivered,
            expected,
            fanout: plan.fanout > 0,
        }
    }

    /// The run's clock, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub(crate) fn aborted(&self) -> bool {
        self.abort.load(Relaxed)
    }

    /// How many messages the consumers have not got; those of the slowest queue with a fanout.
    pub(crate) fn ahead(&self) -> u64 {
        let slowest = self.delivered.iter().map(|n| n.load(Relaxed)).min();
        let got = if self.fanout {
            slowest.unwrap_or(0)
        } else {
            sum(&self.delivered)
        };
        sum(&self.published).saturating_sub(got)
    }

    /// Writes a line a second to the terminal until the producers stop.
    fn show_progress(&self) {
        let mut before = self.moment();
        while !self.stop.load(Relaxed) && !self.aborted() {
            self.sleep(1);
            let now = self.moment();
            let [published, delivered] = rates(before, now);
            eprint!(
                "\r{:>5.0} s   published {published:>10.0}/s   delivered {delivered:>10.0}/s   waiting {:>10} ",
                now[0],
                self.ahead()
            );
            before = now;
        }
        eprintln!();
    }

    /// Now: seconds, published, delivered.
    fn moment(&self) -> [f64; 3] {
        [
            self.now_ns() as f64 / 1e9,
            sum(&self.published) as f64,
            sum(&self.delivered) as f64,
        ]
    }

    fn sleep(&self, seconds: u32) {
        let end = Instant::now() + Duration::from_secs(seconds.into());
        while let Some(left) = end
            .checked_duration_since(Instant::now())
            .filter(|_| !self.aborted())
        {
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Tells the consumers how much there is and waits till they have it, or nothing moves.
    fn await_deliveries(&self, plan: &Plan, sent: &[u64]) {
        for (queue, expected) in self.expected.iter().enumerate() {
            let fed = sent
                .iter()
                .enumerate()
                .filter(|(producer, _)| plan.feeds(*producer, queue));
            expected.store(fed.map(|(_, sent)| sent).sum(), Release);
        }
        let (mut last, mut since) = (0, Instant::now());
        let missing =
            |(got, expected): (&AtomicU64, &AtomicU64)| got.load(Relaxed) < expected.load(Relaxed);
        while self.delivered.iter().zip(&self.expected).any(missing) && !self.aborted() {
            let delivered = sum(&self.delivered);
            if delivered != last {
                (last, since) = (delivered, Instant::now());
            } else if since.elapsed() > STALL {
                self.abort.store(true, Relaxed);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn sum(counters: &[AtomicU64]) -> u64 {
    counters.iter().map(|n| n.load(Relaxed)).sum()
}

/// Published and delivered per second between two moments.
fn rates(from: [f64; 3], to: [f64; 3]) -> [f64; 2] {
    [1, 2].map(|n| (to[n] - from[n]) / (to[0] - from[0]).max(1e-9))
}

/// What was measured.
pub(crate) struct Outcome {
    /// Messages per second, confirmed (without confirms: written); deliveries per second, over all
    /// queues.
    rates: [f64; 2],
    /// All deliveries of the run.
    deliveries: u64,
    /// From publish to delivery; empty for a backlog.
    latency: Histogram,
    /// CPU seconds of the whole run: the broker's, our own.
    cpu_s: [f64; 2],
    /// The most memory the broker has had since it started.
    peak_kib: u64,
    /// Messages lost, duplicated, out of order.
    pub(crate) wrong: [u64; 3],
}

impl Outcome {
    /// The outcome as one line of JSON.
    pub(crate) fn json(&self, plan: &Plan) -> serde_json::Value {
        let [broker, own] = self.cpu_s.map(|s| (s * 100.0).round() / 100.0);
        let known = !plan.pid.is_empty();
        serde_json::json!({
            "scenario": plan.scenario.as_deref().unwrap_or("custom"),
            "published_per_s": self.rates[0].round() as u64,
            "delivered_per_s": self.rates[1].round() as u64,
            "latency_p50_us": self.latency.quantile_us(0.5),
            "latency_p75_us": self.latency.quantile_us(0.75),
            "latency_p95_us": self.latency.quantile_us(0.95),
            "latency_p99_us": self.latency.quantile_us(0.99),
            "latency_p999_us": self.latency.quantile_us(0.999),
            "latency_max_us": self.latency.quantile_us(1.0),
            "deliveries": self.deliveries,
            "broker_cpu_s": known.then_some(broker),
            "messages_per_cpu_s": (broker > 0.0).then(|| (self.deliveries as f64 / broker) as u64),
            "peak_rss_mib": known.then_some(self.peak_kib / 1024),
            "generator_cpu_s": own,
            "lost": self.wrong[0],
            "duplicated": self.wrong[1],
            "disordered": self.wrong[2],
        })
    }
}

/// Runs the plan and removes what it declared. Lost messages are no error, but an outcome.
pub(crate) fn run(plan: &Plan) -> Result<Outcome, Error> {
    // With the process id, so that runs don't meet. No exchange name: the default exchange.
    let name = format!("warren-bench-{}", std::process::id());
    let queues: Vec<_> = (0..plan.queues()).map(|n| format!("{name}-{n}")).collect();
    let exchange = plan.exchange_type().map_or("", |_| name.as_str());
    let mut control = open_patiently(plan)?;
    let durable = u8::from(plan.durable) << 1;
    if let Some(kind) = plan.exchange_type() {
        let declare = [
            &[0, 0],
            &text(exchange)[..],
            &text(kind),
            &[durable, 0, 0, 0, 0],
        ];
        control.call(CHANNEL, (40, 10), &declare.concat())?;
    }
    for queue in &queues {
        let queue = text(queue);
        control.call(
            CHANNEL,
            (50, 10),
            &[&[0, 0], &queue[..], &[durable, 0, 0, 0, 0]].concat(),
        )?;
        if plan.fanout > 0 {
            bind(&mut control, &queue, exchange, "")?;
        }
    }
    for n in 0..plan.topic {
        let queue = &queues[n as usize % queues.len()];
        bind(
            &mut control,
            &text(queue),
            exchange,
            &format!("bench.{n:05}.*"),
        )?;
    }
    let outcome = load(plan, exchange, &queues);
    for queue in &queues {
        control.call(
            CHANNEL,
            (50, 40),
            &[&[0, 0], &text(queue)[..], &[0]].concat(),
        )?;
    }
    if plan.exchange_type().is_some() {
        control.call(
            CHANNEL,
            (40, 20),
            &[&[0, 0], &text(exchange)[..], &[0]].concat(),
        )?;
    }
    control.close()?;
    outcome
}

fn bind(control: &mut Connection, queue: &[u8], exchange: &str, key: &str) -> Result<(), Error> {
    let bind = [
        &[0, 0],
        queue,
        &text(exchange)[..],
        &text(key),
        &[0, 0, 0, 0, 0],
    ];
    control.call(CHANNEL, (50, 20), &bind.concat())?;
    Ok(())
}

fn open_patiently(plan: &Plan) -> Result<Connection, Error> {
    let end = Instant::now() + Duration::from_secs(plan.wait.into());
    loop {
        match Connection::open(&plan.addr, &plan.login) {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(100)),
            result => return result,
        }
    }
}

fn producers(plan: &Plan, exchange: &str, queues: &[String]) -> Result<Vec<Producer>, Error> {
    let address = |index: u16| {
        let queue = usize::from(index % plan.queues);
        match plan.exchange_type() {
            None => ("", queues[queue].clone()),
            Some("topic") => (exchange, format!("bench.{queue:05}.x")),
            Some(_) => (exchange, String::new()),
        }
    };
    let count = u64::from(plan.producers);
    let start = |index: u16| {
        // The first ones take what cannot be shared evenly.
        let share = plan.backlog / count + u64::from(u64::from(index) < plan.backlog % count);
        let quota = if plan.backlog > 0 { share } else { u64::MAX };
        let (exchange, key) = address(index);
        Producer::new(
            Connection::open(&plan.addr, &plan.login)?,
            plan,
            (exchange, &key),
            index,
            quota,
        )
    };
    (0..plan.producers).map(start).collect()
}

fn consumers(plan: &Plan, queues: &[String]) -> Result<Vec<Consumer>, Error> {
    let start = |index: u16| {
        let queue = usize::from(index % plan.queues());
        Consumer::new(
            Connection::open(&plan.addr, &plan.login)?,
            plan,
            queue,
            &queues[queue],
        )
    };
    (0..plan.consumers).map(start).collect()
}

type Handles<'s, T> = Vec<ScopedJoinHandle<'s, Result<T, Error>>>;
type Work<W, T> = fn(W, &Shared) -> Result<T, Error>;

/// Runs each on a thread of its own; one that fails ends the run.
fn spawn<'s, W: Send + 's, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    shared: &'s Shared,
    workers: Vec<W>,
    work: Work<W, T>,
) -> Handles<'s, T> {
    let give_up = |_: &Error| shared.abort.store(true, Relaxed);
    let start = |worker| scope.spawn(move || work(worker, shared).inspect_err(give_up));
    workers.into_iter().map(start).collect()
}

fn join<T>(handles: Handles<'_, T>) -> Result<Vec<T>, Error> {
    let results = handles.into_iter().map(|handle| handle.join());
    results
        .map(|result| result.unwrap_or(Err(Error::Panicked)))
        .collect()
}

fn load(plan: &Plan, exchange: &str, queues: &[String]) -> Result<Outcome, Error> {
    let shared = &Shared::new(plan);
    let cpu = || [cpu_seconds(&plan.pid), cpu_seconds(&[std::process::id()])];
    let before = cpu();
    let (rates, sent, consumers) = thread::scope(|scope| {
        if !plan.quiet && !plan.json && std::io::stderr().is_terminal() {
            scope.spawn(|| shared.show_progress());
        }
        let result = if plan.backlog > 0 {
            fill_and_drain(plan, exchange, queues, scope, shared)
        } else {
            keep_up(plan, exchange, queues, scope, shared)
        };
        shared.abort.fetch_or(result.is_err(), Relaxed);
        shared.stop.store(true, Relaxed);
        result
    })?;
    let after = cpu();
    let mut latency = Histogram::new();
    let mut tallies = vec![Tally::new(plan.producers); queues.len()];
    for consumer in &consumers {
        latency.merge(&consumer.latency);
        tallies[consumer.queue].merge(&consumer.tally);
    }
    let judged: Vec<_> = tallies
        .iter()
        .enumerate()
        .map(|(queue, tally)| {
            let fed = sent.iter().enumerate();
            let fed: Vec<u64> = fed
                .map(|(producer, sent)| {
                    if plan.feeds(producer, queue) {
                        *sent
                    } else {
                        0
                    }
                })
                .collect();
            tally.judge(&fed)
        })
        .collect();
    let wrong = [0, 1, 2].map(|n| judged.iter().map(|queue| queue[n]).sum());
    let (deliveries, peak_kib) = (sum(&shared.delivered), peak_kib(&plan.pid));
    let cpu_s = [after[0] - before[0], after[1] - before[1]];
    Ok(Outcome {
        rates,
        deliveries,
        latency,
        cpu_s,
        peak_kib,
        wrong,
    })
}

/// Rates, messages sent by each producer, the consumers with what they found.
type Measured = Result<([f64; 2], Vec<u64>, Vec<Consumer>), Error>;

/// Publishing and consuming at the same time.
fn keep_up<'s>(
    plan: &Plan,
    exchange: &str,
    queues: &[String],
    scope: &'s Scope<'s, '_>,
    shared: &'s Shared,
) -> Measured {
    let (consumers, producers) = (consumers(plan, queues)?, producers(plan, exchange, queues)?);
    let consumers = spawn(scope, shared, consumers, Consumer::run);
    let producers = spawn(scope, shared, producers, Producer::run);
    shared.sleep(plan.warmup);
    shared.measuring.store(true, Relaxed);
    let from = shared.moment();
    shared.sleep(plan.duration);
    let to = shared.moment();
    shared.measuring.store(false, Relaxed);
    shared.stop.store(true, Relaxed);
    let sent = join(producers)?;
    shared.await_deliveries(plan, &sent);
    Ok((rates(from, to), sent, join(consumers)?))
}

/// First publishing, then consuming.
fn fill_and_drain<'s>(
    plan: &Plan,
    exchange: &str,
    queues: &[String],
    scope: &'s Scope<'s, '_>,
    shared: &'s Shared,
) -> Measured {
    let producers = producers(plan, exchange, queues)?;
    let empty = shared.moment();
    let sent = join(spawn(scope, shared, producers, Producer::run))?;
    let full = shared.moment();
    let consumers = spawn(scope, shared, consumers(plan, queues)?, Consumer::run);
    shared.await_deliveries(plan, &sent);
    let drained = shared.moment();
    let [published, _] = rates(empty, full);
    let [_, delivered] = rates(full, drained);
    Ok(([published, delivered], sent, join(consumers)?))
}
