//! Confirmed messages of 1 KiB a second, by messages in flight and number of queues, with
//! `durability = fsync` and `os`, beside what the disk does by itself. Every message is settled
//! once it is durable.
//!
//! `cargo bench -p warren-storage --bench confirms [-- DIRECTORY [ROUNDS]]`
//!
//! All take turns of a quarter of a second, so that a slow moment of the disk hits all of them
//! alike; rates and ratios are medians over the rounds.
//!
//! The lines marked `bar` say whether the log is as good as it has to be: within 15 % from 1 to 100
//! queues; a window of 1000 at least 80 % of `os`, or of what the disk can write by itself if that
//! is less; a window of 1 at least 70 % of the disk's limit.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use warren_storage::{Batch, DataDir, Durability, LogOptions, MessageLog, Position, QueueId};

const BODY: [u8; 1024] = [7; 1024];
const WINDOWS: [u64; 3] = [1, 100, 1000];
const QUEUES: [u64; 3] = [1, 100, 10_000];
const TURN: Duration = Duration::from_millis(250);
/// After it, what `os` has left unsynced is on disk.
const REST: Duration = Duration::from_millis(300);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    // cargo adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let path = PathBuf::from(args.next().unwrap_or_else(|| "confirms.data".to_owned()));
    let rounds: usize = args.next().map_or(Ok(9), |text| text.parse())?;
    fs::create_dir_all(&path)?;
    println!("| window | the disk | fsync: 1 queue | 100 | 10,000 | os: 1 queue | 100 | 10,000 |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut bars = Vec::new();
    for window in WINDOWS {
        let found = measure(&path, window, rounds)?;
        let median_of = |way: usize| median(found.iter().map(|round| round[way]));
        let cells: Vec<String> = (0..7).map(|way| format!("{:.0}", median_of(way))).collect();
        println!("| {window} | {} |", cells.join(" | "));
        let ratio = |of: usize, to: usize| median(found.iter().map(|round| round[of] / round[to]));
        bars.push((
            format!("window {window}: 100 queues against 1"),
            ratio(2, 1),
            0.85,
        ));
        match window {
            1 => bars.push(("window 1 against the disk".to_owned(), ratio(1, 0), 0.7)),
            1000 => bars.push(("window 1000: fsync against os".to_owned(), ratio(1, 4), 0.8)),
            _ => {}
        }
    }
    fs::remove_dir_all(&path)?;
    println!();
    for (what, is, wanted) in bars {
        let met = if is >= wanted { "met" } else { "NOT met" };
        let (is, wanted) = (is * 100.0, wanted * 100.0);
        println!("bar: {what}: {is:.0} % of {wanted:.0} %: {met}");
    }
    Ok(())
}

/// Messages a second of each round: the disk by itself, then `fsync` and `os` by number of queues.
fn measure(path: &Path, window: u64, rounds: usize) -> Outcome<Vec<[f64; 7]>> {
    let mut disk = Disk::new(path, window)?;
    let ways = [Durability::Fsync, Durability::Os]
        .into_iter()
        .flat_map(|durability| QUEUES.map(|queues| (durability, queues)));
    let mut publishers = ways
        .map(|(durability, queues)| Publisher::new(path, durability, window, queues))
        .collect::<Outcome<Vec<_>>>()?;
    let mut found = Vec::new();
    // The first round makes the files.
    for _ in 0..=rounds {
        let mut round = [0.0; 7];
        round[0] = disk.turn()?;
        for (rate, publisher) in round[1..].iter_mut().zip(&mut publishers) {
            *rate = publisher.turn()?;
        }
        found.push(round);
        std::thread::sleep(REST);
    }
    found.remove(0);
    for publisher in publishers {
        publisher.log.close()?;
    }
    fs::remove_dir_all(path)?;
    fs::create_dir_all(path)?;
    Ok(found)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Writes and syncs as many bytes as a round of this window would, over a file that is there.
struct Disk {
    file: File,
    bytes: Vec<u8>,
    messages: u64,
    writes: u64,
}

impl Disk {
    fn new(path: &Path, window: u64) -> io::Result<Self> {
        let messages = window.div_ceil(2);
        let bytes = vec![1; messages as usize * (BODY.len() + 40)];
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(true);
        let file = how.open(path.join("disk"))?;
        file.write_all_at(&vec![0; 64 << 20], 0)?;
        file.sync_all()?;
        Ok(Self {
            file,
            bytes,
            messages,
            writes: 0,
        })
    }

    fn turn(&mut self) -> io::Result<f64> {
        let places = (64 << 20) / self.bytes.len() as u64;
        let (start, before) = (Instant::now(), self.writes);
        while start.elapsed() < TURN {
            let at = self.writes % places * self.bytes.len() as u64;
            self.file.write_all_at(&self.bytes, at)?;
            self.file.sync_data()?;
            self.writes += 1;
        }
        let sent = (self.writes - before) * self.messages;
        Ok(sent as f64 / start.elapsed().as_secs_f64())
    }
}

/// One publisher that has at most `window` messages not yet durable, and goes on when half of
/// them are.
struct Publisher {
    log: MessageLog,
    batch: Batch,
    window: u64,
    queues: u64,
    sent: u64,
    outstanding: VecDeque<(Position, Range<u64>)>,
}

impl Publisher {
    fn new(path: &Path, durability: Durability, window: u64, queues: u64) -> Outcome<Self> {
        let name = format!("{}-{queues}", durability.as_str());
        let dir = DataDir::open(path.join(name))?;
        let options = LogOptions {
            durability,
            ..LogOptions::default()
        };
        let (log, _) = MessageLog::open(&dir, options)?;
        Ok(Self {
            log,
            batch: Batch::new(),
            window,
            queues,
            sent: 0,
            outstanding: VecDeque::new(),
        })
    }

    fn turn(&mut self) -> Outcome<f64> {
        let half = self.window.div_ceil(2);
        let queues = self.queues;
        let target = |n: u64| (QueueId(1 + n % queues), n / queues);
        let (start, before) = (Instant::now(), self.sent);
        while start.elapsed() < TURN {
            for n in self.sent..self.sent + half {
                let weight = BODY.len() as u32;
                self.batch.message(0, 1, weight, &[target(n)], &[&BODY]);
            }
            self.sent += half;
            let end = self.log.append(&mut self.batch, true)?.end;
            self.outstanding
                .push_back((end, self.sent - half..self.sent));
            while self.outstanding.len() as u64 * half >= self.window {
                let Some((end, done)) = self.outstanding.pop_front() else {
                    break;
                };
                // As a connection does.
                if !self.log.commit_here(end) {
                    self.log.wait_durable(end)?;
                }
                for (queue, seq) in done.map(target) {
                    self.batch.settle(queue, seq);
                }
            }
        }
        Ok((self.sent - before) as f64 / start.elapsed().as_secs_f64())
    }
}
