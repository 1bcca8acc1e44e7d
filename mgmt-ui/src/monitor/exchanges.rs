//! `GET /api/exchanges`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use warren_broker::{Exchange, Vhost};

use super::{bindings, breakdown, listed, written};
use crate::Context;
use crate::http::{ApiError, Path, Query, Routes, VhostScope};
use crate::view::details::put_numbers;
use crate::view::json::Written;
use crate::view::{Listing, Object, Row};

pub(super) fn routes() -> Routes {
    Routes::new("Exchanges")
        .get("/exchanges", "All exchanges", list)
        .get("/exchanges/{vhost}", "Exchanges of a vhost", list)
        .get("/exchanges/{vhost}/{name}", "One exchange", one)
        .get(
            "/exchanges/{vhost}/{name}/bindings/source",
            "Bindings from an exchange",
            from,
        )
        .get(
            "/exchanges/{vhost}/{name}/bindings/destination",
            "Bindings to an exchange",
            to,
        )
}

async fn list(
    State(_): State<Context>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let rows = scope.vhosts.iter().flat_map(|vhost| {
            let exchanges = vhost.exchanges().into_iter();
            exchanges.map(|exchange| ExchangeRow {
                vhost: Arc::clone(vhost),
                exchange,
            })
        });
        Ok(rows.collect())
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
        let (vhost, exchange) = find(&scope, &name)?;
        let listing = Listing::of(&query)?;
        let row = ExchangeRow { vhost, exchange };
        let mut object = row.render(&listing);
        breakdown::of_exchange(&ctx, &row.vhost, &row.exchange, &mut object);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

async fn from(
    Path((_, name)): Path<(String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let (vhost, exchange) = find(&scope, &name)?;
        Ok(bindings::from_exchange(&vhost, &exchange.name))
    })
    .await
}

async fn to(
    Path((_, name)): Path<(String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let (vhost, exchange) = find(&scope, &name)?;
        Ok(bindings::to_exchange(&vhost, &exchange.name))
    })
    .await
}

/// The name of an exchange as it stands in a path: the default one has a name there.
pub(super) fn name_in_path(name: &str) -> &str {
    if name == "amq.default" { "" } else { name }
}

fn find(scope: &VhostScope, name: &str) -> Result<(Arc<Vhost>, Arc<Exchange>), ApiError> {
    let vhost = scope.vhosts.first().ok_or(ApiError::NotFound)?;
    let exchange = vhost.exchange(name_in_path(name));
    let exchange = exchange.map_err(|_| ApiError::NotFound)?;
    Ok((Arc::clone(vhost), exchange))
}

struct ExchangeRow {
    vhost: Arc<Vhost>,
    exchange: Arc<Exchange>,
}

impl Row for ExchangeRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.exchange.name)
    }

    fn order(&self, other: &Self) -> Ordering {
        let names = || self.exchange.name.cmp(&other.exchange.name);
        self.vhost.name().cmp(other.vhost.name()).then_with(names)
    }

    fn render(&self, listing: &Listing) -> Object {
        let exchange = &self.exchange;
        let mut object = Object::new();
        object.put("arguments", &exchange.arguments);
        object.put("auto_delete", exchange.auto_delete);
        object.put("durable", exchange.durable);
        object.put("internal", exchange.internal);
        object.put("name", exchange.name.clone());
        object.put("type", exchange.kind.as_str());
        object.put("vhost", self.vhost.name().to_string());
        let predeclared = exchange.name.is_empty() || exchange.name.starts_with("amq.");
        if predeclared {
            object.put("user_who_performed_action", "rmq-internal");
        }
        if let Some(applied) = self.vhost.exchange_policy(&exchange.name) {
            if let Some(policy) = &applied.policy {
                object.put("policy", policy.to_string());
            }
            if let Some(policy) = &applied.operator_policy {
                object.put("operator_policy", policy.to_string());
            }
            let definition = Object::from(&applied.definition);
            object.put("effective_policy_definition", definition);
        }
        if let Some(waiting) = self.vhost.messages_delayed(&exchange.name) {
            object.put("messages_delayed", waiting);
        }
        let stats = &exchange.stats;
        let numbers = [
            ("publish_in", stats.publish_in()),
            ("publish_out", stats.publish_out()),
        ];
        if !listing.disable_stats && numbers.iter().any(|(_, n)| *n > 0) {
            let mut shown = Object::new();
            put_numbers(&mut shown, &**stats, listing.windows.messages, 0, numbers);
            object.put("message_stats", shown);
        }
        object
    }
}
