//! What to do: the flags, and the scenarios, which are flags with a name.

use clap::{Parser, builder::PossibleValuesParser, value_parser};

/// What keeps messages safe.
macro_rules! safe {
    ($more:literal) => {
        concat!(
            "--persistent --durable --manual-ack --prefetch 1000 ",
            $more
        )
    };
}

const SCENARIOS: [(&str, &str); 12] = [
    ("transient-16", "--size 16"),
    ("transient-1k", "--size 1024"),
    ("confirmed-1000", safe!("--size 1024 --confirm 1000")),
    ("confirmed-1", safe!("--size 1024 --confirm 1")),
    (
        "fanout-10",
        "--size 128 --fanout 10 --consumers 10 --max-ahead 10000",
    ),
    ("topic-1000", "--size 128 --topic 1000 --max-ahead 10000"),
    (
        "many-to-one",
        "--size 128 --producers 10 --consumers 10 --manual-ack --prefetch 500",
    ),
    ("queues-4", "--queues 4 --producers 4 --consumers 4"),
    ("queues-100", "--queues 100 --producers 100 --consumers 100"),
    ("keys-10000", "--topic 10000 --keys 10000 --max-ahead 10000"),
    ("latency-5000", "--size 128 --rate 5000"),
    (
        "backlog",
        safe!("--backlog 1000000 --size 128 --confirm 1000"),
    ),
];

/// Routing keys have five digits.
const KEYS_MAX: i64 = 100_000;

/// The program's name in messages.
pub(crate) const NAME: &str = "warren perf";

/// Loads an AMQP 0-9-1 broker, checks every delivery, prints rates and what they cost.
#[derive(Debug, Parser)]
#[command(name = "warren perf", version, args_override_self = true)]
pub(crate) struct Plan {
    /// The broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    pub(crate) addr: String,
    /// User and password
    #[arg(long, value_name = "USER:PASSWORD", default_value = "guest:guest")]
    pub(crate) login: String,
    /// Keep trying to log in for so many seconds
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) wait: u32,
    /// Process of the broker, to measure its CPU time and memory; several: 12,13
    #[arg(long, value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// Begin with the flags of a scenario; those given besides count more
    #[arg(long, value_name = "NAME", value_parser = names())]
    pub(crate) scenario: Option<String>,
    /// Bytes of a body, at least the 16 of its stamp
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(16..1 << 27))]
    pub(crate) size: u32,
    /// Publish persistent messages
    #[arg(long)]
    pub(crate) persistent: bool,
    /// Declare durable queues
    #[arg(long)]
    pub(crate) durable: bool,
    /// Publisher confirms, and how many unconfirmed messages a producer may have; 0 = none
    #[arg(long, value_name = "WINDOW", default_value_t = 0)]
    pub(crate) confirm: u16,
    /// Messages a second each producer sends at most; 0 = as many as it can
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rate: u32,
    /// Queues, each with producers and consumers of its own in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) queues: u16,
    /// With --manual-ack: acknowledge only every so many deliveries; 0 = after each read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) ack_batch: u32,
    /// No progress line
    #[arg(long, short = 'q')]
    pub(crate) quiet: bool,
    /// Acknowledge deliveries: after each read from the socket, all it brought
    #[arg(long)]
    pub(crate) manual_ack: bool,
    /// Unacknowledged deliveries a consumer may have; 0 = any number
    #[arg(long, default_value_t = 0)]
    pub(crate) prefetch: u16,
    /// Connections that publish
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) producers: u16,
    /// Connections that consume; at least one per queue
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) consumers: u16,
    /// Publish to a fanout exchange with so many queues; 0 = to one queue
    #[arg(long, value_name = "QUEUES", default_value_t = 0)]
    pub(crate) fanout: u16,
    /// Publish to a topic exchange with so many bindings, one of which matches; 0 = to one queue
    #[arg(long, value_name = "BINDINGS", default_value_t = 0)]
    pub(crate) topic: u32,
    /// With --topic: publish with so many routing keys in turn, each matched by a binding
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=KEYS_MAX))]
    pub(crate) keys: u32,
    /// Publish no further than so many messages ahead of the slowest queue; 0 = any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_ahead: u64,
    /// Publish so many messages and only then consume them; 0 = both at once, for a while
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) backlog: u64,
    /// Seconds to measure
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) duration: u32,
    /// Seconds under load before that
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) warmup: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SCENARIOS.map(|scenario| scenario.0))
}

