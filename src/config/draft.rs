//! A configuration being put together. Holds what only becomes a [`Config`] field once every
//! source has spoken: numbered lists, alternatives of which one wins, names built from others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use warren_broker::Durability;
use warren_broker::alarms::{DiskFreeLimit, MemoryWatermark};
use warren_broker::auth::CredentialValidator;

use super::files::{Origin, Problem, Setting};
use super::tls::{AlternativeNameKind, CertificateLogin, TlsOptions, TlsVersion};
use super::value::{ListenAddress, Secret};
use super::vhosts::VhostsDraft;
pub(super) use super::vhosts::{AccessDraft, LimitsDraft, PolicyDraft};
use super::{AuthMechanism, Config, LogSink, keys};

/// Settings collected so far. Sources are applied from the weakest to the strongest; within one
/// source a later line overrides an earlier one, as in RabbitMQ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(super) config: Config,
    /// `listeners.tcp.<n>`, by `<n>`; replaces the default listener when not empty.
    pub(super) listeners: BTreeMap<String, ListenAddress>,
    /// `listeners.tcp = none`.
    pub(super) no_listeners: bool,
    /// `listeners.ssl.<n>`, by `<n>`.
    pub(super) tls_listeners: BTreeMap<String, ListenAddress>,
    /// `listeners.ssl = none`.
    pub(super) no_tls_listeners: bool,
    /// `ssl_options`.
    pub(super) tls: TlsDraft,
    /// `management.ssl`.
    pub(super) management_tls: TlsDraft,
    /// `prometheus.ssl`.
    pub(super) prometheus_tls: TlsDraft,
    /// `ssl_cert_login_from`, whose alternative name is said by two other keys.
    pub(super) certificate_login: CertificateLogin,
    pub(super) alternative_name: (AlternativeNameKind, usize),
    /// `credential_validator`: which one, and the settings of the two that have one.
    pub(super) validator: Option<Validator>,
    pub(super) min_password_length: usize,
    pub(super) password_pattern: Option<String>,
    /// `anonymous_login_user`, unless it is `none`.
    pub(super) anonymous_user: Option<String>,
    pub(super) anonymous_pass: Secret,
    /// `auth_mechanisms.<n>`, by `<n>`; replaces the default ones when not empty.
    pub(super) auth_mechanisms: BTreeMap<u32, AuthMechanism>,
    /// `default_user_tags.<tag>` that are true; replaces the default ones when any was given.
    pub(super) user_tags: BTreeMap<String, bool>,
    pub(super) memory_absolute: Option<u64>,
    pub(super) memory_relative: Option<f64>,
    pub(super) disk_absolute: Option<u64>,
    pub(super) disk_relative: Option<f64>,
    /// Set when the cluster name was given and so does not follow the node name.
    pub(super) cluster_name: Option<String>,
    /// `definitions.import_backend` was given, so a path has to follow.
    pub(super) definitions_expected: bool,
    /// Kept also while the console is off, in whatever order the keys come.
    pub(super) console: LogSink,
    pub(super) console_on: bool,
    pub(super) file: LogSink,
    /// `None`: not said; `Some(None)`: `log.file = false`.
    pub(super) file_name: Option<Option<String>>,
    pub(super) log_dir: Option<PathBuf>,
    pub(super) management: HttpListener,
    pub(super) prometheus: HttpListener,
    /// What new vhosts begin with.
    pub(super) vhosts: VhostsDraft,
}

/// The two halves of an HTTP listener's address, and whether there is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HttpListener {
    pub(super) on: bool,
    /// Its port or address was given: it is meant to be there.
    pub(super) named: bool,
    pub(super) address: ListenAddress,
}

/// `credential_validator.validation_backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validator {
    Everything,
    MinLength,
    Pattern,
}

