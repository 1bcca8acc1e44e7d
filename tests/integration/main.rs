//! Tests of the whole program: each talks to a running broker over a socket, as a client would.
//!
//! `harness` starts the binary, `dialogue` speaks AMQP frame by frame, `rows` holds one test per
//! row of the compatibility table (the row's id begins the test's name); the other modules are
//! longer stories. With `WARREN_TEST_BROKER=127.0.0.1:PORT` the tests that share a broker use that
//! one instead; see README.md for running them against RabbitMQ, the oracle of the dialogues.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backlog;
mod compatibility;
mod crash;
mod ctl;
mod dialogue;
mod disk_faults;
mod harness;
mod hostile;
mod lapin_suite;
mod management;
mod program;
mod random;
mod rows;
mod syscalls;
