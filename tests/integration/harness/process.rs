//! One broker process: started, watched, stopped.
//!
//! A small shell waits on a pipe from this test process and kills the broker when the pipe
//! closes, so that no broker outlives the tests, however they end.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// How long a broker may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Process {
    child: Child,
    /// Kills the broker if we go away without doing so.
    watchdog: Child,
    amqp: SocketAddr,
    /// All lines of the start-up banner.
    banner: Vec<String>,
    home: PathBuf,
}

/// How a process ended.
pub(crate) type Exit = ExitStatus;

/// What a broker that would not start left behind.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program: ours, or the one `WARREN_TEST_PROGRAM` names.
pub(crate) fn program() -> PathBuf {
    env::var_os("WARREN_TEST_PROGRAM").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_warren")),
        PathBuf::from,
    )
}

/// The program with the arguments all tests use; later ones win where they repeat an option.
pub(crate) fn command(home: &Path, extra: &[&str]) -> Command {
    let mut options = vec![
        (
            "--data-dir".to_owned(),
            home.join("data").display().to_string(),
        ),
        ("--amqp-addr".to_owned(), "127.0.0.1:0".to_owned()),
        ("--management-addr".to_owned(), "off".to_owned()),
        ("--prometheus-addr".to_owned(), "off".to_owned()),
        ("--log-level".to_owned(), "info".to_owned()),
    ];
    let config = home.join("warren.conf");
    if config.exists() {
        options.push(("--config".to_owned(), config.display().to_string()));
    }
    for pair in extra.chunks(2) {
        options.retain(|(name, _)| name != pair[0]);
        options.push((pair[0].to_owned(), pair[1].to_owned()));
    }
    let mut command = Command::new(program());
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    for (name, value) in options {
        command.arg(name).arg(value);
    }
    command
}

/// Runs the program expecting it to end by itself.
pub(crate) fn run_to_end(command: &mut Command) -> Refused {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let status = wait(&mut child, PATIENCE).unwrap_or_else(|| {
        child.kill().ok();
        panic!("the program is still running after {PATIENCE:?}");
    });
    let mut refused = Refused {
        code: status.code(),
        stdout: String::new(),
        stderr: String::new(),
    };
    child
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut refused.stdout)
        .expect("text");
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut refused.stderr)
        .expect("text");
    refused
}

impl Process {
    /// Starts the program and waits until it says that it is ready. Everything is kept in `home`.
    pub(crate) fn start(home: &Path, extra: &[&str]) -> Process {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.join("log"))
            .expect("a log file");
        let mut child = command(home, extra)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program can be run");
        let watchdog = watch(child.id());
        let lines = read_lines(&mut child);
        let mut process = Process {
            child,
            watchdog,
            amqp: SocketAddr::from(([0, 0, 0, 0], 0)),
            banner: Vec::new(),
            home: home.to_owned(),
        };
        process.await_ready(&lines);
        process
    }

    /// Reads the banner up to its last line, the one about data.
    fn await_ready(&mut self, lines: &Receiver<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                panic!(
                    "the broker did not get ready; its banner so far: {:?}",
                    self.banner
                );
            };
            let last = line.trim_start().starts_with("Data ");
            self.banner.push(line);
            if last {
                break;
            }
        }
        if let Some(addr) = self.banner_value("AMQP") {
            self.amqp = addr
                .parse()
                .unwrap_or_else(|e| panic!("AMQP address {addr:?}: {e}"));
        }
    }

    /// The first word after `label` in the banner.
    pub(crate) fn banner_value(&self, label: &str) -> Option<String> {
        self.banner.iter().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(label)).then(|| words.next().map(str::to_owned))?
        })
    }

    pub(crate) fn banner(&self) -> String {
        self.banner.join("\n")
    }

    pub(crate) fn amqp_addr(&self) -> SocketAddr {
        self.amqp
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there");
    }

    /// Resident memory in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("statm");
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse::<u64>().ok());
        pages.expect("a number of pages") * rustix::param::page_size() as u64
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    pub(crate) fn kill9(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// SIGTERM, then wait.
    pub(crate) fn terminate(&mut self) -> Exit {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Exit {
        wait(&mut self.child, PATIENCE)
            .unwrap_or_else(|| panic!("the broker did not stop within {PATIENCE:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the watchdog: the process id must not be reused while it watches.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = fs::read_to_string(self.home.join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the end of the broker's log:");
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("  {line}");
            }
        }
    }
}

fn watch(pid: u32) -> Child {
    Command::new("sh")
        .args(["-c", "read _; kill -9 \"$1\"", "sh", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh can be run")
}

/// Lines of the child's stdout, read on a thread so that the pipe never fills.
fn read_lines(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("piped");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    lines
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
