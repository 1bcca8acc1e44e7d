//! Message bodies that say who they are and can be told from damaged ones.

/// Who published a message, and which of theirs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) round: u32,
    pub(crate) publisher: u32,
    pub(crate) n: u32,
}

/// The publisher number of transactions.
pub(crate) const TX_PUBLISHER: u32 = 1000;

impl Id {
    /// `round.publisher.n.` and a filling that depends on all of them.
    pub(crate) fn body(self) -> Vec<u8> {
        let mut body = format!("{}.{}.{}.", self.round, self.publisher, self.n).into_bytes();
        let mix = self.n.wrapping_mul(2_654_435_761) ^ self.publisher ^ self.round;
        let filling = match mix % 100 {
            0 => 140_000, // more than a frame
            1..=4 => 5000,
            _ => mix % 60,
        };
        body.extend((0..filling).map(|i| (i.wrapping_add(mix) % 251) as u8));
        body
    }

    /// The message this body belongs to; panics when the body is not exactly what was published.
    pub(crate) fn of(body: &[u8]) -> Id {
        let mut parts = body.splitn(4, |byte| *byte == b'.');
        let mut number = || str::from_utf8(parts.next()?).ok()?.parse().ok();
        let id = (|| {
            Some(Id {
                round: number()?,
                publisher: number()?,
                n: number()?,
            })
        })();
        let id = id.unwrap_or_else(|| panic!("a body nobody published: {body:?}"));
        assert!(id.body() == body, "{id:?} came back damaged");
        id
    }
}
