//! The text format 0.0.4, written piece by piece: metrics of a hundred thousand queues are never
//! in memory at once.

use std::fmt::{Display, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use tokio::sync::mpsc;

/// Bytes gathered before they are sent.
const PIECE: usize = 64 * 1024;

/// Pieces waiting for a slow reader.
const PIECES: usize = 4;

/// The text being written.
pub(crate) struct Text {
    buffer: String,
    reader: mpsc::Sender<Bytes>,
    prefix: &'static str,
}

/// How a family is announced.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows; its name ends with `_total`.
    Counter,
}

/// A label and its value.
pub(crate) type Label<'a> = (&'static str, &'a str);

impl Text {
    /// A text whose names begin with `prefix`, and the body it becomes.
    pub(crate) fn new(prefix: &'static str) -> (Self, Body) {
        let (reader, pieces) = mpsc::channel(PIECES);
        let text = Self {
            buffer: String::with_capacity(PIECE + 4096),
            reader,
            prefix,
        };
        (text, Body::new(Pieces(pieces)))
    }

    /// Announces a family. Its samples must follow at once.
    pub(crate) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.announce(kind, name, help);
    }

    fn announce(&mut self, kind: &str, name: &str, help: &str) {
        let prefix = self.prefix;
        // Writing to a String cannot fail.
        let _ = write!(
            self.buffer,
            "# TYPE {prefix}{name} {kind}\n# HELP {prefix}{name} {help}\n"
        );
    }

    /// One sample of the family announced last.
    pub(crate) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.buffer.push_str(self.prefix);
        self.buffer.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.buffer.push_str(if index == 0 { "{" } else { "," });
            self.buffer.push_str(label);
            self.buffer.push_str("=\"");
            push_escaped(&mut self.buffer, text);
            self.buffer.push('"');
        }
        if !labels.is_empty() {
            self.buffer.push('}');
        }
        let _ = writeln!(self.buffer, " {value}");
        if self.buffer.len() >= PIECE {
            self.send();
        }
    }

    /// A family of one sample that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: &[Label<'_>], n: impl Display) {
        self.family(Kind::Gauge, name, help);
        self.sample(name, labels, n);
    }

    /// A family of one sample that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: &[Label<'_>], n: u64) {
        self.family(Kind::Counter, name, help);
        self.sample(name, labels, n);
    }

    /// A histogram: upper bounds as they are printed and the samples not above them, all samples,
    /// their sum.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[Label<'_>],
        (buckets, count, sum): (&[(String, u64)], u64, u64),
    ) {
        self.announce("histogram", name, help);
        for (bound, n) in buckets {
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&format!("{name}_bucket"), &labels, n);
        }
        self.sample(&format!("{name}_count"), labels, count);
        self.sample(&format!("{name}_sum"), labels, sum);
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_unread(&self) -> bool {
        self.reader.is_closed()
    }

    fn send(&mut self) {
        let piece = std::mem::take(&mut self.buffer);
        // The reader may have gone; whoever writes asks for that now and then.
        let _ = self.reader.blocking_send(piece.into());
        self.buffer.reserve(PIECE + 4096);
    }

    /// Ends the text.
    pub(crate) fn finish(mut self) {
        self.send();
    }
}

struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}

/// Label values escape the backslash, the quote and the line feed.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = String::new();
        push_escaped(&mut out, "x\"y\\z\n");
        assert_eq!(out, "x\\\"y\\\\z\\n");
    }
}