impl Plan {
    /// The plan of a command line. What is not a plan comes back as clap's error.
    pub(crate) fn from_flags(mut flags: Vec<String>) -> Result<Plan, clap::Error> {
        let given = Plan::try_parse_from(&flags)?;
        let named = SCENARIOS
            .iter()
            .find(|s| Some(s.0) == given.scenario.as_deref());
        let preset = named.map_or("", |s| s.1).split_whitespace();
        flags.splice(1..1, preset.map(str::to_owned));
        let plan = Plan::try_parse_from(&flags)?;
        let text = if plan.consumers < plan.queues() {
            "each queue needs a consumer"
        } else if plan.queues > 1 && plan.fanout > 0 {
            "--queues and --fanout exclude each other"
        } else if plan.queues > 1 && plan.producers < plan.queues {
            "each queue needs a producer"
        } else if plan.topic > 0 && plan.fanout > 0 {
            "--topic and --fanout exclude each other"
        } else if plan.topic > 0 && plan.topic < u32::from(plan.queues) {
            "each queue needs a binding"
        } else if plan.keys > 1 && (plan.topic < plan.keys || plan.queues > 1) {
            "--keys needs as many bindings, and one queue"
        } else if plan.backlog > 0 && plan.max_ahead > 0 {
            "--max-ahead with --backlog would never end"
        } else {
            return Ok(plan);
        };
        Err(clap::Error::raw(
            clap::error::ErrorKind::ValueValidation,
            format!("{text}\n"),
        ))
    }

    /// Whether messages of this producer go to this queue.
    pub(crate) fn feeds(&self, producer: usize, queue: usize) -> bool {
        self.fanout > 0 || producer % usize::from(self.queues) == queue
    }

    /// The type of the exchange published to, if it is not the default one.
    pub(crate) fn exchange_type(&self) -> Option<&'static str> {
        match (self.fanout, self.topic) {
            (0, 0) => None,
            (0, _) => Some("topic"),
            _ => Some("fanout"),
        }
    }

    /// How many queues there are.
    pub(crate) fn queues(&self) -> u16 {
        self.fanout.max(self.queues)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: &str) -> Option<Plan> {
        let all = format!("warren-bench {flags}");
        Plan::from_flags(all.split_whitespace().map(str::to_owned).collect()).ok()
    }

    #[test]
    fn scenarios_are_plans_that_flags_change() {
        for (name, _) in SCENARIOS {
            assert!(plan(&format!("--scenario {name}")).is_some(), "{name}");
        }
        let changed = plan("--scenario confirmed-1000 --confirm 10 --pid 4,5").unwrap();
        assert_eq!(
            (changed.confirm, changed.size, changed.persistent),
            (10, 1024, true)
        );
        assert_eq!(changed.pid, [4, 5]);
        for wrong in [
            "--size 15",
            "--fanout 2",
            "--queues 2 --consumers 2",
            "--queues 2 --producers 2",
            "--duration 0",
            "--backlog 5 --max-ahead 1",
            "--topic 5 --fanout 1",
            "--topic 1 --queues 2 --producers 2 --consumers 2",
            "--keys 2",
            "--topic 2 --keys 3",
            "--topic 4 --keys 4 --queues 2 --producers 2 --consumers 2",
        ] {
            assert!(plan(wrong).is_none(), "{wrong}");
        }
    }
}
