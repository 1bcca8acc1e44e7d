//! Large body frames, taken as they come: what is there of one goes where the body is put together,
//! without waiting for the rest in a buffer. The driver may even read into that place.

use warren_amqp::frame::{self, FrameKind};

use super::Connection;
use super::channel::{Body, Channel};

/// Frames with less payload are waited for: they are part of the next read.
const LARGE_FRAME: usize = 4 * 1024;

/// Payloads from here on, those of a message in full frames of the usual 128 KiB, are read to where
/// they belong. Several smaller ones are read at once and copied, which costs less than to ask the
/// system for each.
const READ_ALONE: usize = 96 * 1024;

/// So much of what follows may be read along with a payload, and is copied: the end of the frame,
/// and the beginning of the next one or of the next message.
pub(crate) const BEYOND_MAX: usize = 4 * 1024;

/// A body frame of which the head has come.
pub(super) struct Arriving {
    channel: u16,
    /// Bytes of payload.
    size: usize,
    /// Those that are to come; then comes the octet that ends the frame.
    left: usize,
}

impl Connection {
    /// `input` is the beginning of a frame. Takes it, if it is one of a large piece of a body that
    /// is as it should be, and returns how much that was.
    pub(super) fn begin_arriving(&mut self, input: &[u8]) -> usize {
        let max = self.context.broker.settings().max_message_size;
        let Some((channel, size)) = frame::body_begun(input) else {
            return 0;
        };
        let Some(body) = self.body_of(channel) else {
            return 0;
        };
        if size < LARGE_FRAME || body.size > max || body.received + size as u64 > body.size {
            return 0;
        }
        self.arriving = Some(Arriving {
            channel,
            size,
            left: size,
        });
        frame::FRAME_HEAD + self.arrive(&input[frame::FRAME_HEAD..])
    }

    /// Takes what `input` has of the frame that is arriving and returns how much that was.
    pub(super) fn arrive(&mut self, input: &[u8]) -> usize {
        let Some(arriving) = &mut self.arriving else {
            return 0;
        };
        let number = arriving.channel;
        let (piece, rest) = input.split_at(arriving.left.min(input.len()));
        arriving.left -= piece.len();
        // None when the channel was closed meanwhile: what comes on it is discarded.
        if let Some(body) = self.body_of(number) {
            body.add(piece);
        }
        let Some(end) = rest.first() else {
            return piece.len();
        };
        self.arrived(*end);
        piece.len() + 1
    }

    /// The frame that was arriving is there.
    fn arrived(&mut self, end: u8) {
        let Some(Arriving { channel, size, .. }) = self.arriving.take() else {
            return;
        };
        let body = self.body_of(channel);
        let open = body.is_some();
        let payload = body.map_or(&[][..], |body| &body.data[body.data.len() - size..]);
        if let Err(error) = frame::check_end(FrameKind::Body, payload, end) {
            self.broken_framing(error);
        } else if open && let Err(fault) = self.body_grown(channel) {
            self.fault(channel, (60, 40), fault);
        }
    }

    /// Where to put what is read next, and how much of it, if that is the payload of a large frame.
    /// [`Connection::body_read`] is to be called with what was put there.
    pub(crate) fn body_space(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let arriving = self.arriving.as_ref()?;
        let (channel, left) = (arriving.channel, arriving.left);
        if arriving.size < READ_ALONE || self.deaf || self.left_input() {
            return None;
        }
        let body = self.body_of(channel)?;
        let wanted = left + BEYOND_MAX;
        body.make_room(wanted);
        let space = body.data.capacity() - body.data.len();
        (space > 0).then(|| (&mut *body.data, space.min(wanted)))
    }

    /// So many bytes were read to where [`Connection::body_space`] said. Those that are not payload
    /// are moved to `beyond`.
    pub(crate) fn body_read(&mut self, n: usize, beyond: &mut Vec<u8>) {
        let Some(arriving) = &mut self.arriving else {
            return;
        };
        let channel = arriving.channel;
        let payload = n.min(arriving.left);
        arriving.left -= payload;
        if let Some(body) = self.body_of(channel) {
            body.received += payload as u64;
            let end = body.data.len() - (n - payload);
            beyond.extend_from_slice(&body.data[end..]);
            body.data.truncate(end);
        }
    }

    fn body_of(&mut self, number: u16) -> Option<&mut Body> {
        match self.channels.get_mut(&number)? {
            Channel::Open(channel) => channel.content.as_mut()?.body.as_mut(),
            Channel::Closing => None,
        }
    }
}
