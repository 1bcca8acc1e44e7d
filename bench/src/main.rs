//! A load generator for AMQP 0-9-1 brokers: publishes, consumes, counts every message, measures.
//!
//! `plan`: flags and scenarios. `client`: a connection over a blocking socket. `producer` and
//! `consumer`: what the threads do. `run`: starting them and the measured span. `tally`: proof that
//! each message came once and in order. `measure`: latency, CPU time, memory.
//!
//! Exit status: 0; 1 for messages lost, duplicated or out of order; 2 without a result.

mod client;
mod consumer;
mod measure;
mod plan;
mod producer;
mod run;
mod tally;

use std::process::ExitCode;

fn main() -> ExitCode {
    let plan = plan::Plan::from_flags(std::env::args().collect()).unwrap_or_else(|e| e.exit());
    match run::run(&plan) {
        Ok(outcome) => {
            let line = outcome.json(&plan);
            let human = || {
                line.to_string()
                    .replace(['{', '}', '"'], "")
                    .replace(',', "  ")
            };
            println!("{}", if plan.json { line.to_string() } else { human() });
            ExitCode::from(u8::from(outcome.wrong != [0; 3]))
        }
        Err(error) => {
            eprintln!("warren-bench: {error}");
            ExitCode::from(2)
        }
    }
}
