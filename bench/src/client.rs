//! One connection with one channel, over a blocking socket with a large read buffer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use warren_amqp::frame::{FRAME_END, FRAME_MIN_SIZE, Frame, FrameKind, split};
use warren_amqp::{PROTOCOL_HEADER, ReplyError, method_ids, parse_method};

/// The channel everything happens on.
pub(crate) const CHANNEL: u16 = 1;
/// How long a broker may let us wait for an answer, or for room to write.
const PATIENCE: Duration = Duration::from_secs(60);
const FRAME_MAX: u32 = 131_072;
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    #[error("cannot read what the broker sends: {0}")]
    Frame(#[from] ReplyError),
    #[error("the broker said {0}")]
    Said(String),
    #[error("a thread panicked")]
    Panicked,
}

/// An open connection with an open channel.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read but not taken is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes of a frame at most, as negotiated.
    pub(crate) frame_max: u32,
}

impl Connection {
    /// Connects, logs in to the vhost `/` and opens the channel. `login` is user:password.
    pub(crate) fn open(addr: &str, login: &str) -> Result<Connection, Error> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let buffer = vec![0; READ_BUFFER_BYTES];
        let mut conn = Connection {
            stream,
            buffer,
            start: 0,
            end: 0,
            frame_max: FRAME_MAX,
        };
        conn.send(&PROTOCOL_HEADER)?;
        conn.wait(10, 10)?;
        let secret = format!("\0{}", login.replacen(':', "\0", 1));
        let length = (secret.len() as u32).to_be_bytes();
        let start_ok = [
            &[0; 4],
            &text("PLAIN")[..],
            &length,
            secret.as_bytes(),
            &text("en_US"),
        ];
        conn.tell(0, (10, 11), &start_ok.concat())?;
        let mut tune = conn.wait(10, 30)?;
        let theirs = tune
            .get(2..6)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| u32::from_be_bytes(*b));
        conn.frame_max = if theirs == 0 {
            FRAME_MAX
        } else {
            theirs.clamp(FRAME_MIN_SIZE, FRAME_MAX)
        };
        // Their channel-max, our frame-max, no heartbeats.
        tune.truncate(2);
        tune.extend_from_slice(&conn.frame_max.to_be_bytes());
        tune.extend_from_slice(&[0, 0]);
        conn.tell(0, (10, 31), &tune)?;
        conn.call(0, (10, 40), &[&text("/")[..], &[0, 0]].concat())?;
        conn.call(CHANNEL, (20, 10), &[0])?;
        Ok(conn)
    }

    /// The socket alone, when nothing more is to be read in order.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Another handle of the socket, to write while this one reads.
    pub(crate) fn stream(&self) -> Result<TcpStream, Error> {
        Ok(self.stream.try_clone()?)
    }

    /// How long [`Connection::fill`] waits.
    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> Result<(), Error> {
        Ok(self.stream.set_read_timeout(Some(timeout))?)
    }

    /// Writes finished frames.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(frames)?)
    }

    /// Sends a method.
    pub(crate) fn tell(&mut self, channel: u16, ids: (u16, u16), args: &[u8]) -> Result<(), Error> {
        let payload = [&ids.0.to_be_bytes(), &ids.1.to_be_bytes(), args].concat();
        let mut out = Vec::new();
        put_frame(&mut out, FrameKind::Method, channel, &payload);
        self.send(&out)
    }

    /// Sends a method and waits for its answer, which by AMQP's numbering has the next id.
    pub(crate) fn call(&mut self, channel: u16, ids: (u16, u16), args: &[u8]) -> Result<(), Error> {
        self.tell(channel, ids, args)?;
        self.wait(ids.0, ids.1 + 1).map(|_| ())
    }

    /// The arguments of this method, which must be the next one.
    fn wait(&mut self, class: u16, method: u16) -> Result<Vec<u8>, Error> {
        loop {
            // Only one frame: what follows may be for another reader (a delivery).
            while let Some((frame, length)) =
                split(&self.buffer[self.start..self.end], self.frame_max)?
            {
                self.start += length;
                if method_ids(frame.payload) == Some((class, method)) {
                    return Ok(frame.payload[4..].to_vec());
                }
                if frame.kind == FrameKind::Method {
                    return Err(unexpected(frame.payload));
                }
            }
            if !self.fill()? {
                return Err(silence());
            }
        }
    }

    /// Hands over all complete frames read so far.
    pub(crate) fn take_frames(
        &mut self,
        mut each: impl FnMut(&Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let Some((frame, length)) = split(&self.buffer[self.start..self.end], self.frame_max)?
        {
            each(&frame)?;
            self.start += length;
        }
        Ok(())
    }

    /// Reads once from the socket; `false` if nothing came in time.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err(Error::Said("nothing and hung up".to_owned())),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Closes in order, so that the broker has handled all that was sent.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        self.set_read_timeout(PATIENCE)?;
        self.call(
            0,
            (10, 50),
            &[&200u16.to_be_bytes(), &text("done")[..], &[0; 4]].concat(),
        )
    }
}

/// The broker let us wait for too long.
pub(crate) fn silence() -> Error {
    Error::Said(format!("nothing for {} s", PATIENCE.as_secs()))
}

/// Another method than those that may come: a close, perhaps, with its reason.
pub(crate) fn unexpected(payload: &[u8]) -> Error {
    Error::Said(
        parse_method(payload).map_or_else(|e| e.to_string(), |method| format!("{method:?}")),
    )
}

/// A short string of at most 255 bytes, as all of ours are.
pub(crate) fn text(s: &str) -> Vec<u8> {
    [&[s.len() as u8], s.as_bytes()].concat()
}

/// Appends a frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload: &[u8]) {
    out.push(kind.octet());
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}
