//! Why a message would or would not reach a queue: each hop of its route with the verdict on every
//! binding. For people who ask, not for the publish path: it walks bindings one by one.

use std::collections::VecDeque;

use warren_amqp::{FieldTable, Properties, TableRef, table_from_fields};
use warren_exchanges::{Destination, ExchangeKind, ExchangeType, RoutingTable};

use crate::route::lookup;
use crate::vhost::Vhost;

/// Bindings listed per hop at most; those that match come first.
const BINDINGS_MAX: usize = 200;
/// Hops followed at most.
const HOPS_MAX: usize = 64;

/// A binding and whether it lets the message through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The queue or exchange it leads to.
    pub destination: String,
    /// Whether that is a queue.
    pub to_queue: bool,
    /// Its key.
    pub routing_key: String,
    /// Whether it matches.
    pub matched: bool,
    /// Why not, in words; empty when it matches.
    pub why: String,
}

/// One exchange on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its name; empty for the default exchange.
    pub exchange: String,
    /// Its type.
    pub kind: String,
    /// Its bindings, those that match first.
    pub bindings: Vec<Verdict>,
    /// What else there is to say, e.g. that it hands over to its alternate exchange.
    pub note: String,
}

/// The whole way of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The queues it reaches, by name.
    pub queues: Vec<String>,
    /// The exchanges it passes, in order.
    pub hops: Vec<Hop>,
}

impl Vhost {
    /// Follows a message with this exchange, key and headers through the vhost. An exchange that
    /// is missing is the only hop, with a note.
    pub fn explain(&self, exchange: &str, key: &str, headers: &FieldTable) -> Explanation {
        let table = table_from_fields(headers);
        let headers = TableRef::new(&table);
        let properties = Properties {
            headers: Some(headers),
            ..Properties::default()
        };
        let (found, _) = lookup(self, exchange, &[key], &properties);
        let mut queues: Vec<String> = found.routed().map(|q| q.name().to_owned()).collect();
        queues.sort_unstable();
        if exchange.is_empty() {
            let hops = vec![default_hop(key, !queues.is_empty())];
            return Explanation { queues, hops };
        }
        let mut hops: Vec<Hop> = Vec::new();
        let mut next = VecDeque::from([exchange.to_owned()]);
        while let Some(name) = next.pop_front() {
            if hops.len() == HOPS_MAX || hops.iter().any(|hop| hop.exchange == name) {
                continue;
            }
            let hop = self.hop(&name, key, headers, &queues);
            let onwards = hop.bindings.iter().filter(|b| b.matched && !b.to_queue);
            next.extend(onwards.map(|b| b.destination.clone()));
            if !hop.bindings.iter().any(|b| b.matched)
                && let Some(alternate) = self.exchange(&name).ok().and_then(|x| x.alternate.clone())
            {
                next.push_back(alternate);
            }
            hops.push(hop);
        }
        Explanation { queues, hops }
    }

    fn hop(&self, name: &str, key: &str, headers: TableRef<'_>, reached: &[String]) -> Hop {
        let Ok(exchange) = self.exchange(name) else {
            return Hop {
                exchange: name.to_owned(),
                kind: "missing".to_owned(),
                bindings: Vec::new(),
                note: "There is no such exchange.".to_owned(),
            };
        };
        let routes_as = ExchangeType::new(exchange.kind, &exchange.arguments)
            .map_or(exchange.kind, |found| found.routes_as());
        let mut bindings: Vec<Verdict> = self
            .routing()
            .bindings_from(name)
            .map(|binding| {
                let (destination, to_queue) = match binding.destination {
                    Destination::Queue(queue) => (queue.0.name().to_owned(), true),
                    Destination::Exchange(name) => (name.clone(), false),
                };
                let matched = alone(routes_as, binding.routing_key, binding.arguments, key, headers)
                    // Types that choose among their bindings: the choice was made above.
                    && (!to_queue || reached.contains(&destination));
                Verdict {
                    why: if matched {
                        String::new()
                    } else {
                        why_not(routes_as, binding.routing_key, key)
                    },
                    destination,
                    to_queue,
                    routing_key: binding.routing_key.to_owned(),
                    matched,
                }
            })
            .collect();
        bindings.sort_by(|a, b| {
            (!a.matched, &a.destination, &a.routing_key).cmp(&(
                !b.matched,
                &b.destination,
                &b.routing_key,
            ))
        });
        let total = bindings.len();
        bindings.truncate(BINDINGS_MAX);
        let mut note = match (&exchange.alternate, bindings.iter().any(|b| b.matched)) {
            (Some(alternate), false) => {
                format!("Nothing matches: goes on to its alternate exchange {alternate}.")
            }
            (None, false) => "Nothing matches.".to_owned(),
            _ => String::new(),
        };
        if total > BINDINGS_MAX {
            note.push_str(&format!(
                " {total} bindings; the first {BINDINGS_MAX} are shown."
            ));
        }
        Hop {
            exchange: name.to_owned(),
            kind: exchange.kind.to_string(),
            bindings,
            note,
        }
    }
}

