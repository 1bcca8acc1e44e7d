//! Changing the node itself: its limits, what it logs, its history, whether it runs; and the
//! settings it runs with.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use warren_broker::alarms::{DiskFreeLimit, MemoryWatermark};

use crate::Context;
use crate::act::now_ms;
use crate::http::{Administrator, ApiError, Body, Fields, Path, Routes, blocking};

pub(super) fn routes() -> Routes {
    Routes::new("Nodes")
        .get(
            "/config/effective",
            "The settings in force, as text",
            effective_config,
        )
        .put(
            "/nodes/{name}/limits",
            "Change when publishers are blocked, until the node stops",
            put_limits,
        )
        .takes(&[
            (
                "vm_memory_high_watermark",
                "number",
                "part of the memory, 0 to 1",
            ),
            ("vm_memory_high_watermark_absolute", "integer", "bytes"),
            ("disk_free_limit", "integer", "bytes"),
            (
                "disk_free_limit_relative",
                "number",
                "multiple of the memory",
            ),
        ])
        .put(
            "/nodes/{name}/log-level",
            "Change the lowest level logged, until the node stops",
            put_log_level,
        )
        .takes(&[("level", "string", "debug, info, warning, error or none")])
        .post(
            "/nodes/{name}/rotate-logs",
            "Open the log file anew, after it was moved away",
            rotate_logs,
        )
        .post(
            "/nodes/{name}/suspend-listeners",
            "Let no new client connect over AMQP, until the node stops",
            suspend_listeners,
        )
        .post(
            "/nodes/{name}/resume-listeners",
            "Let clients connect again",
            resume_listeners,
        )
        .post("/nodes/{name}/stop", "Stop the node", stop)
        .delete("/reset", "Forget the history of all numbers", reset)
        .delete(
            "/reset/{name}",
            "Forget the history of a node's numbers",
            reset_node,
        )
}

/// Settings with a line each, as in a configuration file.
async fn effective_config(State(ctx): State<Context>, _: Administrator) -> Response {
    let lines = ctx.info.facts.settings.iter();
    let text: String = lines
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect();
    ([(CONTENT_TYPE, "text/plain")], text).into_response()
}

async fn put_limits(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    let part = factor(&fields, "vm_memory_high_watermark", 1.0)?.map(MemoryWatermark::Relative);
    let bytes = bytes(&fields, "vm_memory_high_watermark_absolute")?;
    let memory = bytes.map(MemoryWatermark::Absolute).or(part);
    let multiple = factor(&fields, "disk_free_limit_relative", f64::MAX)?;
    let multiple = multiple.map(DiskFreeLimit::Relative);
    let bytes = self::bytes(&fields, "disk_free_limit")?;
    let disk = bytes.map(DiskFreeLimit::Absolute).or(multiple);
    if memory.is_none() && disk.is_none() {
        return Err(ApiError::bad_request("no limit is named"));
    }
    blocking(move || {
        ctx.info.monitor.set_limits(memory, disk);
        ctx.broker
            .set_alarms(|| ctx.info.monitor.alarms(), now_ms());
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn factor(fields: &Fields, name: &str, max: f64) -> Result<Option<f64>, ApiError> {
    let Some(value) = fields.value(name) else {
        return Ok(None);
    };
    let number = value.as_f64().filter(|n| (0.0..=max).contains(n));
    number
        .map(Some)
        .ok_or_else(|| ApiError::bad_request(format!("{name} is not a number in its range")))
}

fn bytes(fields: &Fields, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.integer(name)? else {
        return Ok(None);
    };
    u64::try_from(value)
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("{name} is negative")))
}

async fn put_log_level(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    fields.require(&["level"])?;
    let level = fields.text("level")?.unwrap_or_default();
    if ctx.info.program.set_log_level(level) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::bad_request(format!(
        "there is no log level `{level}`"
    )))
}

async fn rotate_logs(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    done(blocking(move || ctx.info.program.rotate_logs()).await?)
}

