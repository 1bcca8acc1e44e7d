//! The node's log: its last lines, and each new one as it is written.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::client::Client;
use crate::options::{Formatter, Options};
use crate::output;

/// Writes the last `number` lines.
pub(crate) fn tail(client: &Client, options: &Options, number: u32) -> Result<(), Failure> {
    options.say(|| format!("Last {number} lines of the log ..."));
    let found = client.get(&format!("/api/console/logs?limit={number}"))?;
    if options.formatter == Formatter::Json {
        return output::write(&format!("{}\n", found["items"]));
    }
    output::write(&lines(&found, options))
}

/// Writes lines as they come, for so many seconds or until somebody ends it.
pub(crate) fn stream(
    client: &Client,
    options: &Options,
    duration_s: Option<u64>,
) -> Result<(), Failure> {
    options.say(|| match duration_s {
        Some(seconds) => format!("Streaming the log for {seconds} seconds ..."),
        None => "Streaming the log ...".to_owned(),
    });
    let duration = duration_s.map(Duration::from_secs);
    let begun = Instant::now();
    // The lines there are already are not asked for.
    let events = client.events("/api/console/logs?limit=0", duration)?;
    for event in BufReader::new(events).lines() {
        match event {
            Ok(event) => {
                let data = event.strip_prefix("data:").unwrap_or_default().trim_start();
                if let Ok(news) = serde_json::from_str::<Value>(data)
                    && !output::write_more(&lines(&news, options))?
                {
                    return Ok(());
                }
            }
            // That is how the client ends what has taken long enough.
            Err(_) if duration.is_some_and(|duration| begun.elapsed() >= duration) => return Ok(()),
            Err(error) => return Err(Failure::Unavailable(error.to_string())),
        }
    }
    Err(Failure::Unavailable("the node has ended it".to_owned()))
}

/// As the node writes them, or each as a JSON object.
fn lines(found: &Value, options: &Options) -> String {
    let items = found["items"].as_array().into_iter().flatten();
    let line = |item: &Value| match options.formatter {
        Formatter::Json => format!("{item}\n"),
        _ => {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            format!("{} [{}] {}\n", text("time"), text("level"), text("text"))
        }
    };
    items.map(line).collect()
}
