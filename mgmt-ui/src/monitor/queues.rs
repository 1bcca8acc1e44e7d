//! `GET /api/queues`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use warren_broker::stats::{EVENTS, Event, Sampled};
use warren_broker::{Depth, Queue};

use super::{bindings, breakdown, consumers, listed, written};
use crate::Context;
use crate::http::{ApiError, Path, Query, Routes, VhostScope};
use crate::utc::timestamp;
use crate::view::details::{DELIVER, DISK, PUBLISH, delivered, details};
use crate::view::json::Written;
use crate::view::{Json, Key, Listing, Object, Row, message_stats};

pub(super) fn routes() -> Routes {
    Routes::new("Queues")
        .get("/queues", "All queues", list)
        .get("/queues/detailed", "All queues", list)
        .get("/queues/{vhost}", "Queues of a vhost", list)
        .get("/queues/{vhost}/{name}", "One queue", one)
        .get(
            "/queues/{vhost}/{name}/bindings",
            "Bindings of a queue",
            its_bindings,
        )
}

async fn list(
    State(ctx): State<Context>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let queues = scope.vhosts.iter().flat_map(|vhost| vhost.queues());
        Ok(queues.map(|queue| QueueRow::new(&ctx, queue)).collect())
    })
    .await
}

async fn one(
    State(ctx): State<Context>,
    Path((_, name)): Path<(String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || {
        let queue = find(&scope, &name)?;
        let listing = Listing::of(&query)?;
        let mut object = QueueRow::new(&ctx, Arc::clone(&queue)).render(&listing);
        object.put("consumer_details", consumers::of_queue(&ctx, &queue));
        let vhost = scope.vhosts.first().ok_or(ApiError::NotFound)?;
        breakdown::of_queue(&ctx, vhost, &queue, &mut object);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

async fn its_bindings(
    Path((_, name)): Path<(String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let queue = find(&scope, &name)?;
        let rows = scope
            .vhosts
            .iter()
            .flat_map(|v| bindings::to_queue(v, &queue));
        Ok(rows.collect())
    })
    .await
}

/// The queue of that name in the vhost of the path.
fn find(scope: &VhostScope, name: &str) -> Result<Arc<Queue>, ApiError> {
    let mut vhosts = scope.vhosts.iter();
    vhosts
        .find_map(|vhost| vhost.find_queue(name))
        .ok_or(ApiError::NotFound)
}

struct QueueRow {
    ctx: Context,
    queue: Arc<Queue>,
    /// Taken once per request.
    reading: OnceLock<(Depth, [u64; EVENTS])>,
}

impl QueueRow {
    fn new(ctx: &Context, queue: Arc<Queue>) -> Self {
        Self {
            ctx: ctx.clone(),
            queue,
            reading: OnceLock::new(),
        }
    }

    fn reading(&self) -> &(Depth, [u64; EVENTS]) {
        self.reading.get_or_init(|| self.queue.reading())
    }

    fn depth(&self) -> &Depth {
        &self.reading().0
    }

    fn counts(&self) -> &[u64; EVENTS] {
        &self.reading().1
    }

    fn definition(&self, object: &mut Object) {
        let definition = self.queue.definition();
        object.put("arguments", &*self.queue.arguments());
        object.put("auto_delete", definition.auto_delete);
        object.put("durable", definition.durable);
        object.put("exclusive", definition.owner.is_some());
        object.put("name", definition.name.clone());
        object.put("node", self.ctx.broker.settings().node_name.clone());
        object.put("state", "running");
        let kind = queue_type(&self.queue);
        object.put("type", kind);
        object.put("vhost", definition.vhost.to_string());
        if kind == "quorum" {
            self.replicas(object);
        }
    }

    /// Where the replicas of a quorum queue are: there is one.
    fn replicas(&self, object: &mut Object) {
        let node = &self.ctx.broker.settings().node_name;
        object.put("leader", node.clone());
        for name in ["members", "online"] {
            object.put(name, vec![Json::from(node.clone())]);
        }
    }

    fn totals(&self, object: &mut Object) {
        let depth = self.depth();
        object.put("messages", depth.messages());
        object.put("messages_ready", depth.ready);
        object.put("messages_unacknowledged", depth.unacked);
    }

    fn live(&self, object: &mut Object, listing: &Listing) {
        let depth = self.depth();
        self.lengths(object, listing);
        object.put("consumers", depth.consumers);
        let capacity = self.consumer_capacity();
        object.put("consumer_capacity", capacity);
        object.put("consumer_utilisation", capacity);
        object.put("memory", memory(depth));
        object.put("message_bytes", depth.bytes());
        object.put("message_bytes_ready", depth.ready_bytes);
        object.put("message_bytes_unacknowledged", depth.unacked_bytes);
        object.put("message_bytes_ram", depth.ram_bytes());
        let bytes = depth.ready_bytes + depth.unacked_bytes;
        object.put("message_bytes_paged_out", bytes - depth.ram_bytes());
        object.put("messages_ram", depth.ram());
        object.put("messages_ready_ram", depth.ready - depth.paged);
        object.put(
            "messages_unacknowledged_ram",
            depth.unacked - depth.unacked_paged,
        );
        object.put("messages_paged_out", depth.paged + depth.unacked_paged);
        if listing.wants("head_message_timestamp") {
            object.put("head_message_timestamp", self.queue.head_timestamp());
        }
        let policy = self.queue.policy();
        let name =
            |name: Option<&Arc<str>>| name.map_or(Json::Null, |name| name.to_string().into());
        let applied = policy.as_ref();
        object.put("policy", name(applied.and_then(|p| p.policy.as_ref())));
        object.put(
            "operator_policy",
            name(applied.and_then(|p| p.operator_policy.as_ref())),
        );
        let definition = applied.map(|applied| Object::from(&applied.definition));
        object.put(
            "effective_policy_definition",
            definition.unwrap_or_default(),
        );
        object.put("internal", false);
        if self.queue.paused() {
            // Not a field of RabbitMQ's: an operator holds deliveries back.
            object.put("paused", true);
        }
        object.put("recoverable_slaves", Json::Null);
        self.holders(object);
        let families = [PUBLISH, DELIVER, DISK];
        let window = listing.windows.messages;
        if listing.wants("message_stats")
            && let Some(stats) = message_stats(&*self.queue, self.counts(), &families, window)
        {
            object.put("message_stats", stats);
        }
        if let Some(since) = self.queue.track().idle_since_ms() {
            object.put("idle_since", timestamp(since));
        }
        put_processes(object);
        if listing.wants("backing_queue_status") {
            object.put("backing_queue_status", self.backing_queue_status());
        }
    }

    fn lengths(&self, object: &mut Object, listing: &Listing) {
        let depth = self.depth();
        let lengths = [depth.ready, depth.unacked, depth.messages()].map(|n| n as u64);
        super::vhosts::put_lengths(object, &*self.queue, listing.windows.lengths, lengths);
    }

    /// Whether it could deliver right now: it is not measured over time.
    fn consumer_capacity(&self) -> f64 {
        let depth = self.depth();
        f64::from(u8::from(depth.consumers > 0 && depth.ready == 0))
    }

    /// Who has it to themselves.
    fn holders(&self, object: &mut Object) {
        let (mut exclusive, mut active) = (None, None);
        let single_active = self.queue.active_consumer();
        if self.depth().consumers > 0 {
            self.queue.each_consumer(|consumer| {
                if consumer.exclusive {
                    exclusive = Some(consumer.tag.clone());
                }
                if single_active == Some(consumer.id) {
                    active = Some(consumer.tag.clone());
                }
            });
        }
        object.put("exclusive_consumer_tag", exclusive);
        if queue_type(&self.queue) == "quorum" {
            object.put("single_active_consumer_ctag", active.clone());
            object.put("messages_dlx", self.depth().retained);
            object.put("message_bytes_dlx", self.depth().retained_bytes);
        }
        object.put("single_active_consumer_tag", active);
        let owner = self.queue.definition().owner;
        if let Some(owner) = owner.and_then(|id| self.ctx.broker.connection(id)) {
            let info = &owner.live().info;
            let mut details = Object::new();
            details.put("name", info.name.clone());
            details.put("peer_host", info.peer.ip().to_string());
            details.put("peer_port", info.peer.port());
            object.put("owner_pid_details", details);
        }
    }

    /// What classic queues of RabbitMQ say about their inside, as far as it has a meaning here.
    fn backing_queue_status(&self) -> Object {
        let depth = self.depth();
        let rates = self.queue.track().rates([
            Event::Publish as usize,
            Event::Deliver as usize,
            Event::DeliverNoAck as usize,
            Event::Get as usize,
            Event::GetNoAck as usize,
            Event::Ack as usize,
        ]);
        let [publish, deliver, no_ack, get, get_no_ack, ack] = rates;
        let mut status = Object::new();
        status.put("mode", "default");
        status.put("version", 2u64);
        for empty in ["q1", "q2", "q3"] {
            status.put(empty, 0u64);
        }
        status.put("q4", depth.ready - depth.paged);
        let paged = Json::Uint(depth.paged as u64);
        let delta = vec![Json::from("delta"), "undefined".into(), paged];
        status.put("delta", delta);
        status.put("len", depth.ready);
        status.put("target_ram_count", "infinity");
        status.put("next_seq_id", self.queue.next_seq());
        status.put("avg_ingress_rate", publish);
        status.put("avg_egress_rate", deliver + no_ack + get + get_no_ack);
        status.put("avg_ack_ingress_rate", deliver + get);
        status.put("avg_ack_egress_rate", ack);
        status
    }
}

impl Row for QueueRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.queue.name())
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| {
            let definition = row.queue.definition();
            (Arc::clone(&definition.vhost), definition.name.clone())
        };
        let (a, b) = (self.queue.definition(), other.queue.definition());
        let names = || a.name.cmp(&b.name);
        match Arc::ptr_eq(&a.vhost, &b.vhost) {
            true => names(),
            false => key(self).cmp(&key(other)),
        }
    }

    fn key(&self, path: &str) -> Option<Key> {
        let number = |n: usize| Some(Key::Number(n as f64));
        let bytes = |n: u64| Some(Key::Number(n as f64));
        let word = |yes| Some(Key::Word(if yes { "true" } else { "false" }));
        let rate = |events: &[usize]| {
            let rates = events
                .iter()
                .map(|event| self.queue.track().rates([*event])[0]);
            Some(Key::Number(rates.sum()))
        };
        let definition = self.queue.definition();
        match path {
            "node" => Some(Key::Text(self.ctx.broker.settings().node_name.clone())),
            "state" => Some(Key::Text("running".to_owned())),
            "durable" => word(definition.durable),
            "auto_delete" => word(definition.auto_delete),
            "exclusive" => word(definition.owner.is_some()),
            "policy" => {
                let policy = self.queue.policy();
                let name = policy.as_ref().and_then(|applied| applied.policy.as_ref());
                Some(name.map_or(Key::Word("null"), |name| Key::Text(name.to_string())))
            }
            "idle_since" => {
                let since = self.queue.track().idle_since_ms();
                Some(since.map_or(Key::MISSING, |since| Key::Number(since as f64)))
            }
            "messages_details.rate" => rate(&[EVENTS, EVENTS + 1]),
            "messages_ready_details.rate" => rate(&[EVENTS]),
            "messages_unacknowledged_details.rate" => rate(&[EVENTS + 1]),
            "message_bytes_ready" => bytes(self.depth().ready_bytes),
            "message_bytes_unacknowledged" => bytes(self.depth().unacked_bytes),
            "consumer_utilisation" | "consumer_capacity" => {
                Some(Key::Number(self.consumer_capacity()))
            }
            "name" => Some(Key::Text(definition.name.clone())),
            "vhost" => Some(Key::Text(definition.vhost.to_string())),
            "type" => Some(Key::Text(queue_type(&self.queue).to_owned())),
            "paused" => word(self.queue.paused()),
            "messages" => number(self.depth().messages()),
            "messages_ready" => number(self.depth().ready),
            "messages_unacknowledged" => number(self.depth().unacked),
            "consumers" => number(self.depth().consumers),
            "memory" => Some(Key::Number(memory(self.depth()) as f64)),
            "message_bytes" => Some(Key::Number(self.depth().bytes() as f64)),
            _ => self.message_stats_key(path.strip_prefix("message_stats.")?),
        }
    }

    fn render(&self, listing: &Listing) -> Object {
        let mut object = Object::new();
        self.definition(&mut object);
        if !listing.disable_stats {
            self.live(&mut object, listing);
        } else if listing.queue_totals {
            self.totals(&mut object);
        }
        object
    }
}

