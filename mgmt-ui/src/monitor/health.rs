//! `GET /api/health/checks/...`: is the node fit to take messages, to be stopped, to be reached?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::listeners;
use crate::Context;
use crate::http::{ApiError, Manager, MemberVhost, Path, Routes};
use crate::view::{Json, Object};

pub(super) fn routes() -> Routes {
    let checks = Routes::new("Health checks")
        .get("/health/checks/alarms", "No alarm in the cluster", alarms)
        .get(
            "/health/checks/local-alarms",
            "No alarm on this node",
            local_alarms,
        )
        .get(
            "/health/checks/port-listener/{port}",
            "Something listens on the port",
            port,
        )
        .get(
            "/health/checks/protocol-listener/{protocols}",
            "The protocols are served",
            protocols,
        )
        .get(
            "/health/checks/virtual-hosts",
            "All vhosts are running",
            vhosts,
        );
    let alone = [
        "/health/checks/node-is-quorum-critical",
        "/health/checks/node-is-mirror-sync-critical",
    ];
    let checks = alone.into_iter().fold(checks, |checks, path| {
        checks.get(path, "Nothing depends on this node alone", single_node)
    });
    let always = [
        "/health/checks/quorum-queues-without-elected-leaders/all-vhosts",
        "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}",
        "/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}",
        "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}",
        "/health/checks/metadata-store/initialized",
        "/health/checks/metadata-store/initialized/with-data",
    ];
    let checks = always.into_iter().fold(checks, |checks, path| {
        checks.get(path, "True of a node that answers", fine)
    });
    let ready = [
        "/health/checks/is-in-service",
        "/health/checks/ready-to-serve-clients",
    ];
    let checks = ready.into_iter().fold(checks, |checks, path| {
        checks.get(path, "Ready for clients", in_service).public()
    });
    let complete = [
        "/health/checks/below-node-connection-limit",
        "/health/checks/reached-target-cluster-size",
    ];
    let checks = complete.into_iter().fold(checks, |checks, path| {
        checks.get(path, "Ready for clients", ready_alone).public()
    });
    checks
        .get("/healthchecks/node", "The node as a whole", old_check)
        .get(
            "/healthchecks/node/{name}",
            "A node as a whole",
            old_check_of,
        )
        .get(
            "/aliveness-test/{vhost}",
            "The vhost can be used",
            aliveness,
        )
}

/// 200 with a status of `ok`.
pub(super) fn ok() -> Response {
    let mut answer = Object::new();
    answer.put("status", "ok");
    Json::from(answer).into_response()
}

fn ok_with(name: &'static str, value: impl Into<Json>) -> Response {
    let mut answer = Object::new();
    answer.put("status", "ok");
    answer.put(name, value);
    Json::from(answer).into_response()
}

/// 503 with a status of `failed`, the reason and what else there is to say.
pub(super) fn failed(reason: impl Into<Json>, more: Object) -> Response {
    let mut answer = Object::new();
    answer.put("status", "failed");
    answer.put("reason", reason);
    answer.append(more);
    (StatusCode::SERVICE_UNAVAILABLE, Json::from(answer)).into_response()
}

/// No alarm anywhere in the cluster. A node alone is its cluster.
async fn alarms(State(ctx): State<Context>, _: Manager) -> Response {
    judge(&ctx, "There are alarms in effect in the cluster")
}

/// No alarm on this node.
async fn local_alarms(State(ctx): State<Context>, _: Manager) -> Response {
    judge(&ctx, "There are alarms in effect on the node")
}

fn judge(ctx: &Context, reason: &'static str) -> Response {
    let alarms = ctx.broker.alarms();
    if !alarms.any() {
        return ok();
    }
    let named = alarms.resources().map(|resource| {
        let mut alarm = Object::new();
        alarm.put("node", ctx.broker.settings().node_name.clone());
        alarm.put("resource", resource);
        Json::from(alarm)
    });
    let mut more = Object::new();
    more.put("alarms", named.collect::<Vec<_>>());
    failed(reason, more)
}

