//! How many durable messages a second the log takes, beside what the disk does by itself; then how
//! fast a backlog is read back at a start and what memory it needs.
//!
//! `cargo run --release -p warren-storage --example log_bench [directory] [seconds] [backlog]...`

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use warren_storage::{Batch, DataDir, LogOptions, MessageLog, QueueId, ReadEnd, ReadLimit, Stored};

/// What a message takes beside its body, and a body of 128 bytes.
const PAYLOAD: [u8; 180] = [7; 180];
const BODY: u32 = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "log_bench.data".to_owned());
    let time = Duration::from_secs_f64(args.next().map_or(Ok(2.0), |text| text.parse())?);
    std::fs::create_dir_all(&path)?;
    println!(
        "plain append of 4 KiB + fdatasync: {:.0}/s",
        plain(Path::new(&path), time)?
    );
    for window in [1, 10, 100, 1000] {
        confirmed(Path::new(&path), window, time)?;
    }
    let mut backlogs: Vec<u64> = args.map(|text| text.parse()).collect::<Result<_, _>>()?;
    if backlogs.is_empty() {
        backlogs.push(1_000_000);
    }
    for messages in backlogs {
        restart(Path::new(&path), messages)?;
    }
    std::fs::remove_dir_all(&path)?;
    Ok(())
}

/// How long it takes to find a backlog again, and to read some of it back.
fn restart(path: &Path, messages: u64) -> Result<(), Box<dyn std::error::Error>> {
    let path = path.join(format!("backlog-{messages}"));
    let dir = DataDir::open(&path)?;
    let (log, _) = MessageLog::open(&dir, LogOptions::default())?;
    let mut batch = Batch::new();
    let start = Instant::now();
    for seq in 0..messages {
        let target = [(QueueId(seq % 10), seq / 10)];
        batch.message(0, 0, BODY, &target, &[&PAYLOAD]);
        if batch.bytes() > 64 << 10 {
            log.append(&mut batch, false)?;
            while log.buffered_bytes() > 64 << 20 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    log.append(&mut batch, true)?;
    log.wait_durable(log.end())?;
    println!(
        "{messages} messages written in {:?}, {} MB resident",
        start.elapsed(),
        resident_mb()
    );
    log.close()?;
    drop((log, dir));
    for _ in 0..2 {
        let start = Instant::now();
        let dir = DataDir::open(&path)?;
        let (log, report) = MessageLog::open(&dir, LogOptions::default())?;
        println!(
            "{} messages found in {:?}, {} MB resident (peak {})",
            report.messages,
            start.elapsed(),
            resident_mb(),
            status("VmHWM") / 1024
        );
        let limit = ReadLimit {
            messages: 4096,
            bytes: 1 << 20,
        };
        let (start, mut read, mut from) = (Instant::now(), 0u64, 0);
        while read < 100_000
            && let ReadEnd::Next(next) =
                log.read(QueueId(3), from, u64::MAX, limit, &mut |stored| {
                    read += u64::from(matches!(stored, Stored::Message { .. }));
                })?
        {
            from = next;
        }
        println!(
            "{read} messages of one of ten queues read in {:?}",
            start.elapsed()
        );
        log.close()?;
    }
    std::fs::remove_dir_all(&path)?;
    Ok(())
}

/// A value of this process's status, in KiB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn resident_mb() -> u64 {
    status("VmRSS") / 1024
}

fn plain(path: &Path, time: Duration) -> std::io::Result<f64> {
    let mut how = OpenOptions::new();
    let file = how
        .write(true)
        .create(true)
        .truncate(true)
        .open(path.join("plain"))?;
    let (start, mut syncs) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all_at(&[1; 4096], syncs * 4096)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(syncs as f64 / start.elapsed().as_secs_f64())
}

/// One publisher that has at most `window` messages not yet durable, and goes on when half of
/// them are. Every message is settled when it is durable.
fn confirmed(path: &Path, window: u64, time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let path = path.join(format!("window-{window}"));
    let dir = DataDir::open(&path)?;
    let (log, _) = MessageLog::open(&dir, LogOptions::default())?;
    let (mut batch, mut sent, half) = (Batch::new(), 0, window.div_ceil(2));
    let mut outstanding = std::collections::VecDeque::new();
    let (start, cpu) = (Instant::now(), cpu());
    while start.elapsed() < time {
        for _ in 0..half {
            batch.message(0, 0, BODY, &[(QueueId(1), sent)], &[&PAYLOAD]);
            sent += 1;
        }
        let appended = log.append(&mut batch, true)?;
        outstanding.push_back((appended, sent - half..sent));
        while outstanding.len() as u64 * half >= window {
            let Some((appended, seqs)) = outstanding.pop_front() else {
                break;
            };
            log.wait_durable(appended.end)?;
            seqs.for_each(|seq| batch.settle(QueueId(1), seq));
        }
    }
    let (took, cpu) = (start.elapsed().as_secs_f64(), self::cpu() - cpu);
    log.close()?;
    println!(
        "window {window:>5}: {:>8.0} msg/s  {:>6.0} syncs/s  {:>6.2} us CPU per message  {:?}",
        sent as f64 / took,
        log.sync_count() as f64 / took,
        cpu * 1e6 / sent as f64,
        log.segments()
    );
    std::fs::remove_dir_all(&path)?;
    Ok(())
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .split(' ')
        .skip(13)
        .take(2)
        .filter_map(|text| text.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}
