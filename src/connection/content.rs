//! Publishing: content assembled from frames, checked, routed and added to the turn's batch.
//!
//! The usual publish (method, header and one body frame, all in the read buffer) is handled in
//! one go without a copy before the batch's own. Anything else is assembled on the channel.

use warren_amqp::frame::{self, FrameKind};
use warren_amqp::method::{Publish, parse_publish};
use warren_amqp::{
    ContentHeader, Properties, ReplyError, encode_content_header, parse_content_header,
    parse_properties, put_return_head,
};
use warren_broker::arguments::parse_expiration;
use warren_broker::buffers::{Buffer, LARGE};
use warren_broker::message::{FLAG_BCC, FLAG_EXPIRES, FLAG_PERSISTENT, Meta};
use warren_broker::{REPLY_TO, RouteAt, Settings};

use super::arriving::BEYOND_MAX;
use super::channel::{self, Body, Channel, Content, Returned};
use super::fault::Fault;
use super::{Connection, LARGE_MESSAGE};

/// Hard cap of the declared body size (W-5).
const BODY_MAX: u64 = 536_870_912;

/// Bodies at least this large get a chunk of their own, assembled in place.
const LARGE_BODY: usize = 16 * 1024;

/// How many times the bytes that have come of a body there is room for, and for how many at least.
const ROOM_FACTOR: usize = 16;
const ROOM_MIN: usize = 1024 * 1024;

/// Bytes of one transaction's publishes at most: it becomes one record of the log.
const TX_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Property flags of a header with nothing but `delivery_mode`, and with nothing at all.
const ONLY_DELIVERY_MODE: [u8; 2] = [0x10, 0x00];
const NO_PROPERTIES: [u8; 2] = [0, 0];

/// A complete message as it came from the client.
struct Incoming<'a> {
    address: &'a [u8],
    mandatory: bool,
    immediate: bool,
    header: &'a [u8],
    body: &'a [u8],
    /// Declared size; the body is missing when this is over the limit.
    size: u64,
}

/// A message that may be published.
struct Checked {
    route: RouteAt,
    /// What the broker must know of it.
    meta: Meta,
    /// The header, if it has to be another one.
    rewritten: Option<Vec<u8>>,
    /// Mandatory, and going nowhere: its sender gets it back. It may be remembered or held back
    /// by an exchange nonetheless.
    returned: bool,
}

impl Body {
    fn new(address: &[u8], header: &[u8], size: u64) -> Self {
        let mut data = Buffer::default();
        data.reserve_exact(address.len() + header.len());
        data.extend_from_slice(address);
        data.extend_from_slice(header);
        Self {
            before: data.len(),
            data,
            header_len: header.len(),
            size,
            received: 0,
        }
    }

    /// Takes what has come next.
    pub(super) fn add(&mut self, payload: &[u8]) {
        self.received += payload.len() as u64;
        self.make_room(payload.len());
        self.data.extend_from_slice(payload);
    }

    /// Makes room for the next `n` bytes, or for some of them. The declared size is only a promise:
    /// there is room for a multiple of what has come. Nearly always that is all of it, and nothing
    /// is moved again; what is not written to costs nothing.
    pub(super) fn make_room(&mut self, n: usize) {
        if self.data.capacity() - self.data.len() < n {
            let trusted = (ROOM_FACTOR * self.received as usize).max(ROOM_MIN);
            let room = trusted.min(self.size as usize);
            self.data.make_room(self.before + room + BEYOND_MAX);
        }
    }
}

impl Content {
    /// A method came where content was due (W-14, W-17).
    pub(super) fn interrupted(&self) -> ReplyError {
        if self.body.is_none() {
            return not_a_header();
        }
        ReplyError::unexpected_frame("expected content body, got non content body frame instead")
            .at(60, 40)
    }
}

