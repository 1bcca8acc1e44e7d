//! From a frame to the code of its method: which frames may come now, on which channel, and who
//! handles them. What a method does is the business of the other modules.

use std::sync::atomic::Ordering;

use warren_amqp::ReplyError;
use warren_amqp::frame::{self, Frame, FrameKind};
use warren_amqp::method::{self, method_ids, parse_method};
use warren_amqp::protocol::{AMQPClass, channel as channel_methods};

use super::channel::{Channel, OpenChannel};
use super::fault::Fault;
use super::{Connection, Phase, close_ok, unimplemented_method};

/// A connection with more commands than this in one turn, publishes and acks aside, is ponderous.
const COMMANDS_MAX: u32 = 500;

impl Connection {
    pub(super) fn frame(&mut self, frame: &Frame<'_>, rest: &[u8]) -> usize {
        if self.phase == Phase::Closing {
            self.await_close_ok(frame);
            return 0;
        }
        if frame.kind == FrameKind::Heartbeat {
            return 0;
        }
        if frame.channel == 0 {
            self.connection_frame(frame);
            return 0;
        }
        if self.phase != Phase::Running {
            self.fault(
                0,
                (0, 0),
                Fault::drop_late("frame on a channel before the handshake ended"),
            );
            return 0;
        }
        self.channel_frame(frame, rest)
    }

    pub(super) fn connection_frame(&mut self, frame: &Frame<'_>) {
        self.flush();
        let ids = method_ids(frame.payload).unwrap_or((0, 0));
        let result = if frame.kind == FrameKind::Method {
            self.connection_method(frame.payload)
        } else {
            Err(Fault::Reply(frame::unexpected_on_channel_zero(frame)))
        };
        if let Err(fault) = result {
            self.fault(0, ids, fault);
        }
    }

    /// Handles a frame on a channel; returns how much of `rest` was used along with it.
    pub(super) fn channel_frame(&mut self, frame: &Frame<'_>, rest: &[u8]) -> usize {
        let number = frame.channel;
        let mut used = 0;
        let (ids, result) = match (self.channels.get(&number), frame.kind) {
            (Some(Channel::Closing), FrameKind::Method) => {
                let ids = method_ids(frame.payload).unwrap_or((0, 0));
                (ids, self.closing_channel_method(number, ids))
            }
            (Some(Channel::Closing), _) => return 0,
            (Some(Channel::Open(_)), FrameKind::Method) => {
                let ids = method_ids(frame.payload).unwrap_or((0, 0));
                (
                    ids,
                    self.channel_method(number, ids, frame.payload, rest, &mut used),
                )
            }
            (Some(Channel::Open(_)), FrameKind::Header) => {
                ((60, 40), self.content_header(number, frame.payload))
            }
            (Some(Channel::Open(_)), _) => ((60, 40), self.content_body(number, frame.payload)),
            (None, _) => {
                let ids = method_ids(frame.payload).filter(|_| frame.kind == FrameKind::Method);
                (
                    ids.unwrap_or((0, 0)),
                    self.first_channel_method(number, frame),
                )
            }
        };
        if let Err(fault) = result {
            self.fault(number, ids, fault);
        }
        used
    }

    /// The first frame on a channel can only open it (H-4).
    pub(super) fn first_channel_method(
        &mut self,
        number: u16,
        frame: &Frame<'_>,
    ) -> Result<(), Fault> {
        if frame.kind == FrameKind::Method {
            let method = self.parse(frame.payload)?;
            if matches!(
                method,
                AMQPClass::Channel(channel_methods::AMQPMethod::Open(_))
            ) {
                self.leaving.retain(|left| *left != number);
                return self.open_channel(number);
            }
        }
        if self.leaving.contains(&number) {
            return Ok(());
        }
        Err(ReplyError::channel_error("expected 'channel.open'").into())
    }

