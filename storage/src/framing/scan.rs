//! Walks the records of a file and finds its way after a bad one.

use super::record::{ALIGN, Check, FileSeal, check};

/// What stands in a file, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole record.
    Record {
        offset: usize,
        kind: u8,
        body: &'a [u8],
    },
    /// Bytes that are no record, with a good record after them.
    Damage { offset: usize, len: usize },
    /// Bytes that are no record, up to the end of the file.
    Tail { offset: usize, len: usize },
}

/// Calls `found` for everything from `start` (a multiple of 4) to the end of `bytes`, which is
/// the whole file.
pub(crate) fn scan<'a>(
    bytes: &'a [u8],
    start: usize,
    seal: FileSeal,
    found: &mut dyn FnMut(Found<'a>),
) {
    let mut at = start;
    while at < bytes.len() {
        match check(bytes, at, seal) {
            Check::Good { kind, body, next } => {
                found(Found::Record {
                    offset: at,
                    kind,
                    body: &bytes[body],
                });
                at = next;
            }
            bad => match next_good(bytes, at, &bad, seal) {
                Some(next) => {
                    found(Found::Damage {
                        offset: at,
                        len: next - at,
                    });
                    at = next;
                }
                None => {
                    found(Found::Tail {
                        offset: at,
                        len: bytes.len() - at,
                    });
                    return;
                }
            },
        }
    }
}

/// The next offset with a good record. A header that checks out is believed about its length
/// only if a good record follows, since damage may have hit more than the body.
fn next_good(bytes: &[u8], at: usize, bad: &Check, seal: FileSeal) -> Option<usize> {
    let is_good = |at: &usize| matches!(check(bytes, *at, seal), Check::Good { .. });
    if let Check::BadBody { next } = bad
        && is_good(next)
    {
        return Some(*next);
    }
    (at + ALIGN..bytes.len()).step_by(ALIGN).find(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::StorageId;
    use crate::framing::record::{RECORD_HEADER, begin, finish, seal_all};
    use crate::framing::{FileType, Seal};

    const START: usize = 64;

    fn seal(number: u64) -> FileSeal {
        Seal::new(StorageId(*b"0123456789abcdef")).file(FileType::Segment, number)
    }

    /// A file of `bodies`, each a record of kind 1, and where each record starts.
    fn file(bodies: &[&[u8]], number: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (vec![0; START], Vec::new());
        for body in bodies {
            let start = begin(&mut bytes, 1);
            bytes.extend_from_slice(body);
            finish(&mut bytes, start);
            starts.push(start);
        }
        seal_all(&mut bytes[START..], seal(number), START as u64);
        (bytes, starts)
    }

    fn bodies_and_rest(bytes: &[u8], number: u64) -> (Vec<Vec<u8>>, Vec<Found<'_>>) {
        let (mut bodies, mut rest) = (Vec::new(), Vec::new());
        scan(bytes, START, seal(number), &mut |found| match found {
            Found::Record { body, .. } => bodies.push(body.to_vec()),
            other => rest.push(other),
        });
        (bodies, rest)
    }

    #[test]
    fn every_flipped_bit_costs_one_record() {
        let bodies: [&[u8]; 4] = [b"one", b"", b"three three", b"four"];
        let (good, starts) = file(&bodies, 1);
        assert_eq!(bodies_and_rest(&good, 1).0, bodies);
        for bit in START * 8..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hit = starts.iter().rposition(|start| *start <= bit / 8).unwrap();
            let (left, rest) = bodies_and_rest(&bytes, 1);
            let expected: Vec<_> = (0..4).filter(|i| *i != hit).map(|i| bodies[i]).collect();
            assert_eq!(left, expected, "bit {bit}");
            let end = starts.get(hit + 1).copied().unwrap_or(good.len());
            let (offset, len) = (starts[hit], end - starts[hit]);
            let lost = match hit {
                3 => Found::Tail { offset, len },
                _ => Found::Damage { offset, len },
            };
            assert_eq!(rest, [lost], "bit {bit}");
        }
    }

    #[test]
    fn every_cut_leaves_the_whole_records() {
        let (good, starts) = file(&[b"one", b"two2", b"three"], 1);
        for len in START..good.len() {
            let (bodies, rest) = bodies_and_rest(&good[..len], 1);
            let whole = starts.iter().filter(|start| **start <= len).count() - 1;
            assert_eq!(bodies.len(), whole, "{len}");
            let torn = len - starts[whole];
            assert_eq!(rest.len(), usize::from(torn > 0), "{len}");
        }
    }

    #[test]
    fn a_record_inside_a_body_is_not_one() {
        // The body is a whole valid file, aligned as in its own file: everything but the place
        // is right. Then the outer record is damaged, so that the scan walks through the body.
        let (inner, _) = file(&[b"forged"], 1);
        let (mut bytes, starts) = file(&[&inner[START..], b"next"], 1);
        bytes[starts[0]] ^= 0x40;
        assert_eq!(bodies_and_rest(&bytes, 1).0, [b"next"]);
        // The same bytes as another file of the storage: nothing is valid.
        let (bytes, _) = file(&[b"one", b"two"], 1);
        assert_eq!(bodies_and_rest(&bytes, 2).0.len(), 0);
    }

    #[test]
    fn zeros_are_no_records() {
        let (mut bytes, _) = file(&[b"one"], 1);
        let end = bytes.len();
        bytes.resize(end + 100, 0);
        let (bodies, rest) = bodies_and_rest(&bytes, 1);
        assert_eq!(bodies.len(), 1);
        assert_eq!(
            rest,
            [Found::Tail {
                offset: end,
                len: 100
            }]
        );
        assert_eq!(RECORD_HEADER % ALIGN, 0);
    }
}
