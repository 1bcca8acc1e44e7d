//! A load generator for AMQP 0-9-1 brokers: publishes, consumes, counts every message, measures.
//!
//! `plan`: flags and scenarios. `client`: a connection over a blocking socket. `producer` and
//! `consumer`: what the threads do. `run`: starting them and the measured span. `tally`: proof that
//! each message came once and in order. `idle` (also `churn`), `fill` and `fairness` do other
//! things than load and are commands of their own. `measure`: latency, CPU time, memory.
//!
//! Exit status: 0; 1 for messages lost, duplicated or out of order; 2 without a result.

mod client;
mod consumer;
mod fairness;
mod fill;
mod idle;
mod measure;
mod plan;
mod producer;
mod run;
mod tally;

use std::process::ExitCode;

use clap::Parser;

/// Runs what the command line says (the program's name first) and prints the outcome.
pub fn main(args: Vec<String>) -> ExitCode {
    if let Some(outcome) = other_than_load(&args) {
        return match outcome {
            Ok(line) => {
                println!("{line}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        };
    }
    let plan = plan::Plan::from_flags(args).unwrap_or_else(|e| e.exit());
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
        Err(error) => failed(&error),
    }
}

fn failed(error: &client::Error) -> ExitCode {
    eprintln!("{}: {error}", plan::NAME);
    ExitCode::from(2)
}

/// The commands beside load, by the first argument; their flags follow it.
fn other_than_load(args: &[String]) -> Option<Result<String, client::Error>> {
    let flags = || args.iter().skip(1);
    match args.get(1)?.as_str() {
        "idle" => Some(idle::Idle::parse_from(flags()).run()),
        "fill" => Some(fill::Fill::parse_from(flags()).run()),
        "churn" => Some(idle::Churn::parse_from(flags()).run()),
        "fairness" => Some(fairness::Fairness::parse_from(flags()).run()),
        _ => None,
    }
}
