//! Publishing and taking single messages on behalf of the HTTP face. Slower than the AMQP path,
//! which works on whole reads of a socket, and with the same checks.

use warren_amqp::{Properties, ReplyError, encode_content_header, make_address, parse_properties};
use warren_storage::Position;

use crate::arguments::parse_expiration;
use crate::broker::Broker;
use crate::message::{FLAG_BCC, FLAG_EXPIRES, FLAG_PERSISTENT, Meta};
use crate::publish::PublishBatch;
use crate::route::{REPLY_TO, RouteCache};
use crate::session::Session;
use crate::turn::Turn;
use crate::vhost::Vhost;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No queue got it.
    Unroutable,
    /// It is in its queues, and safe once the log is durable up to here.
    Routed(Position),
    /// A queue that is full refused it.
    Rejected,
}

impl Broker {
    /// Publishes one message as a mandatory one with a confirm. Errors are those of the protocol:
    /// 403, 404 and 406.
    pub fn publish_one(
        &self,
        vhost: &Vhost,
        session: &mut Session,
        (exchange, routing_key): (&str, &str),
        properties: &Properties<'_>,
        body: &[u8],
        turn: &mut Turn,
    ) -> Result<Fate, ReplyError> {
        self.check_content(session, properties, body.len() as u64)?;
        let meta = meta_of(properties)?;
        let mut address = Vec::new();
        make_address(&mut address, exchange, routing_key);
        let mut routes = RouteCache::default();
        let route = routes.resolve(vhost, session, &address)?;
        let size = body.len() as u64;
        let interceptors = self.settings().interceptors;
        let header = if interceptors.is_empty() {
            encode_content_header(size, properties)
        } else {
            interceptors.header(properties, size, &self.settings().node_name, turn.now_ms())
        };
        // Read back, as headers decide over routes in the form they are stored in.
        let stored = parse_properties(header.get(12..).unwrap_or_default())?;
        let route = routes.refine(vhost, session, route, &address, &stored)?;
        let route = routes.get(route);
        let mut batch = PublishBatch::default();
        if route.is_unroutable() {
            batch.push_returned(route, 0, 1, [&address, &header, body], meta);
        } else {
            batch.push(route, 0, 1, [&address, &header, body], meta);
        }
        let outcomes = self.publish(&mut batch, turn);
        if route.is_unroutable() {
            return Ok(Fate::Unroutable);
        }
        Ok(match outcomes.first() {
            Some(outcome) if outcome.nack => Fate::Rejected,
            Some(outcome) => Fate::Routed(outcome.position),
            None => Fate::Routed(0),
        })
    }

    fn check_content(
        &self,
        session: &Session,
        properties: &Properties<'_>,
        size: u64,
    ) -> Result<(), ReplyError> {
        let max = self.settings().max_message_size;
        if size > max {
            let text = format!("message size {size} is larger than configured max size {max}");
            return Err(ReplyError::precondition_failed(text));
        }
        if properties.reply_to == Some(REPLY_TO.as_bytes()) {
            let text = "fast reply consumer does not exist";
            return Err(ReplyError::precondition_failed(text));
        }
        let user = &session.user;
        match properties.user_id {
            Some(claimed) if claimed != user.name.as_bytes() && !user.is_impersonator() => {
                Err(ReplyError::precondition_failed(format!(
                    "user_id property set to '{}' but authenticated user was '{}'",
                    String::from_utf8_lossy(claimed),
                    user.name
                )))
            }
            _ => Ok(()),
        }
    }
}

fn meta_of(properties: &Properties<'_>) -> Result<Meta, ReplyError> {
    let mut meta = Meta {
        flags: 0,
        priority: properties.priority.unwrap_or(0),
        expiration_ms: 0,
    };
    if properties.delivery_mode == Some(2) {
        meta.flags |= FLAG_PERSISTENT;
    }
    if let Some(expiration) = properties.expiration {
        meta.expiration_ms = parse_expiration(expiration)?;
        meta.flags |= FLAG_EXPIRES;
    }
    if properties
        .headers
        .is_some_and(|headers| headers.get(b"BCC").is_some())
    {
        meta.flags |= FLAG_BCC;
    }
    Ok(meta)
}
