//! Looking at the node through the API: overview, lists, single objects, health checks. Nothing in
//! here changes anything.

mod bindings;
mod breakdown;
mod certificates;
mod channels;
mod connections;
mod consumers;
mod exchanges;
mod health;
mod listeners;
mod nodes;
mod overview;
mod queues;
mod vhosts;

use warren_broker::auth::AuthenticatedUser;
use warren_broker::{ConnectionHandle, Vhost};

use std::sync::Arc;

use crate::Context;
use crate::http::{ApiError, Query, Routes, blocking};
use crate::view::json::Written;
use crate::view::{Listing, Row};

/// All endpoints that only look.
pub(crate) fn routes() -> Routes {
    Routes::new("Monitoring")
        .merge(overview::routes())
        .merge(nodes::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(consumers::routes())
        .merge(queues::routes())
        .merge(exchanges::routes())
        .merge(bindings::routes())
        .merge(vhosts::routes())
        .merge(health::routes())
        .merge(certificates::routes())
}

/// An answer that takes locks to make, made where that is allowed.
async fn written(
    make: impl FnOnce() -> Result<Written, ApiError> + Send + 'static,
) -> Result<Written, ApiError> {
    blocking(make).await?
}

/// A list as it is asked for; `rows` takes locks.
async fn listed<R: Row>(
    query: Query,
    rows: impl FnOnce() -> Result<Vec<R>, ApiError> + Send + 'static,
) -> Result<Written, ApiError> {
    written(move || {
        let rows = rows()?;
        Listing::of(&query)?.answer(rows)
    })
    .await
}

/// The connections a user may see: all for those who monitor, else their own. With a vhost, only
/// those to it.
fn visible_connections(
    ctx: &Context,
    user: &AuthenticatedUser,
    vhost: Option<&Vhost>,
) -> Vec<Arc<dyn ConnectionHandle>> {
    let mut connections = ctx.broker.connections();
    connections.retain(|connection| {
        let info = &connection.live().info;
        (user.may_monitor() || info.user == user.name)
            && vhost.is_none_or(|vhost| **vhost.name() == *info.vhost)
    });
    connections
}
