//! A dead message on its way through queues that dead-letter to each other (row Q-71).

use proptest::prelude::*;
use warren_amqp::{Properties, encode_content_header};

use super::{Death, DeathReason, dead_letter_header, is_cycle};

/// How often a message moves on, at most `limit` times, when queue `i` gives its dead to
/// `next[i]` and they die there for the reasons in turn.
fn hops(next: &[usize], reasons: &[DeathReason], limit: usize) -> usize {
    let names: Vec<String> = (0..next.len()).map(|n| format!("q{n}")).collect();
    let mut header = encode_content_header(0, &Properties::default());
    let mut at = 0;
    for hop in 0..limit {
        let death = Death {
            queue: &names[at],
            reason: reasons[hop % reasons.len()],
            time: hop as u64,
            exchange: "",
            routing_key: &names[at],
            has_dead_letter_key: false,
        };
        header = dead_letter_header(&header, &death).unwrap();
        if is_cycle(&header, &names[next[at]]) {
            return hop;
        }
        at = next[at];
    }
    limit
}

fn reason() -> impl Strategy<Value = DeathReason> {
    prop_oneof![
        Just(DeathReason::Expired),
        Just(DeathReason::MaxLen),
        Just(DeathReason::DeliveryLimit),
    ]
}

proptest! {
    /// However the queues are connected and whyever it dies, a message that nobody rejects sees
    /// every queue once.
    #[test]
    fn q71_nothing_goes_round_by_itself(
        next in prop::collection::vec(0usize..8, 1..8),
        reasons in prop::collection::vec(reason(), 1..6),
    ) {
        let next: Vec<usize> = next.iter().map(|to| to % next.len()).collect();
        prop_assert!(hops(&next, &reasons, 100) < next.len());
    }

    /// A consumer that rejects it each time round keeps it going.
    #[test]
    fn q71_rejecting_keeps_a_message_going(len in 1usize..6, reasons in prop::collection::vec(reason(), 0..5)) {
        let ring: Vec<usize> = (0..len).map(|at| (at + 1) % len).collect();
        let mut all: Vec<DeathReason> = reasons.into_iter().take(len - 1).collect();
        all.resize(len - 1, DeathReason::Expired);
        all.push(DeathReason::Rejected);
        prop_assert_eq!(hops(&ring, &all, 50), 50);
    }
}