impl Connection {
    /// `basic.publish`, with its content when that stands complete in `rest`.
    pub(super) fn publish(
        &mut self,
        number: u16,
        args: &[u8],
        rest: &[u8],
        used: &mut usize,
    ) -> Result<(), Fault> {
        let publish = parse_publish(args)?;
        if let Some((header, body, consumed)) = self.whole_content(number, rest) {
            let content = parse_content_header(header)?;
            if content.class_id == 60
                && content.weight == 0
                && content.body_size == body.len() as u64
            {
                *used = consumed;
                return self.complete(
                    number,
                    &Incoming {
                        address: publish.address,
                        mandatory: publish.mandatory,
                        immediate: publish.immediate,
                        header,
                        body,
                        size: content.body_size,
                    },
                );
            }
        }
        let Publish {
            address,
            mandatory,
            immediate,
        } = publish;
        let content = Content {
            address: address.to_vec(),
            mandatory,
            immediate,
            body: None,
        };
        self.open(number)?.content = Some(content);
        Ok(())
    }

    /// Header payload, body and their length in `rest`, when both frames stand there complete.
    fn whole_content<'a>(
        &self,
        number: u16,
        rest: &'a [u8],
    ) -> Option<(&'a [u8], &'a [u8], usize)> {
        let (header, first) = frame::split(rest, self.frame_max).ok()??;
        if header.kind != FrameKind::Header || header.channel != number {
            return None;
        }
        let size = header.payload.get(4..12)?;
        if size == [0; 8] {
            return Some((header.payload, &[], first));
        }
        let (body, second) = frame::split(&rest[first..], self.frame_max).ok()??;
        let belongs = body.kind == FrameKind::Body && body.channel == number;
        belongs.then_some((header.payload, body.payload, first + second))
    }

    pub(super) fn content_header(&mut self, number: u16, payload: &[u8]) -> Result<(), Fault> {
        let channel = self.open(number)?;
        let Some(content) = &mut channel.content else {
            return Err(not_a_method().into());
        };
        if content.body.is_some() {
            return Err(content.interrupted().into());
        }
        let header = parse_content_header(payload)?;
        check_header(&header)?;
        let size = header.body_size;
        let large = size > LARGE_MESSAGE;
        content.body = Some(Body::new(&content.address, payload, size));
        self.ponderous |= large;
        self.note_publish();
        if size == 0 {
            self.assembled(number)
        } else {
            Ok(())
        }
    }

    pub(super) fn content_body(&mut self, number: u16, payload: &[u8]) -> Result<(), Fault> {
        let max = self.context.broker.settings().max_message_size;
        let channel = self.open(number)?;
        let Some(content) = &mut channel.content else {
            return Err(not_a_method().into());
        };
        let Some(body) = &mut content.body else {
            return Err(not_a_header().into());
        };
        if body.received + payload.len() as u64 > body.size {
            let text = "content body frame exceeds remaining content size";
            return Err(ReplyError::frame_error(text).at(60, 40).into());
        }
        // Over the limit it is read to its end and refused then (W-6), but not kept.
        if body.size <= max {
            body.add(payload);
        } else {
            body.received += payload.len() as u64;
        }
        self.body_grown(number)
    }

    /// More of a body has come: perhaps all of it.
    pub(super) fn body_grown(&mut self, number: u16) -> Result<(), Fault> {
        let content = self.open(number)?.content.as_ref();
        match content.and_then(|content| content.body.as_ref()) {
            Some(body) if body.received == body.size => self.assembled(number),
            _ => Ok(()),
        }
    }

    /// The last frame of a publish's content has come.
    fn assembled(&mut self, number: u16) -> Result<(), Fault> {
        let Some(Content {
            address,
            mandatory,
            immediate,
            body: Some(body),
        }) = self.open(number)?.content.take()
        else {
            return Ok(());
        };
        let (address_len, header_len) = (address.len(), body.header_len);
        let header_end = address_len + header_len;
        let incoming = Incoming {
            address: &address,
            mandatory,
            immediate,
            header: &body.data[address_len..header_end],
            body: &body.data[header_end..],
            size: body.size,
        };
        if incoming.body.len() < LARGE_BODY {
            return self.complete(number, &incoming);
        }
        let Checked {
            route,
            meta,
            rewritten: None,
            returned: false,
        } = self.check(number, &incoming)?
        else {
            // Returned to the sender, or its header must be rewritten: the plain way.
            return self.complete(number, &incoming);
        };
        let channel = self.open(number)?;
        if channel.tx.is_some() {
            return self.complete(number, &incoming);
        }
        let confirm = channel.next_confirm();
        self.trace(number, route, &incoming);
        self.flush_publishes();
        self.batch.push_large(
            self.routes.get(route),
            number,
            confirm,
            (body.data, address_len, header_len),
            meta,
        );
        self.flush_publishes();
        Ok(())
    }

    /// A complete message: checks, route, batch. Errors close the channel or connection.
    fn complete(&mut self, number: u16, incoming: &Incoming<'_>) -> Result<(), Fault> {
        let Checked {
            route,
            meta,
            rewritten,
            returned,
        } = self.check(number, incoming)?;
        self.trace(number, route, incoming);
        // A large one stands alone, in memory of its size: nothing is moved to make room.
        let alone = incoming.body.len() >= LARGE;
        if alone {
            self.flush_publishes();
        }
        let channel = channel::open(&mut self.channels, number)?;
        let confirm = channel.next_confirm();
        let route = self.routes.get(route);
        let header = rewritten.as_deref().unwrap_or(incoming.header);
        let parts = [incoming.address, header, incoming.body];
        if let Some(tx) = &mut channel.tx {
            if tx.publishes.bytes() + incoming.body.len() > TX_BYTES_MAX {
                let text = format!("transaction is larger than {TX_BYTES_MAX} bytes");
                return Err(ReplyError::precondition_failed(text).into());
            }
            tx.published += 1;
            if returned {
                tx.returns.push(Returned::of(incoming));
                tx.publishes.push_returned(route, number, 0, parts, meta);
            } else {
                tx.publishes.push(route, number, 0, parts, meta);
            }
            channel.show_tx();
            return Ok(());
        }
        if returned {
            // The return stands before the confirm (H-22, H-48).
            self.batch
                .push_returned(route, number, confirm, parts, meta);
            self.send_return(number, &Returned::of(incoming));
            return Ok(());
        }
        self.batch.push(route, number, confirm, parts, meta);
        if alone || self.batch.is_full() {
            self.flush();
        }
        Ok(())
    }

    /// Has a trace that is on see the message.
    fn trace(&self, number: u16, route: RouteAt, incoming: &Incoming<'_>) {
        if let Some(tap) = self.tap.as_ref().filter(|tap| tap.is_open()) {
            let parts = [incoming.address, incoming.header, incoming.body];
            tap.published(number, self.routes.get(route), parts);
        }
    }

    /// The checks of H-20 in their order.
    fn check(&mut self, number: u16, incoming: &Incoming<'_>) -> Result<Checked, Fault> {
        self.note_publish();
        if incoming.immediate {
            return Err(ReplyError::not_implemented("immediate=true").into());
        }
        let max = self.context.broker.settings().max_message_size;
        if incoming.size > max {
            let text = format!(
                "message size {} is larger than configured max size {max}",
                incoming.size
            );
            return Err(ReplyError::precondition_failed(text).at(60, 40).into());
        }
        let (Some(session), Some(vhost)) = (&mut self.session, &self.vhost) else {
            return Err(ReplyError::internal().into());
        };
        let route = self.routes.resolve(vhost, session, incoming.address)?;
        let raw = incoming.header.get(12..).unwrap_or_default();
        let intercepted = !self.context.broker.settings().interceptors.is_empty();
        let looked_at = self.routes.get(route).per_message() || intercepted;
        let (route, meta, rewritten) = match (raw, looked_at) {
            ([flags @ .., mode], false) if *flags == ONLY_DELIVERY_MODE => {
                let meta = Meta {
                    flags: persistence(Some(*mode)),
                    ..Meta::default()
                };
                (route, meta, None)
            }
            (flags, false) if *flags == NO_PROPERTIES => (route, Meta::default(), None),
            _ => {
                let properties = parse_properties(raw)?;
                let reply = self.channels.get(&number).and_then(reply_queue_name);
                let rewritten = rewrite(
                    incoming,
                    properties,
                    reply.as_deref(),
                    self.context.broker.settings(),
                    self.turn.now_ms(),
                )?;
                let meta = meta_of(&properties)?;
                // An exchange that looks at headers sees what was written on the message.
                let seen = match &rewritten {
                    Some(header) => parse_properties(header.get(12..).unwrap_or_default())?,
                    None => properties,
                };
                let address = incoming.address;
                let route = self.routes.refine(vhost, session, route, address, &seen)?;
                check_user_id(&properties, &session.user)?;
                (route, meta, rewritten)
            }
        };
        Ok(Checked {
            returned: incoming.mandatory && self.routes.get(route).is_unroutable(),
            route,
            meta,
            rewritten,
        })
    }

    pub(super) fn send_return(&self, number: u16, returned: &Returned) {
        let frame_max = self.frame_max;
        self.outbox.write(|inner| {
            let out = &mut inner.out.bytes;
            put_return_head(
                out,
                number,
                312,
                "NO_ROUTE",
                &returned.address,
                &returned.header,
            );
            warren_amqp::put_body(out, number, frame_max, &returned.body);
        });
    }
}

