//! The command line: flags, the environment variables behind them, and the order in which the
//! sources count: flags, then environment, then file, then defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use warren_broker::Durability;

use crate::config::{Config, Draft, ListenAddress, LogLevel, Origin, Problem, Setting};
use crate::config::{listen_address, read_settings};

/// An AMQP 0-9-1 message broker.
#[derive(Debug, Parser)]
#[command(name = "warren", version, about, after_help = ENVIRONMENT)]
struct Args {
    /// Folder of everything that outlives the process [default: ./warren-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to serve AMQP [default: port 5672 on every interface]
    #[arg(long, value_name = "HOST:PORT|off")]
    amqp_addr: Option<String>,
    /// Where to serve the management API [default: port 15672 on every interface]
    #[arg(long, value_name = "HOST:PORT|off")]
    management_addr: Option<String>,
    /// Where to serve Prometheus metrics [default: port 15692 on every interface]
    #[arg(long, value_name = "HOST:PORT|off")]
    prometheus_addr: Option<String>,
    /// Name of this node [default: warren@HOST]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// A rabbitmq.conf file, or a folder of .conf files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// When a persistent message is confirmed: on disk, or in the operating system's hands
    #[arg(long, value_name = "fsync|os")]
    durability: Option<String>,
    /// Lowest level logged: debug, info, notice, warning, error, critical or none
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

const ENVIRONMENT: &str = "\
Tools: `warren ctl` operates a running node, `warren perf` puts load on one, `warren log` verifies and
repairs the data folder of a stopped one; all have --help.

Environment: WARREN_DATA_DIR, WARREN_AMQP_ADDR, WARREN_MANAGEMENT_ADDR, WARREN_PROMETHEUS_ADDR,
WARREN_NODE_NAME, WARREN_CONFIG, WARREN_DURABILITY and WARREN_LOG_LEVEL stand for the flags of these
names.
RABBITMQ_CONFIG_FILE, RABBITMQ_NODENAME, RABBITMQ_DEFAULT_USER, RABBITMQ_DEFAULT_PASS and
RABBITMQ_DEFAULT_VHOST are understood too. Flags count before the environment, the environment
before the file.";

/// Environment variables that stand for a key of the file.
const ENVIRONMENT_KEYS: [(&str, &str); 3] = [
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
];

/// Why there is no configuration.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Help or version was asked for, or the flags are wrong.
    Usage(clap::Error),
    /// Settings that cannot be used: all of them, never empty.
    Settings(Vec<Problem>),
}