impl QueueRow {
    /// A counter or the rate of one.
    fn message_stats_key(&self, path: &str) -> Option<Key> {
        let (name, rate) = match path.strip_suffix("_details.rate") {
            Some(name) => (name, true),
            None => (path, false),
        };
        let number = |n: f64| Some(Key::Number(n));
        if name == "deliver_get" {
            let events = crate::view::details::DELIVERED.map(|event| event as usize);
            return match rate {
                true => number(self.queue.track().rates(events).iter().sum()),
                false => number(delivered(self.counts()) as f64),
            };
        }
        let event = Event::ALL.iter().find(|event| event.name() == name)?;
        match rate {
            true => number(self.queue.track().rates([*event as usize])[0]),
            false => number(self.counts()[*event as usize] as f64),
        }
    }
}

/// The type it was declared with.
pub(super) fn queue_type(queue: &Queue) -> &'static str {
    match queue.arguments().inner().get("x-queue-type") {
        Some(value) if text_is(value, b"quorum") => "quorum",
        Some(value) if text_is(value, b"stream") => "stream",
        _ => "classic",
    }
}

fn text_is(value: &warren_amqp::AMQPValue, wanted: &[u8]) -> bool {
    match value {
        warren_amqp::AMQPValue::LongString(text) => text.as_bytes() == wanted,
        _ => false,
    }
}