async fn port(
    State(ctx): State<Context>,
    _: Manager,
    Path(port): Path<String>,
) -> Result<Response, ApiError> {
    let port: u16 = port
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid port number: {port}")))?;
    let mut ports: Vec<u16> = listeners::all(&ctx)
        .iter()
        .map(|listener| listener.address.port())
        .collect();
    if ports.contains(&port) {
        return Ok(ok_with("port", port));
    }
    ports.sort_unstable();
    ports.dedup();
    let mut more = Object::new();
    more.put("missing", port);
    more.put(
        "ports",
        ports.into_iter().map(Json::from).collect::<Vec<_>>(),
    );
    Ok(failed("No active listener", more))
}

/// One protocol or several, separated by commas. A single one that is missing is named by a word,
/// several by a list: clients disagree about which it should be.
async fn protocols(State(ctx): State<Context>, _: Manager, Path(wanted): Path<String>) -> Response {
    let mut active: Vec<&'static str> = listeners::all(&ctx)
        .iter()
        .map(|listener| listener.protocol)
        .collect();
    active.dedup();
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let missing: Vec<&&str> = wanted
        .iter()
        .filter(|name| !active.contains(&canonical(name)))
        .collect();
    let names = |names: &[&&str]| match names {
        [one] => Json::from(canonical(one).to_owned()),
        many => Json::List(
            many.iter()
                .map(|n| canonical(n).to_owned().into())
                .collect(),
        ),
    };
    if missing.is_empty() {
        return ok_with("protocol", names(&wanted.iter().collect::<Vec<_>>()));
    }
    let mut more = Object::new();
    more.put("missing", names(&missing));
    let active = active.into_iter().map(Json::from);
    more.put("protocols", active.collect::<Vec<_>>());
    failed("No active listener", more)
}

/// The name a listener goes by.
fn canonical(name: &str) -> &str {
    match name {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" => "amqp",
        "amqps" | "amqp/tls" => "amqp/ssl",
        "http/tls" | "http/ssl" => "https",
        "prometheus" => "http/prometheus",
        other => other,
    }
}

/// A vhost that exists is running.
async fn vhosts(_: Manager) -> Response {
    ok()
}

async fn single_node(_: Manager) -> Response {
    ok_with("reason", "single node cluster")
}

async fn fine(_: Manager) -> Response {
    ok()
}

/// A node that accepts HTTP accepts AMQP, unless it was told not to: load balancers ask this.
async fn in_service(State(ctx): State<Context>) -> Response {
    if ctx.info.program.keeps_clients_out() {
        return failed("no active listeners for AMQP/AMQPS", Object::new());
    }
    ok()
}

async fn ready_alone() -> Response {
    ok()
}

async fn old_check(State(ctx): State<Context>, _: Manager) -> Response {
    let alarms = ctx.broker.alarms();
    if !alarms.any() {
        return ok();
    }
    let node = &ctx.broker.settings().node_name;
    let limits: Vec<String> = alarms
        .resources()
        .map(|resource| format!("{{resource_limit,{resource},{node}}}"))
        .collect();
    let reason = format!("resource alarm(s) in effect:[{}]", limits.join(","));
    failed(reason, Object::new())
}

async fn old_check_of(
    State(ctx): State<Context>,
    manager: Manager,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    if ctx.broker.settings().node_name != name {
        return Err(ApiError::NotFound);
    }
    Ok(old_check(State(ctx), manager).await)
}

