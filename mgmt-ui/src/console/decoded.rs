//! Bodies that their publisher compressed, made readable: gzip, zlib and raw deflate, by the
//! message's `content_encoding` or by how they begin.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Zlib,
    Deflate,
}

impl Encoding {
    /// By the property, else by the first bytes of what has no other encoding.
    pub(crate) fn of(content_encoding: Option<&str>, body: &[u8]) -> Option<Self> {
        let gzip = body.starts_with(&[0x1f, 0x8b, 8]);
        // A header of zlib is a multiple of 31.
        let zlib = matches!(body, [0x78, second, ..] if (0x7800 + u32::from(*second)) % 31 == 0);
        match content_encoding.map(str::trim) {
            Some(name) if is_one_of(name, &["gzip", "x-gzip"]) => gzip.then_some(Self::Gzip),
            Some(name) if is_one_of(name, &["deflate", "zlib"]) => match zlib {
                true => Some(Self::Zlib),
                false => Some(Self::Deflate),
            },
            _ => gzip.then_some(Self::Gzip),
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
        }
    }

    /// The first bytes of what it stands for, and whether there are more; `None` when it is no such
    /// thing. What is broken in the middle is read up to there.
    pub(crate) fn decode(self, body: &[u8], most: usize) -> Option<(Vec<u8>, bool)> {
        let limit = most as u64 + 1;
        let mut out = Vec::new();
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(body).take(limit).read_to_end(&mut out),
            Self::Zlib => ZlibDecoder::new(body).take(limit).read_to_end(&mut out),
            Self::Deflate => DeflateDecoder::new(body).take(limit).read_to_end(&mut out),
        };
        if read.is_err() && out.is_empty() {
            return None;
        }
        let more = out.len() > most;
        out.truncate(most);
        Some((out, more))
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The body as its publisher had it, as far as `most` bytes go.
pub(crate) fn readable<'a>(
    content_encoding: Option<&str>,
    body: &'a [u8],
    most: usize,
) -> Cow<'a, [u8]> {
    let decoded = Encoding::of(content_encoding, body).and_then(|it| it.decode(body, most));
    decoded.map_or(Cow::Borrowed(body), |(bytes, _)| Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    const TEXT: &[u8] = b"{\"hello\": \"hello hello hello\"}";

    #[test]
    fn all_three_are_known_and_read() {
        let level = Compression::default();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        for writer in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            writer.write_all(TEXT).unwrap();
        }
        let bodies = [
            (Some("GZIP"), gzip.finish().unwrap(), Encoding::Gzip),
            (Some("deflate"), zlib.finish().unwrap(), Encoding::Zlib),
            (Some("deflate"), raw.finish().unwrap(), Encoding::Deflate),
        ];
        for (name, body, encoding) in &bodies {
            assert_eq!(Encoding::of(*name, body), Some(*encoding));
            assert_eq!(encoding.decode(body, 1000), Some((TEXT.to_vec(), false)));
            assert_eq!(encoding.decode(body, 5), Some((TEXT[..5].to_vec(), true)));
            assert_eq!(readable(*name, body, 1000), TEXT);
        }
        // gzip is known by its beginning, the others only by name.
        assert_eq!(Encoding::of(None, &bodies[0].1), Some(Encoding::Gzip));
        assert_eq!(Encoding::of(None, &bodies[1].1), None);
        // What was cut off is read as far as it goes.
        let cut = &bodies[0].1[..bodies[0].1.len() - 10];
        assert!(Encoding::Gzip.decode(cut, 1000).is_some());
    }

    #[test]
    fn what_is_not_compressed_is_left_alone() {
        assert_eq!(Encoding::of(Some("gzip"), b"plain"), None);
        assert_eq!(readable(Some("deflate"), b"plain", 10), &b"plain"[..]);
        assert_eq!(readable(None, b"", 10), &b""[..]);
    }
}
