//! Confirmed messages of 1 KiB a second, by messages in flight and number of queues, with
//! `durability = fsync` and `os`, beside what the disk does by itself. Every message is settled
//! once it is durable.
//!
//! `cargo bench -p warren-storage --bench confirms [-- DIRECTORY [SECONDS]]`
//!
//! The lines marked `bar` say whether the log is as good as it has to be: within 15 % from 1 to 100
//! queues; a window of 1000 at least 80 % of `os`; a window of 1 at least 70 % of the disk's
//! limit. On a machine that does other things as well they say little.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use warren_storage::{Batch, DataDir, Durability, LogOptions, MessageLog, Position, QueueId};

const BODY: [u8; 1024] = [7; 1024];
const WINDOWS: [u64; 3] = [1, 100, 1000];
const QUEUES: [u64; 3] = [1, 100, 10_000];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // cargo adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let path = PathBuf::from(args.next().unwrap_or_else(|| "confirms.data".to_owned()));
    let time = Duration::from_secs_f64(args.next().map_or(Ok(2.0), |text| text.parse())?);
    fs::create_dir_all(&path)?;
    let mut found = Vec::new();
    for window in WINDOWS {
        // Right before and after what it is compared with: disks have moods.
        let mut limit = disk_limit(&path, window, time / 2)?;
        let mut rates = Vec::new();
        for (durability, queues) in [Durability::Fsync, Durability::Os]
            .into_iter()
            .flat_map(|durability| QUEUES.map(|queues| (durability, queues)))
        {
            let rate = confirmed(&path, durability, window, queues, time)?;
            println!(
                "window {window:>5}  {queues:>6} queues  {:<5}  {rate:>9.0} messages/s",
                durability.as_str()
            );
            rates.push(rate);
        }
        limit = (limit + disk_limit(&path, window, time / 2)?) / 2.0;
        println!("window {window:>5}  the disk by itself: {limit:.0} syncs/s");
        found.push((window, limit, rates));
    }
    fs::remove_dir_all(&path)?;
    for (window, limit, rates) in found {
        bar(
            &format!("window {window}: 100 queues against 1"),
            rates[1] / rates[0],
            0.85,
        );
        match window {
            1 => bar("window 1 against the disk's limit", rates[0] / limit, 0.7),
            1000 => bar("window 1000: fsync against os", rates[0] / rates[3], 0.8),
            _ => {}
        }
    }
    Ok(())
}

fn bar(what: &str, is: f64, wanted: f64) {
    let met = if is >= wanted { "met" } else { "NOT met" };
    println!(
        "bar: {what}: {:.0} % of {:.0} %: {met}",
        is * 100.0,
        wanted * 100.0
    );
}

/// Writes and syncs as many bytes as a round of this window would, over a file that is there.
fn disk_limit(path: &Path, window: u64, time: Duration) -> io::Result<f64> {
    let bytes = vec![1; window.div_ceil(2) as usize * (BODY.len() + 40)];
    let rounds = (8 << 20) / bytes.len() as u64;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path.join("limit"))?;
    file.write_all_at(&vec![0; bytes.len() * rounds as usize], 0)?;
    file.sync_all()?;
    let (start, mut syncs) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all_at(&bytes, syncs % rounds * bytes.len() as u64)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(syncs as f64 / start.elapsed().as_secs_f64())
}

/// One publisher that has at most `window` messages not yet durable, and goes on when half of
/// them are.
fn confirmed(
    path: &Path,
    durability: Durability,
    window: u64,
    queues: u64,
    time: Duration,
) -> Result<f64, Box<dyn std::error::Error>> {
    let path = path.join("log");
    let dir = DataDir::open(&path)?;
    let options = LogOptions {
        durability,
        ..LogOptions::default()
    };
    let (log, _) = MessageLog::open(&dir, options)?;
    let (mut batch, mut sent, half) = (Batch::new(), 0, window.div_ceil(2));
    let target = |n: u64| (QueueId(1 + n % queues), n / queues);
    let mut outstanding: VecDeque<(Position, std::ops::Range<u64>)> = VecDeque::new();
    let start = Instant::now();
    while start.elapsed() < time {
        for n in sent..sent + half {
            batch.message(0, 1, BODY.len() as u32, &[target(n)], &[&BODY]);
        }
        sent += half;
        let end = log.append(&mut batch, true)?.end;
        outstanding.push_back((end, sent - half..sent));
        while outstanding.len() as u64 * half >= window {
            let Some((end, done)) = outstanding.pop_front() else {
                break;
            };
            // As a connection does.
            if !log.commit_here(end) {
                log.wait_durable(end)?;
            }
            for (queue, seq) in done.map(target) {
                batch.settle(queue, seq);
            }
        }
    }
    let rate = sent as f64 / start.elapsed().as_secs_f64();
    log.close()?;
    drop((log, dir));
    fs::remove_dir_all(&path)?;
    Ok(rate)
}