/// Nothing is declared or published: that the vhost answers is the test.
async fn aliveness(_: MemberVhost) -> Response {
    ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use warren_broker::alarms::Alarms;

    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn a_node_without_alarms_is_well() {
        let node = Node::start().await;
        for path in [
            "/api/health/checks/alarms",
            "/api/health/checks/local-alarms/",
        ] {
            let answer = node.get(path, Some(GUEST)).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, r#"{"status":"ok"}"#)
            );
            assert_eq!(node.get(path, None).await.status, 401);
        }
    }

    #[tokio::test]
    async fn alarms_are_named() {
        let node = Node::start().await;
        node.broker.set_alarms(
            || Alarms {
                memory: true,
                disk: true,
            },
            1,
        );
        let answer = node.get("/api/health/checks/alarms", Some(GUEST)).await;
        assert_eq!(answer.status, 503);
        let wanted = json!({
            "status": "failed",
            "reason": "There are alarms in effect in the cluster",
            "alarms": [
                { "node": "warren@test", "resource": "memory" },
                { "node": "warren@test", "resource": "disk" },
            ],
        });
        assert_eq!(answer.json(), wanted);
        let local = node
            .get("/api/health/checks/local-alarms", Some(GUEST))
            .await
            .json();
        assert_eq!(local["reason"], "There are alarms in effect on the node");
    }

    #[tokio::test]
    async fn listeners_are_found_by_port_and_protocol() {
        let node = Node::start().await;
        let ask = async |path: &str| {
            node.get(&format!("/api/health/checks/{path}"), Some(GUEST))
                .await
        };
        let answer = ask("port-listener/5672").await;
        assert_eq!(answer.json(), json!({ "status": "ok", "port": 5672 }));
        let answer = ask("port-listener/9999").await;
        assert_eq!(answer.status, 503);
        let wanted = json!({
            "status": "failed", "reason": "No active listener", "missing": 9999,
            "ports": [5672, 15672, 15692],
        });
        assert_eq!(answer.json(), wanted);
        assert_eq!(ask("port-listener/x").await.status, 400);
        let answer = ask("protocol-listener/amqp091").await;
        assert_eq!(answer.json(), json!({ "status": "ok", "protocol": "amqp" }));
        let answer = ask("protocol-listener/mqtt").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["missing"], "mqtt");
        let answer = ask("protocol-listener/amqp,mqtt,stomp").await;
        assert_eq!(answer.json()["missing"], json!(["mqtt", "stomp"]));
    }

    #[tokio::test]
    async fn the_other_checks_pass_on_a_single_node() {
        let node = Node::start().await;
        for path in ["node-is-quorum-critical", "node-is-mirror-sync-critical"] {
            let answer = node
                .get(&format!("/api/health/checks/{path}"), Some(GUEST))
                .await;
            assert_eq!(
                answer.json(),
                json!({ "status": "ok", "reason": "single node cluster" })
            );
        }
        for path in [
            "/api/health/checks/virtual-hosts",
            "/api/health/checks/metadata-store/initialized",
            "/api/aliveness-test/%2F",
            "/api/healthchecks/node",
            "/api/healthchecks/node/warren@test",
        ] {
            let answer = node.get(path, Some(GUEST)).await;
            assert_eq!(answer.json(), json!({ "status": "ok" }), "{path}");
            assert_eq!(node.get(path, None).await.status, 401, "{path}");
        }
        let check = async |name: &str| {
            let path = format!("/api/health/checks/{name}");
            node.get(&path, None).await.status
        };
        let ready = ["is-in-service", "ready-to-serve-clients"];
        for name in ready {
            assert_eq!(check(name).await, 200, "{name}");
        }
        node.info().program.suspend_listeners();
        for name in ready {
            assert_eq!(check(name).await, 503, "{name}");
        }
        assert_eq!(check("below-node-connection-limit").await, 200);
    }

    #[tokio::test]
    async fn the_old_check_names_alarms_in_erlang() {
        let node = Node::start().await;
        node.broker.set_alarms(
            || Alarms {
                memory: true,
                disk: false,
            },
            1,
        );
        let answer = node.get("/api/healthchecks/node", Some(GUEST)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.json()["reason"],
            "resource alarm(s) in effect:[{resource_limit,memory,warren@test}]"
        );
    }
}
