//! `warren-bench`: the load generator as a program of its own, for comparisons without the broker's
//! binary; `warren perf` is the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    warren_bench::main(std::env::args().collect())
}
