//! Numbers with their rates: `x` beside `x_details`, and `message_stats` made of them.

use warren_broker::stats::{EVENTS, Event, History, Sampled, Window};

use super::json::{Json, Object};
use crate::http::{ApiError, Query};

/// Most samples of one number in an answer.
const SAMPLES_MAX: u64 = 500;

/// Which part of the past a request asks for, by kind of number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Windows {
    /// Of queue lengths, and of comings and goings.
    pub(crate) lengths: Option<Window>,
    /// Of `message_stats`.
    pub(crate) messages: Option<Window>,
    /// Of bytes sent and received.
    pub(crate) data: Option<Window>,
    /// Of the node's own numbers.
    pub(crate) node: Option<Window>,
}

impl Windows {
    /// From `<prefix>_age` and `<prefix>_incr`; half a pair counts for nothing.
    pub(crate) fn of(query: &Query) -> Result<Self, ApiError> {
        Ok(Self {
            lengths: window(query, "lengths_age", "lengths_incr")?,
            messages: window(query, "msg_rates_age", "msg_rates_incr")?,
            data: window(query, "data_rates_age", "data_rates_incr")?,
            node: window(query, "node_stats_age", "node_stats_incr")?,
        })
    }
}

fn window(query: &Query, age: &str, incr: &str) -> Result<Option<Window>, ApiError> {
    let given = query.get(age).zip(query.get(incr));
    let Some((age, incr)) = given else {
        return Ok(None);
    };
    let fine = match (age.parse::<u64>(), incr.parse::<u64>()) {
        (Ok(age_s), Ok(incr_s)) if incr_s > 0 && age_s / incr_s <= SAMPLES_MAX => {
            Some(Window { age_s, incr_s })
        }
        _ => None,
    };
    match fine {
        Some(window) => Ok(Some(window)),
        None => Err(ApiError::bad_request(format!(
            "Invalid range parameters: age {age}, incr {incr}"
        ))),
    }
}

/// The details of one number: its rate, and samples when a window was asked for.
pub(crate) fn details(rate: f64, history: Option<(&History, usize)>) -> Object {
    let mut details = Object::new();
    details.put("rate", rate);
    let Some((history, index)) = history else {
        return details;
    };
    let values = history.column(index);
    let times = history.timestamps.iter();
    let samples: Vec<Json> = values
        .clone()
        .zip(times)
        .map(|(value, time)| {
            let mut sample = Object::new();
            sample.put("sample", value);
            sample.put("timestamp", *time);
            sample.into()
        })
        .collect();
    let n = samples.len().max(1) as f64;
    let newest = values.clone().next().unwrap_or_default();
    let oldest = values.clone().last().unwrap_or_default();
    let stamps = &history.timestamps;
    let span_ms = stamps.first().zip(stamps.last()).map(|(a, b)| a - b);
    let avg_rate = match span_ms {
        Some(ms) if ms > 0 => newest.wrapping_sub(oldest) as i64 as f64 * 1000.0 / ms as f64,
        _ => 0.0,
    };
    details.put("samples", samples);
    details.put("avg_rate", avg_rate);
    details.put("avg", values.map(|value| value as f64).sum::<f64>() / n);
    details
}

