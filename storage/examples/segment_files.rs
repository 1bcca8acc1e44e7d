//! What a segment file costs the disk, by how it came to be: grown by each write, preallocated
//! (`fallocate`), written with zeros before, or recycled (full of old bytes, renamed). Each is
//! written from its beginning to its end and synced (`fdatasync`) after every write. The ways take
//! turns, so that a slow moment of the disk hits all of them alike.
//!
//! `cargo run --release -p warren-storage --example segment_files [directory] [rounds]`

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Sizes of writes measured, bytes: a lone message, a window of 100, a window of 1000.
const WRITES: [usize; 3] = [256, 16 << 10, 160 << 10];
/// Writes to one file in one turn.
const TURN: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Growing,
    Fallocated,
    Zeroed,
    Recycled,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args
        .next()
        .unwrap_or_else(|| "segment_files.data".to_owned());
    let rounds: u32 = args.next().map_or(Ok(20), |text| text.parse())?;
    fs::create_dir_all(&path)?;
    for bytes in WRITES {
        for way in [Way::Growing, Way::Fallocated, Way::Zeroed, Way::Recycled] {
            // Prepared before the clock runs; the turn of each follows below.
            drop(prepare(Path::new(&path), way, bytes)?);
        }
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); 4];
        for _ in 0..rounds {
            for (n, way) in [Way::Growing, Way::Fallocated, Way::Zeroed, Way::Recycled]
                .into_iter()
                .enumerate()
            {
                let file = prepare(Path::new(&path), way, bytes)?;
                fill(&file, bytes, &mut times[n])?;
            }
        }
        for (way, times) in ["growing", "fallocated", "zeroed", "recycled"]
            .iter()
            .zip(&mut times)
        {
            times.sort_unstable();
            let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
            let mean = times.iter().sum::<Duration>() / times.len() as u32;
            println!(
                "{bytes:>7} bytes  {way:<10}  {:>6.0}/s   mean {mean:>9.1?}  median {:>9.1?}  99 % {:>9.1?}",
                1.0 / mean.as_secs_f64(),
                at(0.5),
                at(0.99)
            );
        }
    }
    fs::remove_dir_all(&path)?;
    Ok(())
}

fn prepare(path: &Path, way: Way, bytes: usize) -> io::Result<File> {
    let name = path.join(format!("{way:?}"));
    let len = TURN * bytes as u64;
    let mut how = OpenOptions::new();
    how.write(true).create(true);
    if way != Way::Recycled {
        how.truncate(true);
    }
    let file = how.open(&name)?;
    match way {
        Way::Growing => {}
        Way::Fallocated => {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len)?;
        }
        Way::Zeroed => file.write_all_at(&vec![0; len as usize], 0)?,
        Way::Recycled => {
            if file.metadata()?.len() < len {
                file.write_all_at(&vec![1; len as usize], 0)?;
            }
            let new = path.join("recycled.new");
            fs::rename(&name, &new)?;
            fs::rename(&new, &name)?;
        }
    }
    file.sync_all()?;
    File::open(path)?.sync_all()?;
    Ok(file)
}

fn fill(file: &File, bytes: usize, times: &mut Vec<Duration>) -> io::Result<()> {
    let written = vec![7; bytes];
    for n in 0..TURN {
        let start = Instant::now();
        file.write_all_at(&written, n * bytes as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(())
}
