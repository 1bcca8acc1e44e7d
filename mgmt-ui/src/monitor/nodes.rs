//! `GET /api/nodes`: the process and its machine.

use axum::extract::State;
use warren_broker::stats::{Login, Machine, NodeStats, Sampled};

use super::overview::{exchange_types, rates_mode};
use super::{listeners, written};
use crate::api::this_node;
use crate::http::{Administrator, ApiError, Monitor, Path, Query, Routes};
use crate::view::details::{details, put_numbers};
use crate::view::json::Written;
use crate::view::{Json, Listing, Object};
use crate::{Context, PRODUCT, RABBITMQ_VERSION};

pub(super) fn routes() -> Routes {
    Routes::new("Nodes")
        .get("/nodes", "All nodes", list)
        .get("/nodes/{name}", "One node", one)
        .query("node_stats_age", "How far back samples go, seconds")
        .query("node_stats_incr", "Time between them, seconds")
        .get("/nodes/{name}/memory", "Where its memory is", memory)
        .get(
            "/nodes/{name}/memory/relative",
            "The same as parts of a hundred",
            relative_memory,
        )
        .get("/auth/attempts/{name}", "Logins by protocol", attempts)
        .get(
            "/auth/attempts/{name}/source",
            "Logins by address, which are not counted",
            attempts_by_source,
        )
        .delete(
            "/auth/attempts/{name}",
            "Starts counting logins over",
            forget_attempts,
        )
}

async fn list(State(ctx): State<Context>, _: Monitor, query: Query) -> Result<Written, ApiError> {
    written(move || {
        let listing = Listing::of(&query)?;
        let node = listing.one(describe(&ctx, &listing));
        Ok(Written(Json::from(vec![node]).to_bytes()))
    })
    .await
}

async fn one(
    State(ctx): State<Context>,
    _: Monitor,
    Path(name): Path<String>,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || {
        this_node(&ctx, &name)?;
        let listing = Listing::of(&query)?;
        let mut node = describe(&ctx, &listing);
        if query.flag("memory") {
            node.put("memory", memory_breakdown(&ctx));
        }
        Ok(Written(listing.one(node).to_bytes()))
    })
    .await
}

async fn memory(
    State(ctx): State<Context>,
    _: Monitor,
    Path(name): Path<String>,
) -> Result<Json, ApiError> {
    this_node(&ctx, &name)?;
    let mut answer = Object::new();
    answer.put("memory", memory_breakdown(&ctx));
    Ok(answer.into())
}

async fn relative_memory(
    State(ctx): State<Context>,
    _: Monitor,
    Path(name): Path<String>,
) -> Result<Json, ApiError> {
    this_node(&ctx, &name)?;
    let parts = memory_parts(&ctx);
    let total: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    let mut shares = Object::new();
    for (name, bytes) in parts {
        shares.put(name, (bytes * 100).checked_div(total).unwrap_or_default());
    }
    shares.put("total", 100u64);
    let mut answer = Object::new();
    answer.put("memory", shares);
    Ok(answer.into())
}

async fn attempts(
    State(ctx): State<Context>,
    _: Monitor,
    Path(name): Path<String>,
) -> Result<Json, ApiError> {
    this_node(&ctx, &name)?;
    let counted = Login::ALL.map(|login| {
        let count = ctx.broker.stats().logins(login);
        let mut object = Object::new();
        object.put("protocol", login.name());
        object.put("auth_attempts", count.succeeded + count.failed);
        object.put("auth_attempts_failed", count.failed);
        object.put("auth_attempts_succeeded", count.succeeded);
        Json::from(object)
    });
    Ok(counted.to_vec().into())
}

async fn attempts_by_source(
    State(ctx): State<Context>,
    _: Monitor,
    Path(name): Path<String>,
) -> Result<Json, ApiError> {
    this_node(&ctx, &name)?;
    Ok(Json::List(Vec::new()))
}

async fn forget_attempts(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<axum::http::StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    ctx.broker.stats().reset_logins();
    Ok(axum::http::StatusCode::NO_CONTENT)
}

fn describe(ctx: &Context, listing: &Listing) -> Object {
    let mut node = Object::new();
    node.put("name", ctx.broker.settings().node_name.clone());
    node.put("type", "disc");
    node.put("running", true);
    node.put("being_drained", false);
    if listing.disable_stats {
        return node;
    }
    software(ctx, &mut node);
    limits(ctx, &mut node);
    usage(ctx, listing, &mut node);
    node
}