impl Returned {
    fn of(incoming: &Incoming<'_>) -> Self {
        Self {
            address: incoming.address.to_vec(),
            header: incoming.header.to_vec(),
            body: incoming.body.to_vec(),
        }
    }
}

fn reply_queue_name(channel: &Channel) -> Option<String> {
    match channel {
        Channel::Open(channel) => channel
            .reply_queue
            .as_ref()
            .map(|queue| queue.name().to_owned()),
        Channel::Closing => None,
    }
}

fn check_header(header: &ContentHeader<'_>) -> Result<(), ReplyError> {
    if header.class_id != 60 {
        let text = format!(
            "expected content header for class 60, got one for class {} instead",
            header.class_id
        );
        return Err(ReplyError::unexpected_frame(text).at(60, 40));
    }
    if header.weight != 0 {
        return Err(not_a_header());
    }
    if header.body_size > BODY_MAX {
        let text = format!(
            "content body size {} exceeds maximum allowed size {BODY_MAX}",
            header.body_size
        );
        return Err(ReplyError::frame_error(text).at(60, 40));
    }
    Ok(())
}

fn not_a_header() -> ReplyError {
    let text = "expected content header for class 60, got non content header frame instead";
    ReplyError::unexpected_frame(text).at(60, 40)
}

fn not_a_method() -> ReplyError {
    let text = "expected method frame, got non method frame instead";
    ReplyError::unexpected_frame(text).without_method()
}