async fn suspend_listeners(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    blocking(move || ctx.info.program.suspend_listeners()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume_listeners(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    done(blocking(move || ctx.info.program.resume_listeners()).await?)
}

/// What the machine does not allow now, the node cannot either.
fn done(outcome: Result<(), String>) -> Result<StatusCode, ApiError> {
    outcome.map_err(|reason| ApiError::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "service_unavailable",
        reason,
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(
    State(ctx): State<Context>,
    Administrator(user): Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    tracing::info!(user = user.name, "asked to stop over the management API");
    ctx.info.program.stop();
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(State(ctx): State<Context>, _: Administrator) -> Result<StatusCode, ApiError> {
    blocking(move || ctx.broker.stats().sampler().forget()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_node(
    State(ctx): State<Context>,
    administrator: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    this_node(&ctx, &name)?;
    reset(State(ctx), administrator).await
}

/// There is one node.
pub(crate) fn this_node(ctx: &Context, name: &str) -> Result<(), ApiError> {
    match ctx.broker.settings().node_name == name {
        true => Ok(()),
        false => Err(ApiError::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node, basic};

    #[tokio::test]
    async fn a12_limits_change_at_once() {
        let node = Node::start().await;
        let at = "/api/nodes/warren@test/limits";
        let put = async |body: &str| node.send("PUT", at, body).await.status;
        let shown = async || node.get("/api/nodes/warren@test", Some(GUEST)).await.json();
        assert_eq!(put(r#"{"vm_memory_high_watermark_absolute":1}"#).await, 204);
        let found = shown().await;
        assert_eq!(
            (&found["mem_alarm"], &found["mem_limit"]),
            (&true.into(), &1.into())
        );
        assert_eq!(put(r#"{"vm_memory_high_watermark":0.9}"#).await, 204);
        assert_eq!(put(r#"{"disk_free_limit":4611686018427387904}"#).await, 204);
        let found = shown().await;
        assert_eq!(
            (&found["mem_alarm"], &found["disk_free_alarm"]),
            (&false.into(), &true.into())
        );
        assert_eq!(put(r#"{"disk_free_limit":"1000"}"#).await, 204);
        assert_eq!(shown().await["disk_free_alarm"], false);
        for body in [
            "{}",
            r#"{"vm_memory_high_watermark":1.5}"#,
            r#"{"vm_memory_high_watermark":"much"}"#,
            r#"{"disk_free_limit":-1}"#,
            r#"{"disk_free_limit_relative":-1}"#,
        ] {
            assert_eq!(put(body).await, 400, "{body}");
        }
    }

    #[tokio::test]
    async fn the_node_is_for_administrators() {
        let node = Node::start().await;
        node.add_user("mona", &["monitoring"]);
        let mona = basic("mona", "pw");
        for (method, path, body, status) in [
            ("GET", "/api/config/effective", "", 200),
            (
                "PUT",
                "/api/nodes/warren@test/limits",
                r#"{"disk_free_limit":1}"#,
                204,
            ),
            (
                "PUT",
                "/api/nodes/warren@test/log-level",
                r#"{"level":"debug"}"#,
                204,
            ),
            (
                "PUT",
                "/api/nodes/warren@test/log-level",
                r#"{"level":"loud"}"#,
                400,
            ),
            ("POST", "/api/nodes/warren@test/rotate-logs", "", 204),
            ("POST", "/api/nodes/warren@test/suspend-listeners", "", 204),
            ("POST", "/api/nodes/warren@test/resume-listeners", "", 503),
            ("POST", "/api/nodes/warren@test/stop", "", 204),
            ("DELETE", "/api/reset", "", 204),
            ("DELETE", "/api/reset/warren@test", "", 204),
            ("DELETE", "/api/reset/other@test", "", 404),
            ("PUT", "/api/nodes/other@test/limits", "{}", 404),
            ("POST", "/api/nodes/other@test/stop", "", 404),
        ] {
            let refused = node.send_as(method, path, body, Some(&mona)).await;
            assert_eq!(refused.status, 401, "{method} {path}");
            let answer = node.send(method, path, body).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
        let answer = node.get("/api/config/effective", Some(GUEST)).await;
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.body, "heartbeat = 60\n");
    }
}