/// Adds `names[i]` and its details for numbers `first + i` of `object`. The values are those of
/// now.
pub(crate) fn put_numbers<const N: usize>(
    into: &mut Object,
    object: &dyn Sampled,
    window: Option<Window>,
    first: usize,
    numbers: [(&'static str, u64); N],
) {
    let rates = object
        .track()
        .rates(std::array::from_fn::<_, N, _>(|index| first + index));
    let history = window.map(|window| object.track().history(object, window));
    for (index, ((name, value), rate)) in numbers.into_iter().zip(rates).enumerate() {
        let samples = history.as_ref().map(|history| (history, first + index));
        into.put(name, value);
        into.put(details_name(name), details(rate, samples));
    }
}

/// Counters that appear together as soon as one of them is not zero.
pub(crate) type Family = &'static [Event];

/// What publishers do.
pub(crate) const FINE: Family = &[
    Event::Confirm,
    Event::DropUnroutable,
    Event::Publish,
    Event::ReturnUnroutable,
];

/// What reaches a queue.
pub(crate) const PUBLISH: Family = &[Event::Publish];

/// What publishers and the disk do: of the node, which shows both at once.
pub(crate) const FINE_AND_DISK: Family = &[
    Event::Confirm,
    Event::DropUnroutable,
    Event::Publish,
    Event::ReturnUnroutable,
    Event::DiskReads,
    Event::DiskWrites,
];

/// What consumers do; `deliver_get` is their sum.
pub(crate) const DELIVER: Family = &[
    Event::Ack,
    Event::Deliver,
    Event::DeliverNoAck,
    Event::Get,
    Event::GetEmpty,
    Event::GetNoAck,
    Event::Redeliver,
];

/// What the disk does.
pub(crate) const DISK: Family = &[Event::DiskReads, Event::DiskWrites];

/// What `deliver_get` adds up.
pub(crate) const DELIVERED: [Event; 4] = [
    Event::Deliver,
    Event::DeliverNoAck,
    Event::Get,
    Event::GetNoAck,
];

/// `message_stats`: none while nothing has happened. The first numbers of `object` must be its
/// events.
pub(crate) fn message_stats(
    object: &dyn Sampled,
    counts: &[u64; EVENTS],
    families: &[Family],
    window: Option<Window>,
) -> Option<Object> {
    let happened = |family: &&Family| family.iter().any(|event| counts[*event as usize] > 0);
    let families: Vec<&Family> = families.iter().filter(happened).collect();
    if families.is_empty() {
        return None;
    }
    let rates = object
        .track()
        .rates(std::array::from_fn::<_, EVENTS, _>(|i| i));
    let history = window.map(|window| object.track().history(object, window));
    let mut stats = Object::new();
    for family in families {
        for event in *family {
            let index = *event as usize;
            let samples = history.as_ref().map(|history| (history, index));
            stats.put(event.name(), counts[index]);
            stats.put(details_name(event.name()), details(rates[index], samples));
        }
        if family.contains(&Event::Deliver) {
            let sum = |of: &dyn Fn(usize) -> f64| DELIVERED.iter().map(|e| of(*e as usize)).sum();
            stats.put("deliver_get", delivered(counts));
            let samples = history.as_ref().map(sum_of_delivered);
            stats.put(
                "deliver_get_details",
                details(sum(&|i| rates[i]), samples.as_ref().map(|sum| (sum, 0))),
            );
        }
    }
    Some(stats)
}

/// Messages that left for a consumer in any way.
pub(crate) fn delivered(counts: &[u64; EVENTS]) -> u64 {
    DELIVERED.iter().map(|event| counts[*event as usize]).sum()
}

fn sum_of_delivered(history: &History) -> History {
    let columns = DELIVERED.map(|event| history.column(event as usize).collect::<Vec<_>>());
    let rows = (0..history.timestamps.len()).map(|row| columns.iter().map(|c| c[row]).sum());
    History::new(history.timestamps.clone(), rows.collect(), 1)
}

/// `x_details` for `x`.
fn details_name(name: &'static str) -> std::borrow::Cow<'static, str> {
    // Those of every object in a list are not made anew each time.
    macro_rules! known {
        ($($name:literal)*) => {
            match name {
                $($name => concat!($name, "_details").into(),)*
                other => format!("{other}_details").into(),
            }
        };
    }
    known!("messages" "messages_ready" "messages_unacknowledged" "reductions" "recv_oct" "send_oct"
        "publish" "publish_in" "publish_out" "confirm" "return_unroutable" "drop_unroutable"
        "deliver" "deliver_no_ack" "deliver_get" "get" "get_no_ack" "get_empty" "redeliver" "ack"
        "disk_reads" "disk_writes")
}