fn software(ctx: &Context, node: &mut Object) {
    node.put("os_pid", std::process::id().to_string());
    // Milliseconds; one client reads 32 bits of them.
    let uptime = u64::try_from(ctx.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    node.put("uptime", uptime.min(u64::from(u32::MAX)));
    node.put("rates_mode", rates_mode(ctx));
    node.put("exchange_types", exchange_types());
    let facts = &ctx.info.facts;
    let mechanisms = facts.auth_mechanisms.iter().map(|name| {
        let mut mechanism = Object::new();
        mechanism.put("name", *name);
        mechanism.put(
            "description",
            format!("SASL {name} authentication mechanism"),
        );
        mechanism.put("enabled", true);
        Json::from(mechanism)
    });
    node.put("auth_mechanisms", mechanisms.collect::<Vec<_>>());
    let mut program = Object::new();
    program.put("name", "warren");
    program.put("description", PRODUCT);
    program.put("version", ctx.info.version);
    node.put("applications", vec![program.into()]);
    node.put("contexts", listeners::contexts(ctx, false));
    let texts = |all: &[String]| all.iter().cloned().map(Json::from).collect::<Vec<_>>();
    node.put("log_files", texts(&facts.log_files));
    node.put("config_files", texts(&facts.config_files));
    node.put("db_dir", ctx.info.monitor.data_dir().display().to_string());
    node.put("rabbitmq_version", RABBITMQ_VERSION);
    node.put("erlang_version", "n/a");
    node.put("erlang_full_version", "n/a");
    node.put("net_ticktime", 60u64);
    let plugins = ["rabbitmq_management", "rabbitmq_prometheus"];
    node.put("enabled_plugins", plugins.map(Json::from).to_vec());
    node.put("partitions", Vec::new());
    node.put("cluster_links", Vec::new());
    node.put("metrics_gc_queue_length", Object::new());
    node.put("ra_open_file_metrics", Object::new());
}

fn limits(ctx: &Context, node: &mut Object) {
    let found = ctx.info.monitor.latest();
    let alarms = ctx.broker.alarms();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    node.put("processors", processors);
    node.put("run_queue", 0u64);
    node.put("mem_limit", found.memory_limit.unwrap_or_default());
    node.put("mem_alarm", alarms.memory);
    node.put("mem_calculation_strategy", "rss");
    node.put("disk_free_limit", found.disk_limit.unwrap_or_default());
    node.put("disk_free_alarm", alarms.disk);
    let files = Machine::fd_limit().unwrap_or_default();
    node.put("fd_total", files);
    // A socket is a file here; there is no other limit.
    node.put("sockets_total", files);
    node.put("proc_total", Machine::thread_limit().unwrap_or_default());
}

fn usage(ctx: &Context, listing: &Listing, node: &mut Object) {
    let stats = &**ctx.broker.stats();
    let window = listing.windows.node;
    let found = ctx.info.monitor.latest();
    let mut machine = stats.machine();
    if machine == Machine::default() {
        // Asked before the first sample.
        machine = Machine::look(found.memory_used, found.disk_free);
    }
    machine.mem_used = found.memory_used;
    machine.disk_free = found.disk_free;
    let history = window.map(|window| stats.track().history(stats, window));
    for (index, value) in machine.values().enumerate() {
        let at = NodeStats::MACHINE_AT + index;
        let name = Machine::NAMES[index];
        let samples = history.as_ref().map(|history| (history, at));
        let [rate] = stats.track().rates([at]);
        node.put(name, value.unwrap_or_default());
        node.put(format!("{name}_details"), details(rate, samples));
    }
    let values = stats.churn();
    let numbers: [_; 7] = std::array::from_fn(|i| (NodeStats::CHURN[i], values[i]));
    put_numbers(node, stats, window, NodeStats::CHURN_AT, numbers);
    // What RabbitMQ counts in its virtual machine and its stores has no counterpart.
    for name in [
        "gc_num",
        "gc_bytes_reclaimed",
        "io_seek_count",
        "io_reopen_count",
        "mnesia_ram_tx_count",
        "mnesia_disk_tx_count",
        "msg_store_read_count",
        "msg_store_write_count",
        "queue_index_read_count",
        "queue_index_write_count",
    ] {
        node.put(name, 0u64);
        node.put(format!("{name}_details"), details(0.0, None));
    }
}

/// Memory by use. Messages are known, the rest is not told apart.
fn memory_parts(ctx: &Context) -> Vec<(&'static str, u64)> {
    let used = ctx.info.monitor.latest().memory_used.unwrap_or_default();
    let mut messages = 0;
    let mut queues = 0;
    for vhost in ctx.broker.vhosts() {
        for queue in vhost.queues() {
            let depth = queue.depth();
            messages += depth.ram_bytes();
            queues += 96 * depth.ram() as u64 + 1024;
        }
    }
    let messages = messages.min(used);
    let queues = queues.min(used - messages);
    let rest = used - messages - queues;
    let known = [
        ("queue_procs", queues),
        ("binary", messages),
        ("other_proc", rest),
    ];
    let nothing = [
        "connection_readers",
        "connection_writers",
        "connection_channels",
        "connection_other",
        "queue_slave_procs",
        "quorum_queue_procs",
        "quorum_queue_dlx_procs",
        "stream_queue_procs",
        "stream_queue_replica_reader_procs",
        "stream_queue_coordinator_procs",
        "plugins",
        "metadata_store",
        "metrics",
        "mgmt_db",
        "mnesia",
        "quorum_ets",
        "metadata_store_ets",
        "other_ets",
        "msg_index",
        "code",
        "atom",
        "other_system",
        "allocated_unused",
        "reserved_unallocated",
    ];
    known
        .into_iter()
        .chain(nothing.map(|name| (name, 0)))
        .collect()
}

fn memory_breakdown(ctx: &Context) -> Object {
    let parts = memory_parts(ctx);
    let total: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    let mut memory = Object::new();
    for (name, bytes) in parts {
        memory.put(name, bytes);
    }
    memory.put("strategy", "rss");
    let mut totals = Object::new();
    for name in ["rss", "allocated", "erlang"] {
        totals.put(name, total);
    }
    memory.put("total", totals);
    memory
}
