//! How the node runs: stopping it, waiting for it, its limits and its log.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Failure;
use crate::client::{Client, path};
use crate::commands::Command;
use crate::options::Options;

/// How often a node that comes or goes is looked for.
const POLL: Duration = Duration::from_millis(100);

/// Runs a command about the node itself.
pub(crate) fn run(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    let (at, body) = match command {
        Command::Stop => return stop(client, options),
        Command::AwaitStartup => {
            wait(options, || client.get("/api/whoami").is_ok(), "up")?;
            options.say(|| "The node is up".to_owned());
            return Ok(());
        }
        Command::RotateLogs => {
            let text = "The log file is opened anew";
            return ask(client, options, "rotate-logs", text);
        }
        Command::SuspendListeners => {
            let text = "The node accepts no new client connections";
            return ask(client, options, "suspend-listeners", text);
        }
        Command::ResumeListeners => {
            let text = "The node accepts client connections again";
            return ask(client, options, "resume-listeners", text);
        }
        Command::SetLogLevel { level } => ("log-level", json!({ "level": level })),
        Command::SetVmMemoryHighWatermark { limit } => ("limits", memory_limit(limit)?),
        Command::SetDiskFreeLimit { limit } => ("limits", disk_limit(limit)?),
        _ => return Err(Failure::Usage("no such command".to_owned())),
    };
    client.put(&path(&["nodes", &name(client)?, at]), &body)?;
    options.say(|| "Done".to_owned());
    Ok(())
}

/// Asks for something that takes no arguments.
fn ask(client: &Client, options: &Options, what: &str, done: &str) -> Result<(), Failure> {
    client.post(&path(&["nodes", &name(client)?, what]), &json!({}))?;
    options.say(|| done.to_owned());
    Ok(())
}

/// The node's name.
pub(crate) fn name(client: &Client) -> Result<String, Failure> {
    let overview = client.get("/api/overview")?;
    let name = overview["node"].as_str().map(str::to_owned);
    name.ok_or_else(|| Failure::NotPermitted("only those who monitor see the node".to_owned()))
}

fn stop(client: &Client, options: &Options) -> Result<(), Failure> {
    let at = path(&["nodes", &name(client)?, "stop"]);
    client.post(&at, &json!({}))?;
    let gone = || matches!(client.get("/api/whoami"), Err(Failure::Unavailable(_)));
    wait(options, gone, "gone")?;
    options.say(|| "The node has stopped".to_owned());
    Ok(())
}

fn wait(options: &Options, done: impl Fn() -> bool, what: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(options.timeout.max(1));
    while !done() {
        if Instant::now() >= deadline {
            let text = format!("the node is not {what} after {} s", options.timeout);
            return Err(Failure::Unavailable(text));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn memory_limit(given: &[String]) -> Result<serde_json::Value, Failure> {
    match given {
        [word, size] if word == "absolute" => {
            Ok(json!({ "vm_memory_high_watermark_absolute": bytes(size)? }))
        }
        [part] => Ok(json!({ "vm_memory_high_watermark": factor(part, 1.0)? })),
        _ => Err(Failure::Usage(
            "expected FRACTION or absolute SIZE".to_owned(),
        )),
    }
}

fn disk_limit(given: &[String]) -> Result<serde_json::Value, Failure> {
    match given {
        [word, times] if word == "mem_relative" => {
            Ok(json!({ "disk_free_limit_relative": factor(times, f64::MAX)? }))
        }
        [size] => Ok(json!({ "disk_free_limit": bytes(size)? })),
        _ => Err(Failure::Usage(
            "expected SIZE or mem_relative FACTOR".to_owned(),
        )),
    }
}

fn factor(text: &str, max: f64) -> Result<f64, Failure> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|n| (0.0..=max).contains(n))
        .ok_or_else(|| Failure::Usage(format!("{text} is not a number in the range")))
}

/// A number of bytes with RabbitMQ's units: k, kB, KiB and so on; kB is 1000, k and KiB are 1024.
fn bytes(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::Usage(format!("{text} is not a size such as 2GB"));
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim().to_ascii_lowercase();
    let (power, base) = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => (0, 1),
        prefix => {
            let binary = prefix.ends_with('i') || !unit.ends_with('b');
            let power = match prefix.trim_end_matches('i') {
                "k" => 1,
                "m" => 2,
                "g" => 3,
                "t" => 4,
                _ => return Err(wrong()),
            };
            (power, if binary { 1024u64 } else { 1000 })
        }
    };
    number.checked_mul(base.pow(power)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_rabbitmqs_units() {
        for (text, size) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("2GB", 2_000_000_000),
            ("2g", 2 << 30),
            ("2GiB", 2 << 30),
            ("1M", 1 << 20),
            ("5kb", 5000),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        for text in ["", "GB", "-1", "1.5GB", "2XB", "99999999999TB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_parts_or_sizes() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let memory = |line| memory_limit(&words(line)).ok();
        assert_eq!(
            memory("0.4"),
            Some(json!({ "vm_memory_high_watermark": 0.4 }))
        );
        let absolute = json!({ "vm_memory_high_watermark_absolute": 1000 });
        assert_eq!(memory("absolute 1kB"), Some(absolute));
        assert_eq!(memory("1.5"), None);
        assert_eq!(memory("relative 1"), None);
        let disk = |line| disk_limit(&words(line)).ok();
        assert_eq!(disk("1kB"), Some(json!({ "disk_free_limit": 1000 })));
        let relative = json!({ "disk_free_limit_relative": 1.5 });
        assert_eq!(disk("mem_relative 1.5"), Some(relative));
        assert_eq!(disk("much"), None);
    }
}