fn default_hop(key: &str, found: bool) -> Hop {
    Hop {
        exchange: String::new(),
        kind: "direct".to_owned(),
        bindings: found
            .then(|| Verdict {
                destination: key.to_owned(),
                to_queue: true,
                routing_key: key.to_owned(),
                matched: true,
                why: String::new(),
            })
            .into_iter()
            .collect(),
        note: if found {
            String::new()
        } else {
            format!("There is no queue named \"{key}\".")
        },
    }
}

/// Whether a binding lets the message through when it is the only one of its exchange.
fn alone(
    kind: ExchangeKind,
    binding_key: &str,
    arguments: &FieldTable,
    key: &str,
    headers: TableRef<'_>,
) -> bool {
    let mut table = RoutingTable::new();
    table.add_exchange("x", kind, None);
    let bound = table.bind("x", Destination::Queue(0u8), binding_key, arguments);
    let mut found = Vec::new();
    if bound.is_ok() {
        table.route("x", &[key], Some(headers), &mut found);
    }
    !found.is_empty()
}

fn why_not(kind: ExchangeKind, binding_key: &str, key: &str) -> String {
    match kind {
        ExchangeKind::Direct => format!("\"{key}\" is not \"{binding_key}\""),
        ExchangeKind::Topic => topic_why_not(binding_key, key),
        ExchangeKind::Headers => "the headers do not fulfil its arguments".to_owned(),
        _ => "not chosen".to_owned(),
    }
}

/// The first word that differs, as far as `#` leaves words in their places.
fn topic_why_not(pattern: &str, key: &str) -> String {
    let mut words = key.split('.');
    for (index, wanted) in pattern.split('.').enumerate() {
        if wanted == "#" {
            return "the words around # do not fit".to_owned();
        }
        match words.next() {
            None => return format!("word {} is missing", index + 1),
            Some(word) if wanted != "*" && wanted != word => {
                return format!("word {}: \"{word}\" is not \"{wanted}\"", index + 1);
            }
            Some(_) => {}
        }
    }
    "the key has more words".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_which_word_differs() {
        for (pattern, key, why) in [
            ("a.*.c", "a.b.d", "word 3: \"d\" is not \"c\""),
            ("a.b", "a", "word 2 is missing"),
            ("a", "a.b", "the key has more words"),
            ("#.z", "a.b", "the words around # do not fit"),
        ] {
            assert_eq!(topic_why_not(pattern, key), why);
        }
    }

    #[test]
    fn a_binding_is_judged_alone() {
        let none = FieldTable::default();
        let judge =
            |kind, binding: &str, key: &str| alone(kind, binding, &none, key, TableRef::empty());
        assert!(judge(ExchangeKind::Topic, "a.#", "a.b.c"));
        assert!(!judge(ExchangeKind::Topic, "a.*", "a.b.c"));
        assert!(judge(ExchangeKind::Direct, "k", "k"));
        assert!(judge(ExchangeKind::Fanout, "", "k"));
    }
}