    pub(super) fn open_channel(&mut self, number: u16) -> Result<(), Fault> {
        let limit = usize::from(self.channel_max);
        if limit != 0 && self.channels.len() >= limit {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({limit})",
                self.channels.len()
            );
            return Err(ReplyError::not_allowed(text).without_method().into());
        }
        let user = self.session.as_ref().map(|session| &session.user.name);
        let slot = self
            .context
            .broker
            .admit_channel(user.ok_or_else(ReplyError::internal)?)
            .map_err(ReplyError::without_method)?;
        if !self.context.take_channel() {
            let text = format!(
                "number of channels opened on node has reached the maximum allowed limit of ({})",
                self.context.limits.channel_max_per_node
            );
            return Err(ReplyError::not_allowed(text).without_method().into());
        }
        let live = self
            .live
            .as_ref()
            .ok_or_else(ReplyError::internal)?
            .open_channel(number);
        let prefetch = self.context.limits.default_prefetch;
        live.prefetch.store(prefetch, Ordering::Relaxed);
        let credit = self.outbox.open_channel(number, &live);
        let channel = OpenChannel::new(credit, prefetch, live, slot);
        self.channels
            .insert(number, Channel::Open(Box::new(channel)));
        self.tell_channel("channel.created", number);
        self.send_raw(number, &[0, 20, 0, 11, 0, 0, 0, 0]);
        Ok(())
    }

    /// A channel is closed on both sides.
    pub(super) fn forget_channel(&mut self, number: u16) {
        self.channels.remove(&number);
        if let Some(live) = &self.live {
            live.close_channel(number);
        }
        self.context.give_channel();
    }

    /// On a channel we closed, only close-ok and close mean anything (H-7 to H-10).
    pub(super) fn closing_channel_method(
        &mut self,
        number: u16,
        ids: (u16, u16),
    ) -> Result<(), Fault> {
        match ids {
            (20, 41) => {
                self.forget_channel(number);
            }
            (20, 40) => self.send(number, &close_ok()),
            (20, 10) => return Err(ReplyError::channel_error("second 'channel.open' seen").into()),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn channel_method(
        &mut self,
        number: u16,
        ids: (u16, u16),
        payload: &[u8],
        rest: &[u8],
        used: &mut usize,
    ) -> Result<(), Fault> {
        let Some(Channel::Open(channel)) = self.channels.get(&number) else {
            return Ok(());
        };
        if let Some(content) = &channel.content {
            return Err(content.interrupted().into());
        }
        match (ids, payload.get(4..)) {
            ((60, method::BASIC_PUBLISH), Some(args)) => self.publish(number, args, rest, used),
            ((60, method::BASIC_ACK), Some(args)) => self.ack(number, method::parse_ack(args)?),
            ((60, method::BASIC_NACK), Some(args)) => self.nack(number, method::parse_nack(args)?),
            ((60, method::BASIC_REJECT), Some(args)) => {
                self.reject(number, method::parse_reject(args)?)
            }
            _ => {
                let method = self.parse(payload)?;
                self.flush();
                self.commands += 1;
                self.ponderous |= self.commands > COMMANDS_MAX;
                self.cold_method(number, method, payload)
            }
        }
    }

    pub(super) fn cold_method(
        &mut self,
        number: u16,
        method: AMQPClass,
        payload: &[u8],
    ) -> Result<(), Fault> {
        match method {
            AMQPClass::Channel(method) => self.channel_class(number, method),
            AMQPClass::Exchange(method) => self.exchange_class(number, method),
            AMQPClass::Queue(method) => self.queue_class(number, method),
            AMQPClass::Basic(method) => self.basic_class(number, method, payload),
            AMQPClass::Confirm(method) => self.confirm_class(number, method),
            AMQPClass::Tx(method) => self.tx_class(number, method),
            AMQPClass::Access(method) => self.access_class(number, method),
            AMQPClass::Connection(_) => Err(unimplemented_method().into()),
        }
    }

    pub(super) fn channel_class(
        &mut self,
        number: u16,
        method: channel_methods::AMQPMethod,
    ) -> Result<(), Fault> {
        use channel_methods::AMQPMethod as M;
        match method {
            M::Open(_) => Err(ReplyError::channel_error("second 'channel.open' seen").into()),
            M::Close(_) => {
                self.close_channel(number);
                self.forget_channel(number);
                self.leaving.push(number);
                self.send(number, &close_ok());
                Ok(())
            }
            // Nothing was closed by us: a stray one is harmless.
            M::CloseOk(_) => Ok(()),
            M::Flow(flow) if flow.active => {
                let ok = channel_methods::FlowOk { active: true };
                self.send(number, &AMQPClass::Channel(M::FlowOk(ok)));
                Ok(())
            }
            M::Flow(_) => Err(ReplyError::not_implemented("active=false").into()),
            _ => Err(unimplemented_method().into()),
        }
    }

    pub(super) fn parse(&self, payload: &[u8]) -> Result<AMQPClass, Fault> {
        parse_method(payload).map_err(|error| match error {
            method::ColdError::Reply(error) => Fault::Reply(error),
            method::ColdError::UnknownMethod { class, method } => {
                Fault::drop_now(format!("unknown method {class}.{method}"))
            }
        })
    }
}
