//! Starting the parts that are not AMQP: the broker from its data directory, the watch on memory
//! and disk, the HTTP listeners.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use warren_broker::alarms::Monitor;
use warren_broker::auth::{DefaultUser, LoopbackUsers, bootstrap};
use warren_broker::catalog::{Catalog, Definitions};
use warren_broker::stats::Machine;
use warren_broker::{Broker, Settings};

use crate::clock;
use crate::config::Config;

/// Lets the process have as many files open as it may: connections are files, and the usual limit
/// of 1,024 is meant for programs that would not survive more.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Opens the data directory and recovers what is in it. A new node gets its first user, unless a
/// definitions file brings users; the file is imported at every start.
pub(crate) fn open_broker(config: &Config) -> Result<Broker, String> {
    let settings = Settings {
        node_name: config.node_name.clone(),
        cluster_name: config.cluster_name.clone(),
        loopback_users: LoopbackUsers::only(config.login.loopback_users.iter().cloned()),
        passwords: config.login.passwords.clone(),
        max_message_size: config.limits.max_message_size,
        interceptors: config.interceptors,
        paging: config.paging,
        event_vhost: config.event_vhost.clone(),
        vhost_defaults: config.vhost_defaults.clone(),
        sample_interval_ms: config.sample_interval.as_millis() as u64,
        durability: config.durability,
        limits: config.node_limits,
    };
    let definitions = read_definitions(config)?;
    let prepare = |catalog: &Catalog| {
        let before = vhost_names(catalog);
        match &definitions {
            Some(definitions) => import(catalog, definitions)?,
            None => first_user(catalog, config)?,
        }
        let mut new = vhost_names(catalog);
        new.retain(|name| !before.contains(name));
        let defaults = &config.vhost_defaults;
        defaults.give(catalog, &new, &config.login.passwords)
    };
    Broker::open(&config.data_dir, settings, clock::now_ms(), prepare)
        .map_err(|error| error.to_string())
}

fn vhost_names(catalog: &Catalog) -> Vec<String> {
    let state = catalog.read();
    state.vhosts().map(|(name, _)| name.to_owned()).collect()
}

fn first_user(catalog: &Catalog, config: &Config) -> Result<(), String> {
    let login = &config.login;
    let default = DefaultUser {
        name: login.default_user.clone(),
        password: login.default_pass.expose().to_owned(),
        tags: login.default_user_tags.clone(),
        vhost: login.default_vhost.clone(),
        configure: login.default_permissions.configure.clone(),
        write: login.default_permissions.write.clone(),
        read: login.default_permissions.read.clone(),
    };
    match bootstrap(catalog, &default, &login.passwords) {
        Ok(true) => tracing::info!(
            user = default.name,
            vhost = default.vhost,
            "first user created"
        ),
        Ok(false) => {}
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}

fn read_definitions(config: &Config) -> Result<Option<Definitions>, String> {
    let Some(path) = &config.definitions else {
        return Ok(None);
    };
    let bytes = std::fs::read(path)
        .map_err(|error| format!("cannot read definitions file {}: {error}", path.display()))?;
    let definitions = Definitions::parse(&bytes)
        .map_err(|error| format!("definitions file {}: {error}", path.display()))?;
    Ok(Some(definitions))
}

fn import(catalog: &Catalog, definitions: &Definitions) -> Result<(), String> {
    let report = definitions
        .import(catalog)
        .map_err(|error| error.to_string())?;
    for ignored in &report.ignored {
        tracing::warn!("definitions file: {ignored}");
    }
    catalog
        .wait_durable(report.index)
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// What watches memory and disk, as configured.
pub(crate) fn monitor(config: &Config) -> Monitor {
    Monitor::new(
        &config.node_name,
        &config.data_dir,
        config.resources.clone(),
    )
}

/// Turns counters into rates and history at every interval until the program stops.
pub(crate) async fn sample_stats(
    broker: Arc<Broker>,
    monitor: Arc<Monitor>,
    mut stopped: watch::Receiver<bool>,
) {
    let interval = broker.stats().sampler().interval_ms();
    loop {
        let now = clock::now_ms();
        // At multiples of the interval, so that samples of all objects stand at the same times.
        let wait = Duration::from_millis(interval - now % interval);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let (broker, monitor) = (Arc::clone(&broker), Arc::clone(&monitor));
        let sampled = tokio::task::spawn_blocking(move || {
            let found = monitor.latest();
            let machine = Machine::look(found.memory_used, found.disk_free);
            broker.stats().sample(clock::now_ms(), machine);
            warren_broker::buffers::free_unused();
        });
        if let Err(error) = sampled.await {
            tracing::error!(%error, "statistics were not sampled");
        }
    }
}

/// How often the logs are asked whether they can be written.
const LOG_POLL: Duration = Duration::from_millis(200);

/// Samples memory and disk until the program stops, and has publishers blocked accordingly. A log
/// that cannot be written counts as a full disk: nothing can be confirmed.
pub(crate) async fn watch_resources(
    broker: Arc<Broker>,
    monitor: Arc<Monitor>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            monitor.sample();
            broker.observe_memory(&monitor.latest());
            next = Instant::now() + monitor.next_poll();
        }
        // Not what was sampled here: limits that are changed are looked at at once, elsewhere.
        broker.set_alarms(|| monitor.alarms(), clock::now_ms());
        let wait = LOG_POLL.min(next.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}