/// TLS of one kind of listener, so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct TlsDraft {
    pub(super) options: TlsOptions,
    /// `versions.<n>`, by `<n>`.
    pub(super) versions: BTreeMap<String, TlsVersion>,
    /// `ciphers.<n>`, by `<n>`.
    pub(super) ciphers: BTreeMap<u32, &'static str>,
    /// The port of an HTTP listener over TLS; there is one when it or a file is given.
    pub(super) port: Option<u16>,
    /// Its address; `Some(None)` is every interface.
    pub(super) host: Option<Option<String>>,
}

impl TlsDraft {
    /// The options, complete.
    fn options(self, prefix: &str) -> Result<TlsOptions, Problem> {
        let mut options = self.options;
        if !self.versions.is_empty() {
            options.versions = unique(self.versions.into_values());
        }
        options.ciphers = unique(self.ciphers.into_values());
        match options.complaint(prefix) {
            Some(text) => Err(Problem::new(&Origin::Sources, text)),
            None => Ok(options),
        }
    }

    /// The listener, when any key of it was given.
    fn listener(
        self,
        prefix: &str,
        port: u16,
    ) -> Result<Option<(ListenAddress, TlsOptions)>, Problem> {
        if self == Self::default() {
            return Ok(None);
        }
        let address = ListenAddress {
            host: self.host.clone().unwrap_or_default(),
            port: self.port.unwrap_or(port),
        };
        Ok(Some((address, self.options(prefix)?)))
    }
}

impl HttpListener {
    fn new(default: Option<&ListenAddress>, port: u16) -> Self {
        let address = default.cloned().unwrap_or(ListenAddress::any(port));
        Self {
            on: default.is_some(),
            named: false,
            address,
        }
    }

    /// The listener, if there is one. One over TLS replaces one that nobody asked for.
    fn finish(self, tls: bool) -> Option<ListenAddress> {
        (self.on && (self.named || !tls)).then_some(self.address)
    }

    /// Replaces the whole address; `None` turns the listener off.
    fn set(&mut self, address: Option<ListenAddress>) {
        self.on = address.is_some();
        self.named = true;
        self.address = address.unwrap_or_else(|| self.address.clone());
    }
}

impl Draft {
    /// Everything at its default.
    pub(crate) fn new() -> Self {
        let config = Config::default();
        Self {
            listeners: BTreeMap::new(),
            no_listeners: false,
            tls_listeners: BTreeMap::new(),
            no_tls_listeners: false,
            tls: TlsDraft::default(),
            management_tls: TlsDraft::default(),
            prometheus_tls: TlsDraft::default(),
            certificate_login: CertificateLogin::default(),
            alternative_name: Default::default(),
            validator: None,
            min_password_length: 8,
            password_pattern: None,
            anonymous_user: None,
            anonymous_pass: Secret::new("guest"),
            auth_mechanisms: BTreeMap::new(),
            user_tags: BTreeMap::new(),
            memory_absolute: None,
            memory_relative: None,
            disk_absolute: None,
            disk_relative: None,
            cluster_name: None,
            definitions_expected: false,
            console: config.log.console.unwrap_or_default(),
            console_on: config.log.console.is_some(),
            file: LogSink::default(),
            file_name: None,
            log_dir: None,
            management: HttpListener::new(config.management.as_ref(), 15672),
            prometheus: HttpListener::new(config.prometheus.as_ref(), 15692),
            vhosts: VhostsDraft::default(),
            config,
        }
    }

    /// Applies one setting, from a file or an environment variable that stands for a key.
    pub(crate) fn apply(&mut self, setting: &Setting) -> Result<(), Problem> {
        keys::apply(self, setting)?;
        if let Origin::Line(path, _) = &setting.origin
            && !self.config.files.iter().any(|known| **known == **path)
        {
            self.config.files.push(path.to_path_buf());
        }
        self.give(setting.key.join("."), setting.value.clone());
        Ok(())
    }

    /// Notes the value of a key, in place of one given before.
    fn give(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        self.config.given.retain(|(known, _)| *known != key);
        self.config.given.push((key, value));
    }

