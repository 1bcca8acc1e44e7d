//! `warren log verify` and `warren log repair`: a data directory that no process uses.
//!
//! Exit codes: 0 nothing damaged (or all repaired), 1 damage, 2 the directory cannot be read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use warren_broker::catalog::{Catalog, queue_names};
use warren_storage::check::{Findings, Repaired, renew_definitions, repair, verify};
use warren_storage::{DataDir, OpenError};

/// Looks after a data directory while no node uses it.
#[derive(Debug, Parser)]
#[command(name = "warren log", version)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Reads everything, changes nothing, and says what is damaged and what is lost
    Verify(Where),
    /// Takes damage out, so that the next start finds none; keeps what it takes out in removed-*
    Repair(Where),
}

#[derive(Debug, Clone, clap::Args)]
struct Where {
    /// The data directory [default: WARREN_DATA_DIR or ./warren-data]
    dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Where {
    fn path(&self) -> PathBuf {
        let given = self.dir.clone();
        given
            .or_else(|| std::env::var_os("WARREN_DATA_DIR").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("./warren-data"))
    }
}

/// What is known of a queue besides its number: vhost and name.
type Names = BTreeMap<u64, (String, String)>;

/// Runs the tool; the first argument is `log`.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let answer = match &args.what {
        What::Verify(at) => verified(at),
        What::Repair(at) => repaired(at),
    };
    answer.unwrap_or_else(|error| {
        eprintln!("warren: {error}");
        ExitCode::from(2)
    })
}

fn verified(at: &Where) -> Result<ExitCode, OpenError> {
    let dir = DataDir::open_existing(at.path())?;
    let findings = verify(&dir)?;
    let names = queue_names(&dir).unwrap_or_default();
    if at.json {
        println!("{:#}", as_json(&findings, &names));
    } else {
        print!("{}", as_text(&findings, &names));
    }
    Ok(if findings.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn repaired(at: &Where) -> Result<ExitCode, OpenError> {
    let dir = DataDir::open_existing(at.path())?;
    let before = verify(&dir)?;
    let names = queue_names(&dir).unwrap_or_default();
    let mut done = repair(&dir)?;
    if definitions_are_damaged(&before) {
        // Opening them saves what can be saved, and brings the view up to date.
        Catalog::open(&dir)?.close();
        let more = renew_definitions(&dir)?;
        done.actions.extend(more.actions);
        if done.kept_in.is_empty() {
            done.kept_in = more.kept_in;
        }
    }
    let after = verify(&dir)?;
    tell_repaired(at.json, &done, &before, &names);
    Ok(if after.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn definitions_are_damaged(findings: &Findings) -> bool {
    let damaged = |file: &&warren_storage::check::FileFindings| !file.damage.is_empty();
    !findings.lost_commands.is_empty()
        || findings
            .files
            .iter()
            .filter(damaged)
            .any(|file| file.path.starts_with("definitions/"))
}

fn tell_repaired(json: bool, done: &Repaired, before: &Findings, names: &Names) {
    if json {
        let answer = json!({
            "actions": done.actions,
            "kept_in": done.kept_in,
            "found": as_json(before, names),
        });
        println!("{answer:#}");
        return;
    }
    for action in &done.actions {
        println!("{action}");
    }
    for line in lost(before, names) {
        println!("{line}");
    }
    if done.actions.is_empty() {
        println!("nothing to repair");
    } else {
        println!("what was taken out is kept in {}", done.kept_in);
    }
}

fn as_json(findings: &Findings, names: &Names) -> Value {
    let files = findings.files.iter().map(|file| {
        let damage = file.damage.iter().map(|damage| {
            let held = damage.held.iter();
            let held = held.map(|(queue, seq)| json!({"queue_id": queue.0, "number": seq}));
            json!({
                "offset": damage.offset,
                "length": damage.len,
                "held": held.collect::<Vec<_>>(),
            })
        });
        json!({
            "path": file.path,
            "bytes": file.bytes,
            "records": file.records,
            "unfinished_bytes": file.unfinished_bytes,
            "damage": damage.collect::<Vec<_>>(),
        })
    });
    let queues = findings.queues.iter().map(|queue| {
        let name = names.get(&queue.queue.0);
        json!({
            "queue_id": queue.queue.0,
            "vhost": name.map(|(vhost, _)| vhost),
            "name": name.map(|(_, name)| name),
            "messages": queue.messages,
            "lost": queue.lost,
        })
    });
    let ranges = findings.lost_commands.iter();
    let ranges = ranges.map(|(first, last)| json!({"first": first, "last": last}));
    json!({
        "clean": findings.is_clean(),
        "files": files.collect::<Vec<_>>(),
        "queues": queues.collect::<Vec<_>>(),
        "lost_commands": ranges.collect::<Vec<_>>(),
    })
}

fn as_text(findings: &Findings, names: &Names) -> String {
    let mut out = String::new();
    for file in &findings.files {
        let (path, records, bytes) = (&file.path, file.records, file.bytes);
        out += &format!("{path}: {records} records in {bytes} bytes");
        if file.unfinished_bytes > 0 {
            out += &format!(", {} unfinished at the end", file.unfinished_bytes);
        }
        out.push('\n');
        for damage in &file.damage {
            out += &format!("  DAMAGED: {} bytes at {}\n", damage.len, damage.offset);
        }
    }
    for queue in &findings.queues {
        let name = queue_name(queue.queue.0, names);
        out += &format!("{name}: {} messages\n", queue.messages);
    }
    for line in lost(findings, names) {
        out += &line;
        out.push('\n');
    }
    out += if findings.is_clean() {
        "no damage\n"
    } else {
        "DAMAGED: `warren log repair` takes the damage out\n"
    };
    out
}

/// A line for everything that is known to be lost.
fn lost(findings: &Findings, names: &Names) -> Vec<String> {
    let mut lines = Vec::new();
    for queue in &findings.queues {
        let name = queue_name(queue.queue.0, names);
        let lost = queue.lost.iter();
        lines.extend(lost.map(|seq| format!("LOST: message {seq} of {name}")));
    }
    for (first, last) in &findings.lost_commands {
        lines.push(format!(
            "LOST: commands {first} to {last} of the definitions"
        ));
    }
    lines
}

fn queue_name(id: u64, names: &Names) -> String {
    match names.get(&id) {
        Some((vhost, name)) => format!("queue '{name}' in vhost '{vhost}' (number {id})"),
        None => format!("queue number {id}"),
    }
}
