//! `GET /api/vhosts`, and the numbers of a vhost.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use warren_broker::Vhost;
use warren_broker::stats::{EVENTS, Sampled, Window};

use super::{listed, written};
use crate::Context;
use crate::http::{Administrator, ApiError, Manager, Path, Query, Routes};
use crate::view::details::{DELIVER, DISK, FINE, details};
use crate::view::json::Written;
use crate::view::{Json, Listing, Object, Row, details::put_numbers, message_stats};

pub(super) fn routes() -> Routes {
    Routes::new("Virtual hosts")
        .get("/vhosts", "All vhosts one may see", list)
        .get("/vhosts/{vhost}", "One vhost", one)
}

async fn list(
    State(ctx): State<Context>,
    Manager(user): Manager,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let mut vhosts = ctx.broker.vhosts();
        vhosts.retain(|vhost| user.may_monitor() || ctx.is_member(&user, vhost.name()));
        let rows = vhosts.into_iter().map(|vhost| VhostRow {
            ctx: ctx.clone(),
            vhost,
        });
        Ok(rows.collect())
    })
    .await
}

async fn one(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || {
        let vhost = ctx.broker.vhost(&name).ok_or(ApiError::NotFound)?;
        let listing = Listing::of(&query)?;
        let object = VhostRow { ctx, vhost }.render(&listing);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

struct VhostRow {
    ctx: Context,
    vhost: Arc<Vhost>,
}

impl Row for VhostRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.vhost.name())
    }

    fn order(&self, other: &Self) -> Ordering {
        self.vhost.name().cmp(other.vhost.name())
    }

    fn render(&self, listing: &Listing) -> Object {
        let mut object = Object::new();
        object.put("name", self.vhost.name().to_string());
        let mut state = Object::new();
        state.put(self.ctx.broker.settings().node_name.clone(), "running");
        object.put("cluster_state", state);
        self.settings(&mut object);
        if !listing.disable_stats {
            put_stats(&mut object, &self.vhost, listing);
        }
        object
    }
}

impl VhostRow {
    /// What its administrators wrote about it.
    fn settings(&self, object: &mut Object) {
        let catalog = self.ctx.broker.catalog().read();
        let def = catalog.vhost(self.vhost.name()).cloned();
        drop(catalog);
        let def = def.unwrap_or_default();
        let tags = || -> Vec<Json> { def.tags.iter().cloned().map(Json::from).collect() };
        let queue_type = def
            .default_queue_type
            .unwrap_or_else(|| self.ctx.broker.default_queue_type().to_owned());
        object.put("description", def.description.clone());
        object.put("tags", tags());
        object.put("default_queue_type", queue_type.clone());
        object.put("tracing", self.vhost.traced());
        object.put("protected_from_deletion", def.protected_from_deletion);
        let mut metadata = Object::new();
        metadata.put("description", def.description);
        metadata.put("tags", tags());
        metadata.put("default_queue_type", queue_type);
        object.put("metadata", metadata);
    }
}

fn put_stats(object: &mut Object, vhost: &Vhost, listing: &Listing) {
    let stats = &**vhost.stats();
    let counts = stats.messages.all();
    let families = [FINE, DELIVER, DISK];
    if let Some(stats) = message_stats(stats, &counts, &families, listing.windows.messages) {
        object.put("message_stats", stats);
    }
    let (ready, unacked) = (stats.ready(), stats.unacked());
    let lengths = [ready, unacked, ready + unacked];
    put_lengths(object, stats, listing.windows.lengths, lengths);
    let octets = &stats.octets;
    let numbers = [
        ("recv_oct", octets.received.load(Relaxed)),
        ("send_oct", octets.sent.load(Relaxed)),
    ];
    put_numbers(object, stats, listing.windows.data, EVENTS + 2, numbers);
}

/// Messages, ready and unacknowledged ones, of an object whose numbers behind the events they are.
pub(super) fn put_lengths(
    object: &mut Object,
    sampled: &dyn Sampled,
    window: Option<Window>,
    [ready, unacked, all]: [u64; 3],
) {
    let [ready_rate, unacked_rate] = sampled.track().rates([EVENTS, EVENTS + 1]);
    let history = window.map(|window| sampled.track().history(sampled, window));
    let sum = history
        .as_ref()
        .map(|history| history.sum(EVENTS, EVENTS + 1));
    object.put("messages", all);
    let sum = sum.as_ref().map(|sum| (sum, 0));
    object.put("messages_details", details(ready_rate + unacked_rate, sum));
    let column = |index| history.as_ref().map(|history| (history, index));
    object.put("messages_ready", ready);
    object.put(
        "messages_ready_details",
        details(ready_rate, column(EVENTS)),
    );
    object.put("messages_unacknowledged", unacked);
    object.put(
        "messages_unacknowledged_details",
        details(unacked_rate, column(EVENTS + 1)),
    );
}
