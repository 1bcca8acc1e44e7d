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
use crate::http::{ApiError, Routes, blocking};
use crate::view::json::Written;

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

/// Milliseconds since 1970 as RabbitMQ writes moments.
fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years; years begin in March so that the leap day is
    // their last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:03}+00:00",
        era * 400 + year + carry,
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn moments_are_written_as_rabbitmq_does() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_400_001, "2000-02-29T00:00:00.001+00:00"),
            (1_795_230_000_172, "2026-11-21T03:00:00.172+00:00"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999+00:00"),
        ] {
            assert_eq!(timestamp(ms), text);
        }
    }
}