impl CliError {
    /// Tells the operator: help and version on standard output (success), usage errors (2) and
    /// unusable settings (1, a line each) on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // Nobody is left to tell when the terminal is gone.
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Settings(problems) => {
                for problem in problems {
                    eprintln!("warren: {problem}");
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// The configuration of this run from its arguments (the program's name first) and the process's
/// environment.
pub(crate) fn load(args: impl IntoIterator<Item = OsString>) -> Result<Config, CliError> {
    load_with(args, &|name| std::env::var(name).ok())
}

/// The same with another environment.
fn load_with(
    args: impl IntoIterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, CliError> {
    let args = Args::try_parse_from(args).map_err(CliError::Usage)?;
    let mut loading = Loading {
        draft: Draft::new(),
        problems: Vec::new(),
    };
    if let Some(path) = config_file(args.config.as_deref(), env) {
        let (settings, problems) = read_settings(&path, env);
        loading.problems.extend(problems);
        settings.iter().for_each(|setting| loading.setting(setting));
    }
    for (name, key) in ENVIRONMENT_KEYS {
        if let Some(value) = env(name) {
            let origin = Origin::Environment(name);
            loading.setting(&Setting {
                key: vec![key.to_owned()],
                value,
                origin,
            });
        }
    }
    loading.flags(args, env);
    loading.finish()
}

/// The file to read: the flag, or Warren's variable, or RabbitMQ's, which may leave out `.conf`.
fn config_file(flag: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = flag
        .map(Path::to_owned)
        .or_else(|| env("WARREN_CONFIG").map(PathBuf::from));
    named.or_else(|| {
        let path = env("RABBITMQ_CONFIG_FILE")?;
        let with_extension = PathBuf::from(format!("{path}.conf"));
        let path = PathBuf::from(path);
        Some(if !path.exists() && with_extension.exists() {
            with_extension
        } else {
            path
        })
    })
}

/// A draft and what went wrong with it so far.
struct Loading {
    draft: Draft,
    problems: Vec<Problem>,
}

impl Loading {
    fn setting(&mut self, setting: &Setting) {
        let result = self.draft.apply(setting);
        self.problems.extend(result.err());
    }

    fn flags(&mut self, args: Args, env: &dyn Fn(&str) -> Option<String>) {
        let either = |flag: Option<String>, name, variable| match flag {
            Some(value) => Some((value, Origin::Flag(name))),
            None => Some((env(variable)?, Origin::Environment(variable))),
        };
        if let Some(dir) = args
            .data_dir
            .or_else(|| env("WARREN_DATA_DIR").map(PathBuf::from))
        {
            self.draft.set_data_dir(dir);
        }
        let amqp = either(args.amqp_addr, "--amqp-addr", "WARREN_AMQP_ADDR");
        self.address(amqp, Draft::set_amqp);
        let management = either(
            args.management_addr,
            "--management-addr",
            "WARREN_MANAGEMENT_ADDR",
        );
        self.address(management, Draft::set_management);
        let prometheus = either(
            args.prometheus_addr,
            "--prometheus-addr",
            "WARREN_PROMETHEUS_ADDR",
        );
        self.address(prometheus, Draft::set_prometheus);
        let name = either(args.node_name, "--node-name", "WARREN_NODE_NAME").or_else(|| {
            Some((
                env("RABBITMQ_NODENAME")?,
                Origin::Environment("RABBITMQ_NODENAME"),
            ))
        });
        if let Some((name, origin)) = name {
            let result = self.draft.set_node_name(&name, &origin);
            self.problems.extend(result.err());
        }
        self.durability(either(args.durability, "--durability", "WARREN_DURABILITY"));
        self.level(either(args.log_level, "--log-level", "WARREN_LOG_LEVEL"));
    }

    fn address(
        &mut self,
        given: Option<(String, Origin)>,
        set: impl FnOnce(&mut Draft, Option<ListenAddress>),
    ) {
        let Some((text, origin)) = given else { return };
        match (text.as_str(), listen_address(&text)) {
            ("off", _) => set(&mut self.draft, None),
            (_, Some(address)) => set(&mut self.draft, Some(address)),
            (_, None) => {
                let text = format!("`{text}` is not HOST:PORT, PORT or off");
                self.problems.push(Problem::new(&origin, text));
            }
        }
    }

    fn durability(&mut self, given: Option<(String, Origin)>) {
        let Some((text, origin)) = given else { return };
        match Durability::parse(&text) {
            Some(durability) => self.draft.set_durability(durability),
            None => {
                let text = format!("`{text}` is not fsync or os");
                self.problems.push(Problem::new(&origin, text));
            }
        }
    }

    fn level(&mut self, given: Option<(String, Origin)>) {
        let Some((text, origin)) = given else { return };
        match LogLevel::parse(&text) {
            Some(level) => self.draft.set_log_level(level),
            None => {
                let text = format!("`{text}` is not a log level");
                self.problems.push(Problem::new(&origin, text));
            }
        }
    }

    fn finish(self) -> Result<Config, CliError> {
        if !self.problems.is_empty() {
            return Err(CliError::Settings(self.problems));
        }
        self.draft
            .finish()
            .map_err(|problem| CliError::Settings(vec![problem]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn load_from(args: &[&str], env: &[(&str, &str)]) -> Result<Config, CliError> {
        let args = std::iter::once("warren")
            .chain(args.iter().copied())
            .map(OsString::from);
        let env = |name: &str| {
            env.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        load_with(args, &env)
    }

    fn problems(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        match load_from(args, env) {
            Err(CliError::Settings(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_anything_the_defaults_stand() {
        assert_eq!(load_from(&[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn flags_count_before_environment_before_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.conf");
        fs::write(
            &file,
            "data_dir = /file\nlisteners.tcp.1 = 1\nlog.console.level = error\n\
             default_user = file\ndefault_pass = file\nheartbeat = 7\n",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let env = [
            ("WARREN_CONFIG", file),
            ("WARREN_DATA_DIR", "/env"),
            ("WARREN_AMQP_ADDR", "127.0.0.1:2"),
            ("WARREN_LOG_LEVEL", "warning"),
            ("RABBITMQ_DEFAULT_USER", "env"),
            ("WARREN_NODE_NAME", "env@h"),
            ("RABBITMQ_NODENAME", "rabbit@h"),
        ];
        let config = load_from(&["--data-dir", "/flag", "--amqp-addr", "[::1]:0"], &env).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/flag"));
        assert_eq!(config.amqp_listeners[0].to_string(), "[::1]:0");
        assert_eq!(config.amqp_listeners.len(), 1);
        assert_eq!(config.log.console.unwrap().level, LogLevel::Warning);
        assert_eq!(config.login.default_user, "env");
        assert_eq!(config.login.default_pass.expose(), "file");
        assert_eq!(config.limits.heartbeat_s, 7);
        assert_eq!(
            (config.node_name.as_str(), config.cluster_name.as_str()),
            ("env@h", "env@h")
        );
    }

    #[test]
    fn durability_is_said_by_file_environment_or_flag() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.conf");
        fs::write(&file, "durability = os\n").unwrap();
        let file = file.to_str().unwrap();
        let durability = |args: &[&str], env: &[(&str, &str)]| {
            let args = [args, &["--config", file]].concat();
            load_from(&args, env).unwrap().durability
        };
        let env = [("WARREN_DURABILITY", "fsync")];
        assert_eq!(durability(&[], &[]), Durability::Os);
        assert_eq!(durability(&[], &env), Durability::Fsync);
        assert_eq!(durability(&["--durability", "os"], &env), Durability::Os);
        assert_eq!(
            problems(&["--durability", "none"], &[]),
            ["--durability: `none` is not fsync or os"]
        );
    }

    #[test]
    fn off_closes_a_listener_whatever_the_file_says() {
        let args = [
            "--amqp-addr",
            "off",
            "--management-addr",
            "off",
            "--prometheus-addr",
            "off",
        ];
        let config = load_from(&args, &[]).unwrap();
        assert_eq!(config.amqp_listeners, vec![]);
        assert_eq!((config.management, config.prometheus), (None, None));
    }

    #[test]
    fn an_address_opens_what_the_file_closed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.conf");
        fs::write(&file, "listeners.tcp = none\nmanagement.tcp = none\n").unwrap();
        let args = ["--amqp-addr", "1", "--management-addr", "h:2", "--config"];
        let config = load_from(&[&args[..], &[file.to_str().unwrap()]].concat(), &[]).unwrap();
        assert_eq!(config.amqp_listeners[0].to_string(), "1");
        assert_eq!(config.management.unwrap().to_string(), "h:2");
    }

    #[test]
    fn rabbitmqs_config_variable_may_leave_out_the_extension() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rabbitmq.conf"), "heartbeat = 9\n").unwrap();
        let bare = dir.path().join("rabbitmq");
        let env = [("RABBITMQ_CONFIG_FILE", bare.to_str().unwrap())];
        assert_eq!(load_from(&[], &env).unwrap().limits.heartbeat_s, 9);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.conf");
        fs::write(&file, "hartbeat = 1\nnonsense\nframe_max = big\n").unwrap();
        let file = file.to_str().unwrap();
        let told = problems(
            &[
                "--config",
                file,
                "--amqp-addr",
                "nowhere",
                "--log-level",
                "loud",
            ],
            &[("RABBITMQ_DEFAULT_USER", ""), ("WARREN_NODE_NAME", "a b")],
        );
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told.contains(&format!("{file}:2: expected `key = value`")));
        assert!(
            told.iter()
                .any(|t| t.starts_with(&format!("{file}:1: unknown key `hartbeat`")))
        );
        assert!(told.contains(&"--log-level: `loud` is not a log level".to_owned()));
        assert!(
            told.iter()
                .any(|t| t.starts_with("environment variable WARREN_NODE_NAME: "))
        );
        assert!(
            told.iter()
                .any(|t| t.starts_with("environment variable RABBITMQ_DEFAULT_USER: "))
        );
    }

    #[test]
    fn a_missing_file_is_a_problem_not_a_default() {
        let told = problems(&["--config", "/nonexistent/w.conf"], &[]);
        assert!(
            told[0].starts_with("/nonexistent/w.conf: cannot be read"),
            "{told:?}"
        );
    }

    #[test]
    fn a_backend_needs_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.conf");
        fs::write(&file, "definitions.import_backend = local_filesystem\n").unwrap();
        let told = problems(&["--config", file.to_str().unwrap()], &[]);
        assert_eq!(
            told,
            ["configuration: definitions.import_backend needs definitions.local.path"]
        );
    }

    #[test]
    fn unknown_flags_and_help_are_usage() {
        assert!(matches!(
            load_from(&["--nope"], &[]),
            Err(CliError::Usage(_))
        ));
        let Err(CliError::Usage(help)) = load_from(&["--version"], &[]) else {
            panic!()
        };
        assert_eq!(help.exit_code(), 0);
    }
}
