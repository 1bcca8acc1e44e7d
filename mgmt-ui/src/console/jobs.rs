//! `/api/console/jobs`: replaying a queue's messages to where they came from, or elsewhere, with a
//! filter, a limit, a rate, a dry run, progress and a stop.
//!
//! A message leaves the queue only when its copy is on disk: whatever stops a job in between, or
//! kills the broker, duplicates at most the message in hand. A job goes through what was in the
//! queue when it began, so that messages which come back do not go round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;
use warren_broker::message::Message;
use warren_broker::{Broker, Glance, Queue, Session, Turn, Vhost};

use super::filter::Filter;
use super::message_json::{origin, parse};
use super::messages::publish;
use crate::Context;
use crate::act::{new_turn, now_ms, session};
use crate::http::{ApiError, Body, Fields, Manager, Path};

/// Jobs that are remembered; the oldest finished one is forgotten first.
const JOBS_MAX: usize = 100;
/// Jobs that may run at a time.
const RUNNING_MAX: usize = 4;
/// Messages looked at in one go.
const PAGE: usize = 200;
/// Bytes read from the log in one go.
const PAGE_BYTES: usize = 4 << 20;
/// Destinations counted one by one.
const DESTINATIONS_MAX: usize = 50;
/// The header a replayed message may carry.
const MARK: &str = "x-replayed";

/// Where a job's messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    /// To the exchange and key of the first death.
    Origin,
    /// There; without a key, each keeps its own.
    Fixed(String, Option<String>),
}

/// What is to be done.
struct Plan {
    vhost: String,
    queue: String,
    filter: Filter,
    destination: Destination,
    limit: u64,
    rate: u64,
    dry_run: bool,
    mark: bool,
}

/// A job, running or over.
pub(crate) struct Job {
    id: u64,
    owner: String,
    plan: Plan,
    total: AtomicU64,
    done: AtomicU64,
    skipped: AtomicU64,
    stop: AtomicBool,
    /// The state's name and, when it failed, why.
    ended: Mutex<Option<(&'static str, Option<String>)>>,
    destinations: Mutex<BTreeMap<(String, String), u64>>,
}

/// All jobs.
#[derive(Default)]
pub(crate) struct Jobs {
    next: AtomicU64,
    list: Mutex<BTreeMap<u64, Arc<Job>>>,
}

impl Job {
    fn running(&self) -> bool {
        self.ended.lock().is_none()
    }

    fn describe(&self) -> Value {
        let (state, error) = self.ended.lock().clone().unwrap_or(("running", None));
        let destinations: Vec<Value> = self
            .destinations
            .lock()
            .iter()
            .map(|((exchange, key), count)| {
                json!({ "exchange": exchange, "routing_key": key, "count": count })
            })
            .collect();
        json!({
            "id": self.id.to_string(),
            "kind": "replay",
            "user": self.owner,
            "vhost": self.plan.vhost,
            "queue": self.plan.queue,
            "state": state,
            "error": error,
            "dry_run": self.plan.dry_run,
            "total": self.total.load(Ordering::Relaxed),
            "done": self.done.load(Ordering::Relaxed),
            "skipped": self.skipped.load(Ordering::Relaxed),
            "destinations": destinations,
        })
    }

    /// Where this message is to go, if anywhere.
    fn destination_of(&self, message: &Message) -> Option<(String, String)> {
        if !self.plan.filter.fits(message) {
            return None;
        }
        match &self.plan.destination {
            Destination::Origin => origin(&parse(message)).map(|o| (o.exchange, o.routing_key)),
            Destination::Fixed(exchange, key) => {
                let key = key
                    .clone()
                    .unwrap_or_else(|| message.routing_key().to_owned());
                Some((exchange.clone(), key))
            }
        }
    }

    fn count(&self, to: (String, String)) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let mut destinations = self.destinations.lock();
        let to = if destinations.contains_key(&to) || destinations.len() < DESTINATIONS_MAX {
            to
        } else {
            ("…".to_owned(), "others".to_owned())
        };
        *destinations.entry(to).or_default() += 1;
    }

