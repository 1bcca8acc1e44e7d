//! As much of DER as reading a certificate takes: tags, lengths, object identifiers, texts. Every
//! length is checked against the bytes there are; nothing is copied before it is understood.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a constructed field with this number.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Reads one value after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next value: its tag and content. `None` at the end, and where the form is broken.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.rest.split_first()?;
        let (&first, rest) = rest.split_first()?;
        // Tags of several octets do not occur in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0, |sum, o| sum << 8 | usize::from(*o));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some((tag, content))
    }

    /// The content of the next value, which must have this tag; otherwise nothing is read.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.rest.first() != Some(&tag) {
            return None;
        }
        self.next().map(|(_, content)| content)
    }

    /// The values inside the next one, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.expect(tag).map(Reader::new)
    }

    /// Passes over the next value if it has this tag.
    pub(super) fn skip_if(&mut self, tag: u8) {
        let _ = self.expect(tag);
    }
}

/// The numbers of an object identifier.
pub(super) fn object_identifier(content: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut number: u64 = 0;
    for octet in content {
        number = number
            .checked_mul(128)?
            .checked_add(u64::from(octet & 0x7f))?;
        if octet & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    // The first two share a place.
    let both = numbers.first().copied()?;
    let first = (both / 40).min(2);
    numbers.splice(..1, [first, both - first * 40]);
    Some(numbers)
}

/// A value of one of the kinds of text.
pub(super) fn text(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(content.to_vec()).ok(),
        // T61String: Latin 1 in practice.
        0x14 => Some(content.iter().copied().map(char::from).collect()),
        // BMPString.
        0x1e => {
            let (units, rest) = content.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok())?
        }
        // UniversalString.
        0x1c => {
            let (units, rest) = content.as_chunks::<4>();
            let chars = units
                .iter()
                .map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
            rest.is_empty().then(|| chars.collect())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_content() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        assert_eq!(Reader::new(&long).next(), Some((0x04, &[7; 128][..])));
        let longer = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(Reader::new(&longer).next(), Some((0x04, &[7; 256][..])));
        for bad in [
            &b""[..],
            b"\x04",
            b"\x04\x01",
            b"\x04\x80\0\0",
            b"\x04\x84\xff\xff\xff\xff\0",
            b"\x04\x88\0\0\0\0\0\0\0\x01\x07",
            b"\x1f\x01\x07",
        ] {
            assert_eq!(Reader::new(bad).next(), None, "{bad:?}");
        }
    }

    #[test]
    fn object_identifiers() {
        assert_eq!(object_identifier(&[0x55, 4, 3]), Some(vec![2, 5, 4, 3]));
        assert_eq!(
            object_identifier(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]),
            Some(vec![1, 2, 840, 113_549, 1, 9, 1])
        );
        assert_eq!(object_identifier(&[]), None);
        assert_eq!(object_identifier(&[0xff; 20]), None);
    }

    #[test]
    fn texts_of_every_kind() {
        assert_eq!(text(0x0c, "ä".as_bytes()).as_deref(), Some("ä"));
        assert_eq!(text(0x14, b"\xe4").as_deref(), Some("ä"));
        assert_eq!(text(0x1e, b"\0a\0b").as_deref(), Some("ab"));
        assert_eq!(text(0x1e, b"\0a\0"), None);
        assert_eq!(text(0x1c, b"\0\0\0a").as_deref(), Some("a"));
        assert_eq!(text(0x1c, b"\xff\xff\xff\xff"), None);
        assert_eq!(text(0x02, b"1"), None);
    }
}
