//! `warren ctl`: what people do daily with `rabbitmqctl`, under its names, against a local or
//! remote node, over the management API.
//!
//! * `commands`: names and arguments; `options`: which node, who asks, how the answer looks;
//! * `client`: HTTP; `list`: what shows; `change`: what changes; `diagnose`: health and status;
//! * `logs`: what it logs; `node`: how the node runs;
//! * `output`: tables, JSON and CSV.
//!
//! Exit statuses are RabbitMQ's (sysexits): 0; 64 for a wrong command line; 65 for input the node
//! refuses or an object that is not there; 69 when the node cannot be reached or is unwell; 70
//! when it breaks; 77 when the user may not.

mod change;
mod client;
mod commands;
mod diagnose;
mod list;
mod logs;
mod node;
mod options;
mod output;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use client::Client;
use commands::Command;
use options::Options;

/// Operate a running node: the commands of rabbitmqctl over the management API.
#[derive(Debug, Parser)]
#[command(name = "warren ctl", version, about, disable_help_subcommand = false)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The node refused, or the object is not there.
    #[error("{0}")]
    Refused(String),
    /// The node cannot be reached, or is not well.
    #[error("{0}")]
    Unavailable(String),
    /// The user may not.
    #[error("{0}")]
    NotPermitted(String),
    /// The node broke, or answered nonsense.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Refused(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Broken(_) => 70,
            Self::NotPermitted(_) => 77,
        }
    }
}

/// Runs one command; the arguments begin with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    if let Command::Completion { shell } = arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut whole_program(), "warren", &mut script);
        return match output::write(&String::from_utf8_lossy(&script)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => ExitCode::from(failure.status()),
        };
    }
    match execute(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// The command line as a shell sees it: `warren`, then `ctl`, then a command.
fn whole_program() -> clap::Command {
    let ctl = Arguments::command().name("ctl").bin_name("warren ctl");
    clap::Command::new("warren").subcommand(ctl)
}

fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    let client = Client::new(options)?;
    if command.lists() {
        list::run(&client, options, command)
    } else if command.diagnoses() {
        diagnose::run(&client, options, command)
    } else if command.operates() {
        node::run(&client, options, command)
    } else {
        change::run(&client, options, command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_shell_has_a_completion_script() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut whole_program(), "warren", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("list_queues"), "{shell}");
        }
    }

    #[test]
    fn the_user_a_command_is_about_is_not_who_asks() {
        let line = [
            "ctl",
            "--username",
            "admin",
            "--password",
            "s",
            "add_user",
            "alice",
            "pw",
        ];
        let Arguments { options, command } = Arguments::try_parse_from(line).unwrap();
        assert_eq!(
            (&*options.login_user, &*options.login_password),
            ("admin", "s")
        );
        assert!(matches!(
            command,
            Command::AddUser { username, password: Some(password) }
                if username == "alice" && password == "pw"
        ));
    }

    #[test]
    fn rabbitmqctl_lines_are_understood() {
        for line in [
            "list_queues",
            "list_queues -p / name messages consumers",
            "list_queues --vhost shop --formatter json name",
            "-q list_users",
            "add_user alice secret",
            "set_permissions -p / alice .* .* .*",
            "set_user_tags alice administrator monitoring",
            "set_policy --apply-to queues --priority 5 ttl ^orders {\"message-ttl\":1000}",
            "set_vhost_limits -p / {\"max-queues\":10}",
            "delete_queue orders --if-empty",
            "close_connection 127.0.0.1:1->127.0.0.1:5672 because",
            "export_definitions -",
            "import_definitions defs.json",
            "check_port_listener 5672",
            "--uri http://other:15672 shutdown",
            "list_queues --online --local name",
            "set_vm_memory_high_watermark 0.6",
            "set_vm_memory_high_watermark absolute 2GB",
            "set_disk_free_limit mem_relative 1.5",
            "check_certificate_expiration --within 2 --unit weeks",
            "log_tail -N 50",
            "log_tail --number 50",
            "log_tail_stream -d 10 -t 5",
            "list_policies_that_match --object-type exchange amq.topic",
        ] {
            let line: Vec<&str> = std::iter::once("ctl").chain(line.split(' ')).collect();
            let parsed = Arguments::try_parse_from(&line);
            assert!(parsed.is_ok(), "{line:?}: {}", parsed.unwrap_err());
        }
    }
}
