//! Ending channels and connections: what a fault leads to, and winding down in order.

use std::time::{Duration, Instant};

use warren_amqp::frame::{Frame, FrameKind};
use warren_amqp::method::{method_ids, method_name};
use warren_amqp::protocol::{AMQPClass, channel as channel_methods, connection as conn_methods};
use warren_amqp::{ReplyCode, ReplyError, short};

use super::channel::Channel;
use super::fault::{Fault, REFUSAL_DELAY};
use super::{Connection, Phase};

impl Connection {
    /// Ends a channel or the connection as the fault demands.
    pub(super) fn fault(&mut self, number: u16, ids: (u16, u16), fault: Fault) {
        // What stood before the fault in the same read still counts.
        self.flush();
        match fault {
            Fault::Drop { reason, delay } => self.drop_connection(reason, delay),
            Fault::Reply(error) => {
                let error = if error.method.is_none() {
                    error.at(ids.0, ids.1)
                } else {
                    error
                };
                if error.code.is_hard() || number == 0 {
                    self.close_connection(error);
                } else {
                    self.close_channel_for(number, &error);
                }
            }
        }
    }

    pub(super) fn close_channel_for(&mut self, number: u16, error: &ReplyError) {
        let (class_id, method_id) = error.method.unwrap_or((0, 0));
        tracing::error!(
            "Channel error on connection {}, channel {number}: {}",
            self.described(),
            exception("channel", error)
        );
        self.close_channel(number);
        self.channels.insert(number, Channel::Closing);
        let close = channel_methods::Close {
            reply_code: error.code.code(),
            reply_text: short(&error.reply_text()),
            class_id,
            method_id,
        };
        self.send(
            number,
            &AMQPClass::Channel(channel_methods::AMQPMethod::Close(close)),
        );
    }

    /// Sends `connection.close`; everything is wound down first (E-5).
    pub(super) fn close_connection(&mut self, error: ReplyError) {
        let text = error.reply_text();
        if error.code == ReplyCode::ConnectionForced {
            tracing::info!("closing AMQP connection {}: {text}", self.described());
        } else {
            tracing::error!(
                "Error on AMQP connection {}: {}",
                self.described(),
                exception("connection", &error)
            );
        }
        self.flush();
        self.close_all_channels();
        self.delete_exclusive_queues();
        let (class_id, method_id) = error.method.unwrap_or((0, 0));
        let close = conn_methods::Close {
            reply_code: error.code.code(),
            reply_text: short(&text),
            class_id,
            method_id,
        };
        self.send(
            0,
            &AMQPClass::Connection(conn_methods::AMQPMethod::Close(close)),
        );
        self.ended.get_or_insert(text);
        self.blocked = false;
        self.parked = None;
        self.phase = Phase::Closing;
        let patience = match self.heartbeat_s {
            0 => 30,
            heartbeat => u64::from(heartbeat).min(30),
        };
        self.drop_at
            .get_or_insert(Instant::now() + Duration::from_secs(patience));
    }

    /// The stream cannot be followed any more (E-7): close, and the socket goes after 3 s.
    pub(super) fn broken_framing(&mut self, error: ReplyError) {
        self.deaf = true;
        self.drop_at = Some(Instant::now() + REFUSAL_DELAY);
        if self.phase == Phase::Closing {
            return;
        }
        if self.phase == Phase::Running {
            self.close_connection(error.without_method());
        } else {
            self.drop_connection(error.reply_text(), REFUSAL_DELAY);
        }
    }

    pub(super) fn drop_connection(&mut self, reason: String, delay: Duration) {
        tracing::error!("closing AMQP connection {}: {reason}", self.described());
        self.ended.get_or_insert(reason);
        self.deaf = true;
        if delay.is_zero() {
            self.phase = Phase::Closed;
        } else {
            self.phase = Phase::Closing;
            self.drop_at = Some(Instant::now() + delay);
        }
    }

    pub(super) fn await_close_ok(&mut self, frame: &Frame<'_>) {
        let method = match frame.kind {
            FrameKind::Method if frame.channel == 0 => method_ids(frame.payload),
            _ => None,
        };
        match method {
            Some((10, 51)) => self.phase = Phase::Closed,
            Some((10, 50)) => {
                let ok = conn_methods::AMQPMethod::CloseOk(conn_methods::CloseOk {});
                self.send(0, &AMQPClass::Connection(ok));
            }
            _ => {}
        }
    }

    pub(super) fn close_all_channels(&mut self) {
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            self.close_channel(number);
            self.forget_channel(number);
        }
    }

    pub(super) fn delete_exclusive_queues(&mut self) {
        if let Some(vhost) = self.vhost.clone() {
            for queue in std::mem::take(&mut self.exclusive) {
                let _ = vhost.remove_queue(&queue, false, false, &mut self.turn);
            }
        }
        self.context.broker.finish(&mut self.turn);
    }
}

/// What went wrong in the words operators look for: `operation basic.ack caused a channel
/// exception precondition_failed: unknown delivery tag 9`.
fn exception(scope: &str, error: &ReplyError) -> String {
    let operation = error.method.and_then(method_name);
    let operation = operation.unwrap_or_else(|| "none".to_owned());
    let (name, why) = (error.code.name().to_lowercase(), &error.explanation);
    format!("operation {operation} caused a {scope} exception {name}: {why}")
}
