//! The `warren` program: reads its configuration and runs the server. The parts:
//!
//! * `cli`, `config`, `logging`: what it was told and where it speaks;
//! * `boot`, `server`, `listeners`: opening the broker, listening, start-up message, shutdown;
//! * `program`: what the management API may know and ask of all that;
//! * `log_tool`: `warren log`, for a data directory at rest;
//! * `tls`: keys and certificates;
//! * `net`: sockets and buffers; `connection`: the protocol as a state machine.

mod background;
mod boot;
mod cli;
mod clock;
mod config;
mod connection;
mod entrance;
mod listeners;
mod log_tool;
mod logging;
mod net;
mod program;
mod server;
mod tls;

use std::ffi::OsString;
use std::process::ExitCode;

// Unit tests count allocations instead (`connection::budget`).
#[cfg(all(feature = "mimalloc", not(test)))]
#[global_allocator]
static ALLOCATOR: warren_allocator::MiMalloc = warren_allocator::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "mimalloc")]
    warren_allocator::return_memory_promptly();
    if let Some(status) = tool(std::env::args_os().skip(1).collect()) {
        return status;
    }
    let config = match cli::load(std::env::args_os()) {
        Ok(config) => config,
        Err(error) => return error.report(),
    };
    let levels = match logging::init(&config.log) {
        Ok(levels) => levels,
        Err(error) => {
            eprintln!("warren: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(server::run(config, levels)),
        Err(error) => {
            eprintln!("warren: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what the first argument names, if it names one of the tools in this binary.
fn tool(args: Vec<OsString>) -> Option<ExitCode> {
    match args.first()?.to_str()? {
        "log" => Some(log_tool::run(args)),
        "ctl" => Some(warren_ctl::run(args)),
        "perf" => {
            let args = args
                .into_iter()
                .map(|arg| arg.to_string_lossy().into_owned());
            Some(warren_bench::main(args.collect()))
        }
        _ => None,
    }
}
