//! Brokers to test against: one shared by all tests that do not need their own, or a fresh one
//! with its own settings and data.

mod http;
mod process;
pub(crate) mod tls;

use crate::dialogue::{Login, Peer};
use process::Process;
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;

pub(crate) use http::{get as http_get, send as http_send, send_with as http_send_with};
pub(crate) use process::{Exit, program, run_to_end};

/// Users, vhosts and permissions the tests rely on: guest (administrator), bob (`v1` only:
/// configure `^(own|conf)`, write `^(own|write)`, read `^(own|read)`), noperm (nothing), imp
/// (impersonator). Passwords are the names.
const DEFINITIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/integration/definitions.json"
);

/// The broker under test is RabbitMQ, not ours.
pub(crate) fn is_oracle() -> bool {
    env::var_os("WARREN_TEST_BROKER").is_some() || env::var_os("WARREN_TEST_ORACLE").is_some()
}

/// A name no other test and no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{prefix}-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The broker shared by all tests that leave it as it was.
pub(crate) fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| match env::var("WARREN_TEST_BROKER") {
        Ok(addr) => Broker::running_at(addr.parse().expect("WARREN_TEST_BROKER is IP:PORT")),
        Err(_) => Broker::start(&[]),
    })
}

/// A client of the shared broker, logged in as guest, with channel 1 open.
pub(crate) fn client() -> Peer {
    shared().client()
}

/// Where a broker of our own keeps its data, configuration and log; removed with it.
pub(crate) struct Home(TempDir);

impl Home {
    /// A home with this configuration besides the usual definitions.
    pub(crate) fn new(config: &[&str]) -> Home {
        let definitions = format!("load_definitions = {DEFINITIONS}");
        Home::bare(&[&[definitions.as_str()], config].concat())
    }

    /// A home with nothing but this configuration.
    pub(crate) fn bare(config: &[&str]) -> Home {
        let home = TempDir::new().expect("a temporary directory");
        let text = config.join("\n") + "\n";
        fs::write(home.path().join("warren.conf"), text).expect("a configuration file");
        Home(home)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program, to be run here with these options (name, value, name, value...).
    pub(crate) fn command(&self, options: &[&str]) -> Command {
        process::command(self.path(), options)
    }
}

/// A broker, ours to stop if we started it.
pub(crate) struct Broker {
    addr: SocketAddr,
    process: Option<Process>,
    home: Option<Home>,
}

impl Broker {
    fn running_at(addr: SocketAddr) -> Broker {
        Broker {
            addr,
            process: None,
            home: None,
        }
    }

    /// A fresh broker; `config` holds lines for its configuration file.
    pub(crate) fn start(config: &[&str]) -> Broker {
        Broker::start_with(config, &[])
    }

    /// A fresh broker with options (name, value, name, value...) besides the usual ones.
    pub(crate) fn start_with(config: &[&str], options: &[&str]) -> Broker {
        Broker::start_in(Home::new(config), options)
    }

    pub(crate) fn start_in(home: Home, options: &[&str]) -> Broker {
        let process = Process::start(home.path(), options);
        Broker {
            addr: process.amqp_addr(),
            process: Some(process),
            home: Some(home),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A connection over which nothing has been said.
    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.addr)
    }

    pub(crate) fn log_in(&self, login: &Login) -> Peer {
        let mut peer = self.peer();
        peer.log_in(login);
        peer
    }

    /// Logged in as guest, channel 1 open.
    pub(crate) fn client(&self) -> Peer {
        self.client_as(&Login::default())
    }

    pub(crate) fn client_as(&self, login: &Login) -> Peer {
        let mut peer = self.log_in(login);
        peer.open_channel(1);
        peer
    }

    pub(crate) fn home(&self) -> &Home {
        self.home.as_ref().expect("a broker of our own")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home().path().join("data")
    }

    /// What the broker has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home().path().join("log")).unwrap_or_default()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running broker of our own")
    }

    /// Where the banner says that something is served over HTTP.
    pub(crate) fn http_addr(&mut self, label: &str) -> SocketAddr {
        let url = self
            .process()
            .banner_value(label)
            .expect("a line in the banner");
        let addr = url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .expect("an address");
        addr.parse()
            .unwrap_or_else(|e| panic!("{label} address {url:?}: {e}"))
    }

    pub(crate) fn management_addr(&mut self) -> SocketAddr {
        self.http_addr("Management")
    }

    /// Ends the process as a power cut would, as far as a process can feel one.
    pub(crate) fn kill9(&mut self) {
        self.process().kill9();
        self.process = None;
    }

    /// Asks the process to stop and waits for it.
    pub(crate) fn terminate(&mut self) -> Exit {
        let exit = self.process().terminate();
        self.process = None;
        exit
    }

    /// Starts again on the same data, on whatever port is free.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same with options (name, value, name, value...).
    pub(crate) fn start_again_with(&mut self, options: &[&str]) {
        assert!(self.process.is_none(), "stop it first");
        let process = Process::start(self.home().path(), options);
        self.addr = process.amqp_addr();
        self.process = Some(process);
    }

    /// An orderly restart.
    pub(crate) fn restart(&mut self) {
        let exit = self.terminate();
        assert!(
            exit.success(),
            "SIGTERM ends the broker with 0, not {exit:?}"
        );
        self.start_again();
    }
}