    /// Whether to go on after so many messages since `start`; waits when that is too fast.
    fn go_on(&self, start: Instant) -> bool {
        let done = self.done.load(Ordering::Relaxed);
        while self.plan.rate > 0 && !self.stop.load(Ordering::Relaxed) {
            let due = Duration::from_secs_f64(done as f64 / self.plan.rate as f64);
            let Some(left) = due
                .checked_sub(start.elapsed())
                .filter(|left| !left.is_zero())
            else {
                break;
            };
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        !self.stop.load(Ordering::Relaxed) && done < self.plan.limit
    }

    fn run(&self, broker: &Broker, vhost: &Vhost, session: &mut Session) -> Result<(), ApiError> {
        let queue = vhost.readable_queue(session, &self.plan.queue)?;
        self.total
            .store(queue.depth().ready as u64, Ordering::Relaxed);
        let last = newest(broker, &queue)?;
        let start = Instant::now();
        let mut from = 0;
        while from <= last && self.go_on(start) {
            let glance = Glance {
                from: Some(from),
                newest_first: false,
                messages: PAGE,
                bytes: PAGE_BYTES,
            };
            let seen = queue.browse(broker.log(), &glance).map_err(unreadable)?;
            let Some(newest) = seen.last().map(|browsed| browsed.seq) else {
                break;
            };
            for browsed in seen.iter().filter(|browsed| browsed.seq <= last) {
                if !self.go_on(start) {
                    return Ok(());
                }
                match self.destination_of(&browsed.message) {
                    None => {
                        self.skipped.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(to) if self.plan.dry_run => self.count(to),
                    Some(to) => self.replay(broker, vhost, session, &queue, browsed.seq, to)?,
                }
            }
            from = newest + 1;
        }
        Ok(())
    }

    fn replay(
        &self,
        broker: &Broker,
        vhost: &Vhost,
        session: &mut Session,
        queue: &Arc<Queue>,
        seq: u64,
        to: (String, String),
    ) -> Result<(), ApiError> {
        let mut turn = Turn::new(now_ms());
        let picked = queue
            .pick(broker.log(), &[seq], &mut turn)
            .map_err(unreadable)?;
        let mut result = Ok(());
        for entry in picked {
            let mark = self.plan.mark.then_some(MARK);
            let message = &entry.message;
            result = publish(
                broker,
                vhost,
                session,
                &mut turn,
                (&to.0, &to.1),
                message,
                mark,
            );
            if result.is_ok() {
                queue.ack(None, &[entry], &mut turn);
                self.count(to.clone());
            } else {
                queue.requeue(None, vec![entry], &mut turn);
            }
        }
        broker.finish(&mut turn);
        result
    }
}

fn newest(broker: &Broker, queue: &Queue) -> Result<u64, ApiError> {
    let glance = Glance {
        from: None,
        newest_first: true,
        messages: 1,
        bytes: PAGE_BYTES,
    };
    let seen = queue.browse(broker.log(), &glance).map_err(unreadable)?;
    Ok(seen.first().map_or(0, |browsed| browsed.seq))
}

fn unreadable(error: impl std::fmt::Display) -> ApiError {
    tracing::error!(%error, "messages cannot be read");
    ApiError::Internal
}

fn plan(fields: &Fields) -> Result<Plan, ApiError> {
    fields.require(&["vhost", "queue", "destination"])?;
    let destination = match fields.value("destination") {
        Some(Value::String(text)) if text == "origin" => Destination::Origin,
        Some(Value::Object(object)) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
            let exchange = text("exchange")
                .ok_or_else(|| ApiError::bad_request("destination.exchange is missing"))?;
            Destination::Fixed(exchange, text("routing_key"))
        }
        _ => {
            return Err(ApiError::bad_request(
                "destination is \"origin\" or an object",
            ));
        }
    };
    let positive = |name: &str| -> Result<Option<u64>, ApiError> {
        let number = fields.integer(name)?;
        number
            .map(|number| {
                u64::try_from(number)
                    .map_err(|_| ApiError::bad_request(format!("{name} is negative")))
            })
            .transpose()
    };
    let text = |name: &str| {
        fields
            .text(name)
            .map(|text| text.unwrap_or_default().to_owned())
    };
    Ok(Plan {
        vhost: text("vhost")?,
        queue: text("queue")?,
        filter: Filter::parse(&text("filter")?).map_err(ApiError::bad_request)?,
        destination,
        limit: positive("limit")?.unwrap_or(u64::MAX),
        rate: positive("rate")?.unwrap_or(0),
        dry_run: fields.boolean("dry_run", false)?,
        mark: fields.boolean("mark", false)?,
    })
}

/// Starts a job and answers with it.
pub(crate) async fn start(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Body(fields): Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let plan = plan(&fields)?;
    let vhost = ctx.broker.vhost(&plan.vhost).ok_or(ApiError::NotFound)?;
    let mut session = session(&ctx.broker, user.clone(), &vhost)?;
    // What cannot be done at all is refused before anything runs.
    vhost.readable_queue(&mut session, &plan.queue)?;
    if let Destination::Fixed(exchange, _) = &plan.destination
        && !exchange.is_empty()
    {
        vhost.exchange(exchange)?;
    }
    let details = match (plan.dry_run, &plan.destination) {
        (true, _) => None,
        (_, Destination::Origin) => Some("to where each came from".to_owned()),
        (_, Destination::Fixed(exchange, _)) => Some(format!("to exchange \"{exchange}\"")),
    };
    if let Some(details) = details {
        let place = (&**vhost.name(), plan.queue.as_str());
        let turn = new_turn();
        ctx.broker
            .note_action("replay.started", place, details, &turn);
    }
    let job = ctx.console.jobs.add(&user, plan)?;
    let (broker, running) = (Arc::clone(&ctx.broker), Arc::clone(&job));
    let spawned = std::thread::Builder::new()
        .name("replay".to_owned())
        .spawn(move || {
            let result = running.run(&broker, &vhost, &mut session);
            let ended = match result {
                Err(error) => ("failed", Some(error.reason())),
                Ok(()) if running.stop.load(Ordering::Relaxed) => ("stopped", None),
                Ok(()) => ("done", None),
            };
            *running.ended.lock() = Some(ended);
        });
    if let Err(error) = spawned {
        *job.ended.lock() = Some(("failed", Some(error.to_string())));
    }
    Ok((StatusCode::CREATED, Json(job.describe())))
}

impl Jobs {
    fn add(&self, user: &AuthenticatedUser, plan: Plan) -> Result<Arc<Job>, ApiError> {
        let mut list = self.list.lock();
        if list.values().filter(|job| job.running()).count() >= RUNNING_MAX {
            return Err(ApiError::bad_request(format!(
                "{RUNNING_MAX} jobs are running already"
            )));
        }
        if list.len() >= JOBS_MAX
            && let Some(id) = list
                .iter()
                .find(|(_, job)| !job.running())
                .map(|(id, _)| *id)
        {
            list.remove(&id);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Arc::new(Job {
            id,
            owner: user.name.clone(),
            plan,
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            ended: Mutex::new(None),
            destinations: Mutex::new(BTreeMap::new()),
        });
        list.insert(id, Arc::clone(&job));
        Ok(job)
    }

    /// The job, if the user may see it: their own, or any for an administrator.
    fn find(&self, user: &AuthenticatedUser, id: &str) -> Result<Arc<Job>, ApiError> {
        let id: u64 = id.parse().map_err(|_| ApiError::NotFound)?;
        let job = self
            .list
            .lock()
            .get(&id)
            .cloned()
            .ok_or(ApiError::NotFound)?;
        if job.owner != user.name && !user.is_administrator() {
            return Err(ApiError::NotFound);
        }
        Ok(job)
    }
}

/// All jobs the user may see, newest first.
pub(crate) async fn list(State(ctx): State<Context>, Manager(user): Manager) -> Json<Value> {
    let jobs = ctx.console.jobs.list.lock();
    let seen = jobs
        .values()
        .rev()
        .filter(|job| job.owner == user.name || user.is_administrator());
    Json(json!({ "items": seen.map(|job| job.describe()).collect::<Vec<_>>() }))
}

/// One job.
pub(crate) async fn one(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(ctx.console.jobs.find(&user, &id)?.describe()))
}

/// Stops a job after the message in hand.
pub(crate) async fn stop(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let job = ctx.console.jobs.find(&user, &id)?;
    job.stop.store(true, Ordering::Relaxed);
    Ok(StatusCode::NO_CONTENT)
}