fn persistence(delivery_mode: Option<u8>) -> u8 {
    if delivery_mode == Some(2) {
        FLAG_PERSISTENT
    } else {
        0
    }
}

fn meta_of(properties: &Properties<'_>) -> Result<Meta, ReplyError> {
    let mut flags = persistence(properties.delivery_mode);
    let mut expiration_ms = 0;
    if let Some(expiration) = properties.expiration {
        expiration_ms = parse_expiration(expiration)?;
        flags |= FLAG_EXPIRES;
    }
    if properties
        .headers
        .is_some_and(|headers| headers.get(b"BCC").is_some())
    {
        flags |= FLAG_BCC;
    }
    Ok(Meta {
        flags,
        priority: properties.priority.unwrap_or(0),
        expiration_ms,
    })
}

/// H-26.
fn check_user_id(
    properties: &Properties<'_>,
    user: &warren_broker::auth::AuthenticatedUser,
) -> Result<(), ReplyError> {
    let Some(claimed) = properties.user_id else {
        return Ok(());
    };
    if claimed == user.name.as_bytes() || user.tags.iter().any(|tag| tag == "impersonator") {
        return Ok(());
    }
    let claimed = String::from_utf8_lossy(claimed);
    let text = format!(
        "user_id property set to '{claimed}' but authenticated user was '{}'",
        user.name
    );
    Err(ReplyError::precondition_failed(text))
}

/// The header when the broker must change it: the reply-to shortcut, and what it writes on
/// every message (H-30).
fn rewrite(
    incoming: &Incoming<'_>,
    properties: Properties<'_>,
    reply_queue: Option<&str>,
    settings: &Settings,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, ReplyError> {
    let mut changed = properties;
    if properties.reply_to == Some(REPLY_TO.as_bytes()) {
        let Some(queue) = reply_queue else {
            return Err(ReplyError::precondition_failed(
                "fast reply consumer does not exist",
            ));
        };
        changed.reply_to = Some(queue.as_bytes());
    }
    let interceptors = &settings.interceptors;
    if !interceptors.is_empty() {
        let header = interceptors.header(&changed, incoming.size, &settings.node_name, now_ms);
        return Ok(Some(header));
    }
    Ok((changed != properties).then(|| encode_content_header(incoming.size, &changed)))
}
