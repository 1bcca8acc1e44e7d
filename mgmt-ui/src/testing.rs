//! A node for tests: a broker in a temporary folder behind both routers on loopback sockets, and
//! the plainest of HTTP clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use warren_broker::alarms::{Monitor, ResourceLimits};
use warren_broker::auth::{
    DefaultUser, HashingAlgorithm, LoopbackUsers, PasswordRules, bootstrap, hash_sha256,
};
use warren_broker::catalog::Command;
use warren_broker::{Broker, PagingSettings, Settings};

use crate::{
    CertificateFile, HttpSettings, ListenerCertificate, Plain, Program, ProgramFacts, ProgramLog,
    ServerInfo, TlsAddresses, metrics_router, router, serve,
};

/// guest:guest.
pub(crate) const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// An `Authorization` header.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A program with one listener over TLS whose certificate is good for twenty days; little can be
/// asked of it.
#[derive(Default)]
struct Bystander {
    log: Arc<ProgramLog>,
    suspended: AtomicBool,
}

impl Program for Bystander {
    fn certificates(&self) -> Vec<ListenerCertificate> {
        let now_s = (crate::act::now_ms() / 1000) as i64;
        vec![ListenerCertificate {
            address: "127.0.0.1:5671".parse().unwrap(),
            protocol: "amqp/ssl",
            certfile: CertificateFile {
                path: "/etc/cert.pem".to_owned(),
                expires_on_s: vec![now_s + 20 * 86_400],
            },
            cacertfile: None,
        }]
    }

    fn set_log_level(&self, level: &str) -> bool {
        level == "debug"
    }

    fn log(&self) -> Arc<ProgramLog> {
        Arc::clone(&self.log)
    }

    fn rotate_logs(&self) -> Result<(), String> {
        Ok(())
    }

    fn suspend_listeners(&self) {
        self.suspended.store(true, Ordering::Relaxed);
    }

    fn resume_listeners(&self) -> Result<(), String> {
        Err("cannot serve AMQP".to_owned())
    }

    fn keeps_clients_out(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    fn stop(&self) {}
}

/// A running node.
pub(crate) struct Node {
    pub(crate) broker: Arc<Broker>,
    info: Arc<ServerInfo>,
    pub(crate) address: SocketAddr,
    metrics: SocketAddr,
    _dir: tempfile::TempDir,
}

/// What the node answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A stream of server-sent events, and what has come of it.
pub(crate) struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    /// Reads until `part` has come; all that has come since the beginning.
    pub(crate) async fn until(&mut self, part: &str) -> &str {
        let mut buffer = [0; 4096];
        while !self.text.contains(part) {
            let n = self.stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "{}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        &self.text
    }
}

impl Node {
    /// Follows what the administrator sees under `path`.
    pub(crate) async fn events(&self, path: &str) -> Events {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: h\r\naccept: text/event-stream\r\nauthorization: {GUEST}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = String::new();
        Events { stream, text }
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(HttpSettings::default()).await
    }

    pub(crate) async fn start_with(http: HttpSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            node_name: "warren@test".to_owned(),
            cluster_name: "test-cluster".to_owned(),
            loopback_users: LoopbackUsers::default(),
            passwords: PasswordRules::default(),
            interceptors: Default::default(),
            max_message_size: 1024,
            limits: warren_broker::NodeLimits::default(),
            paging: PagingSettings::default(),
            event_vhost: None,
            vhost_defaults: warren_broker::VhostDefaults::default(),
            sample_interval_ms: 5000,
            durability: warren_broker::Durability::Fsync,
        };
        let prepare = |catalog: &_| match bootstrap(
            catalog,
            &DefaultUser::default(),
            &PasswordRules::default(),
        ) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let broker = Arc::new(Broker::open(dir.path(), settings, 0, prepare).unwrap());
        let monitor = Monitor::new("warren@test", dir.path(), ResourceLimits::default());
        monitor.sample();
        let info = Arc::new(ServerInfo {
            version: "9.9.9",
            monitor: Arc::new(monitor),
            amqp: vec!["127.0.0.1:5672".parse().unwrap()],
            management: Some("127.0.0.1:15672".parse().unwrap()),
            prometheus: Some("127.0.0.1:15692".parse().unwrap()),
            tls: TlsAddresses::default(),
            prometheus_path: "/metrics".to_owned(),
            http,
            facts: ProgramFacts {
                config_files: vec!["/etc/warren.conf".to_owned()],
                log_files: vec!["<stderr>".to_owned()],
                auth_mechanisms: vec!["PLAIN", "AMQPLAIN"],
                consumer_timeout_ms: Some(1_800_000),
                settings: vec![("heartbeat".to_owned(), "60".to_owned())],
            },
            program: Arc::new(Bystander::default()),
        });
        let start = |router| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, Plain, router, std::future::pending()));
            address
        };
        let address = start(router(Arc::clone(&broker), Arc::clone(&info)));
        let metrics = start(metrics_router(Arc::clone(&broker), Arc::clone(&info)));
        Self {
            broker,
            info,
            address,
            metrics,
            _dir: dir,
        }
    }

    /// What the program says of itself.
    pub(crate) fn info(&self) -> Arc<ServerInfo> {
        Arc::clone(&self.info)
    }

    /// The management router itself, without a socket.
    pub(crate) fn router(&self) -> axum::Router {
        router(Arc::clone(&self.broker), Arc::clone(&self.info))
    }

    /// Adds a user with password `pw`.
    pub(crate) fn add_user(&self, name: &str, tags: &[&str]) {
        self.propose(Command::PutUser {
            name: name.to_owned(),
            password_hash: hash_sha256("pw", [1, 2, 3, 4]),
            hashing_algorithm: HashingAlgorithm::Sha256,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        });
    }

    /// Gives a user all permissions in a vhost.
    pub(crate) fn permit(&self, user: &str, vhost: &str) {
        let all = || ".*".to_owned();
        self.propose(Command::SetPermission {
            user: user.to_owned(),
            vhost: vhost.to_owned(),
            configure: all(),
            write: all(),
            read: all(),
        });
    }

    fn propose(&self, command: Command) {
        self.broker.catalog().propose(command).unwrap();
    }

    pub(crate) async fn get(&self, path: &str, authorization: Option<&str>) -> Answer {
        get(self.address, path, authorization).await
    }

    /// Sends a request with a JSON body, as guest.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_as(method, path, body, Some(GUEST)).await
    }

    /// Sends a request with a JSON body.
    pub(crate) async fn send_as(
        &self,
        method: &str,
        path: &str,
        body: &str,
        authorization: Option<&str>,
    ) -> Answer {
        request(self.address, method, path, authorization, body).await
    }

    pub(crate) async fn get_metrics(&self, path: &str) -> Answer {
        get(self.metrics, path, None).await
    }

    /// Sends a text as it is and returns all that comes back.
    pub(crate) async fn raw(&self, request: &str) -> String {
        exchange(self.address, request).await
    }
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str, authorization: Option<&str>) -> Answer {
    request(address, "GET", path, authorization, "").await
}

async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: &str,
) -> Answer {
    let header = authorization
        .map(|a| format!("Authorization: {a}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: h\r\n{header}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let text = exchange(address, &request).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Answer {
        status,
        headers: headers.collect(),
        body: body.to_owned(),
    }
}
