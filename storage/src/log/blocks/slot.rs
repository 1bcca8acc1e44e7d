//! Where one message stands, in twelve bytes.

/// What a record has besides its weight, about: header, target, properties.
pub(super) const OVERHEAD: u64 = 64;
/// Bits of `place` that hold the offset, which is a multiple of 4.
const OFFSET_BITS: u32 = 29;

/// Where one message stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// 0: nothing live here.
    segment: u32,
    /// Offset of the record in units of 4; above it how many targets share the record.
    place: u32,
    weight: u32,
}

impl Slot {
    /// `sharers` as in [`crate::log::ops::sharers`].
    pub(crate) fn new(segment: u32, offset: u32, weight: u32, sharers: u8) -> Self {
        debug_assert!(segment != 0 && offset.is_multiple_of(4) && offset < 1 << 31);
        Self {
            segment,
            place: offset >> 2 | u32::from(sharers) << OFFSET_BITS,
            weight,
        }
    }

    pub(crate) fn live(self) -> bool {
        self.segment != 0
    }

    pub(crate) fn encode(self) -> [u8; 12] {
        let (segment, place) = (self.segment.to_le_bytes(), self.place.to_le_bytes());
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&segment);
        bytes[4..8].copy_from_slice(&place);
        bytes[8..].copy_from_slice(&self.weight.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; 12]) -> Self {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        Self {
            segment: word(0),
            place: word(4),
            weight: word(8),
        }
    }

    pub(crate) fn segment(self) -> u32 {
        self.segment
    }

    /// Where in the segment the record starts.
    pub(crate) fn offset(self) -> u32 {
        (self.place & ((1 << OFFSET_BITS) - 1)) << 2
    }

    /// As the caller gave it: bytes of the body.
    pub(crate) fn weight(self) -> u32 {
        self.weight
    }

    /// About how many bytes of the segment this target keeps.
    pub(crate) fn share(self) -> u64 {
        (u64::from(self.weight) + OVERHEAD) >> (self.place >> OFFSET_BITS)
    }
}