/// Bytes a queue takes up, roughly: what it holds and what it needs to hold it.
fn memory(depth: &Depth) -> u64 {
    const QUEUE: u64 = 1024;
    const MESSAGE: u64 = 96;
    QUEUE + depth.ram() as u64 * MESSAGE + depth.ram_bytes()
}

/// What the processes of RabbitMQ say of themselves; all of it is zero here.
pub(super) fn put_processes(object: &mut Object) {
    object.put("reductions", 0u64);
    object.put("reductions_details", details(0.0, None));
    let mut garbage = Object::new();
    for name in [
        "fullsweep_after",
        "max_heap_size",
        "min_bin_vheap_size",
        "min_heap_size",
        "minor_gcs",
    ] {
        garbage.put(name, 0u64);
    }
    object.put("garbage_collection", garbage);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::{GUEST, Node};

    /// Paths to all that is not an object in a JSON value.
    fn paths(at: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let dot = if at.is_empty() { "" } else { "." };
                    paths(&format!("{at}{dot}{name}"), value, into);
                }
            }
            _ => into.push(at.to_owned()),
        }
    }

    #[tokio::test]
    async fn quick_sort_keys_are_what_is_shown() {
        let node = Node::start().await;
        let policy = r#"{"pattern":"^q1","definition":{"max-length":9}}"#;
        node.send("PUT", "/api/policies/%2F/p", policy).await;
        for (queue, body) in [("q1", "{}"), ("q2", r#"{"durable":true}"#)] {
            let path = format!("/api/queues/%2F/{queue}");
            assert_eq!(node.send("PUT", &path, body).await.status, 201);
        }
        let message =
            r#"{"properties":{},"routing_key":"q1","payload":"m","payload_encoding":"string"}"#;
        node.send("POST", "/api/exchanges/%2F/amq.default/publish", message)
            .await;
        let ctx = crate::Context::new(node.broker.clone(), node.info());
        let listing = super::Listing::default();
        let vhost = node.broker.vhost("/").unwrap();
        for queue in vhost.queues() {
            let name = queue.name().to_owned();
            let row = super::QueueRow::new(&ctx, queue);
            let shown = super::Json::from(super::Row::render(&row, &listing));
            let shown_text: Value = serde_json::from_slice(&shown.to_bytes()).unwrap();
            let mut all = Vec::new();
            paths("", &shown_text, &mut all);
            let quick = all.iter().filter(|path| {
                let key = super::Row::key(&row, path);
                if *path == "idle_since" {
                    // Sorts as its text does, without being written.
                    return key.is_some();
                }
                let same = super::Key::of(shown.at(path));
                assert!(key.is_none() || key == Some(same), "{name} {path}: {key:?}");
                key.is_some()
            });
            assert!(quick.count() > 20, "{name}");
        }
        let answer = node
            .get("/api/queues?sort=durable&columns=name", Some(GUEST))
            .await;
        assert_eq!(answer.body, r#"[{"name":"q1"},{"name":"q2"}]"#);
    }
}