    /// Notes a listener's address, or that there is none, in place of all given before.
    fn give_listener(&mut self, prefix: &str, key: &str, address: Option<&ListenAddress>) {
        let below = |known: &str| {
            let rest = known.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.config.given.retain(|(known, _)| !below(known));
        match address {
            Some(address) => self.give(format!("{prefix}.{key}"), address.to_string()),
            None => self.give(prefix, "none"),
        }
    }

    /// Serves AMQP on this address alone, or nowhere: `--amqp-addr`.
    pub(crate) fn set_amqp(&mut self, address: Option<ListenAddress>) {
        self.give_listener("listeners.tcp", "default", address.as_ref());
        self.no_listeners = address.is_none();
        self.listeners.clear();
        self.listeners
            .extend(address.map(|a| ("default".to_owned(), a)));
    }

    /// Serves HTTP on this address alone, or nowhere: `--management-addr`.
    pub(crate) fn set_management(&mut self, address: Option<ListenAddress>) {
        self.give_listener("management.tcp", "port", address.as_ref());
        self.management.set(address);
    }

    /// Serves metrics on this address alone, or nowhere: `--prometheus-addr`.
    pub(crate) fn set_prometheus(&mut self, address: Option<ListenAddress>) {
        self.give_listener("prometheus.tcp", "port", address.as_ref());
        self.prometheus.set(address);
    }

    /// `--data-dir`.
    pub(crate) fn set_data_dir(&mut self, dir: PathBuf) {
        self.give("data_dir", dir.display().to_string());
        self.config.data_dir = dir;
    }

    /// `--durability`.
    pub(crate) fn set_durability(&mut self, durability: Durability) {
        self.give("durability", durability.as_str());
        self.config.durability = durability;
    }

    /// `--node-name`; the host is added when it is missing.
    pub(crate) fn set_node_name(&mut self, name: &str, origin: &Origin) -> Result<(), Problem> {
        let full = super::files::full_node_name(name);
        self.config.node_name = full.ok_or_else(|| {
            Problem::new(
                origin,
                format!("node name `{name}` is not of the form NAME or NAME@HOST"),
            )
        })?;
        Ok(())
    }

    /// `--log-level`: for both sinks.
    pub(crate) fn set_log_level(&mut self, level: super::LogLevel) {
        self.give("log.console.level", level.name());
        self.give("log.file.level", level.name());
        self.console.level = level;
        self.file.level = level;
    }

    /// Decides what is left to decide.
    pub(crate) fn finish(mut self) -> Result<Config, Problem> {
        if self.definitions_expected && self.config.definitions.is_none() {
            let text = "definitions.import_backend needs definitions.local.path";
            return Err(Problem::new(&Origin::Sources, text.to_owned()));
        }
        self.finish_tls()?;
        self.finish_mechanisms()?;
        self.finish_validator()?;
        let vhosts = std::mem::take(&mut self.vhosts);
        vhosts
            .finish(&mut self.config.vhost_defaults)
            .map_err(|text| Problem::new(&Origin::Sources, text))?;
        if self.no_listeners {
            self.config.amqp_listeners.clear();
        } else if !self.listeners.is_empty() {
            self.config.amqp_listeners = unique(self.listeners.into_values());
        }
        if !self.auth_mechanisms.is_empty() {
            self.config.login.auth_mechanisms = unique(self.auth_mechanisms.into_values());
        }
        if !self.user_tags.is_empty() {
            let wanted = self.user_tags.into_iter().filter(|(_, wanted)| *wanted);
            self.config.login.default_user_tags = wanted.map(|(tag, _)| tag).collect();
        }
        // An absolute limit wins over a relative one, in RabbitMQ too.
        let resources = &mut self.config.resources;
        if let Some(bytes) = self.memory_absolute {
            resources.memory_watermark = MemoryWatermark::Absolute(bytes);
        } else if let Some(part) = self.memory_relative {
            resources.memory_watermark = MemoryWatermark::Relative(part);
        }
        if let Some(bytes) = self.disk_absolute {
            resources.disk_free_limit = DiskFreeLimit::Absolute(bytes);
        } else if let Some(factor) = self.disk_relative {
            resources.disk_free_limit = DiskFreeLimit::Relative(factor);
        }
        self.config.log.file = log_file(self.file_name, self.log_dir, &self.config.node_name)
            .map(|path| (path, self.file));
        self.config.log.console = self.console_on.then_some(self.console);
        self.config.management = self.management.finish(self.config.management_tls.is_some());
        self.config.prometheus = self.prometheus.finish(self.config.prometheus_tls.is_some());
        let cluster_name = self
            .cluster_name
            .unwrap_or_else(|| self.config.node_name.clone());
        self.config.cluster_name = cluster_name;
        Ok(self.config)
    }

    fn finish_tls(&mut self) -> Result<(), Problem> {
        if !self.no_tls_listeners && !self.tls_listeners.is_empty() {
            let listeners = std::mem::take(&mut self.tls_listeners);
            self.config.amqp_tls_listeners = unique(listeners.into_values());
            self.config.tls = std::mem::take(&mut self.tls).options("ssl_options")?;
        }
        let (management, prometheus) = (&mut self.management_tls, &mut self.prometheus_tls);
        self.config.management_tls =
            std::mem::take(management).listener("management.ssl", 15671)?;
        self.config.prometheus_tls =
            std::mem::take(prometheus).listener("prometheus.ssl", 15691)?;
        self.config.login.certificate_login = match self.certificate_login {
            CertificateLogin::Alternative(..) => {
                let (kind, index) = self.alternative_name;
                CertificateLogin::Alternative(kind, index)
            }
            other => other,
        };
        Ok(())
    }

    fn finish_validator(&mut self) -> Result<(), Problem> {
        let problem = |text: String| Problem::new(&Origin::Sources, text);
        let backend = "credential_validator.validation_backend";
        let validator = match (self.validator, &self.password_pattern) {
            (Some(Validator::MinLength), _) => {
                CredentialValidator::MinLength(self.min_password_length)
            }
            (Some(Validator::Pattern), Some(pattern)) => CredentialValidator::matching(pattern)
                .map_err(|error| problem(format!("credential_validator.regexp: {error}")))?,
            (Some(Validator::Pattern), None) => {
                let text = format!("this {backend} needs credential_validator.regexp");
                return Err(problem(text));
            }
            (Some(Validator::Everything) | None, _) => CredentialValidator::AcceptEverything,
        };
        self.config.login.passwords.validator = validator;
        Ok(())
    }

    /// ANONYMOUS is off unless a user is named for it; asking for it without one is a mistake.
    fn finish_mechanisms(&mut self) -> Result<(), Problem> {
        let mut listed = self.auth_mechanisms.values();
        if self.anonymous_user.is_none() && listed.any(|m| *m == AuthMechanism::Anonymous) {
            let text = "the mechanism ANONYMOUS needs anonymous_login_user";
            return Err(Problem::new(&Origin::Sources, text.to_owned()));
        }
        let pass = self.anonymous_pass.clone();
        self.config.login.anonymous = self.anonymous_user.take().map(|user| (user, pass));
        Ok(())
    }
}

/// The log file: a folder alone asks for one named after the node, as RabbitMQ does.
fn log_file(
    name: Option<Option<String>>,
    dir: Option<PathBuf>,
    node_name: &str,
) -> Option<PathBuf> {
    match (name, dir) {
        (Some(None), _) | (None, None) => None,
        (Some(Some(name)), dir) => Some(dir.unwrap_or_default().join(name)),
        (None, Some(dir)) => Some(dir.join(format!("{node_name}.log"))),
    }
}

/// The items in order, each once.
fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

/// Splits a list of names at commas and blanks.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let split = text.split(|c: char| c == ',' || c.is_whitespace());
    split
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
