//! The console: its files at `/`, and `/api/console/...`, what it needs beyond RabbitMQ's API.
//!
//! Own paths never shadow RabbitMQ's names. Who may do what is decided as everywhere else: a
//! session's cookie is one more way to say who asks.

mod assets;
mod attention;
mod audit;
mod control;
mod decoded;
mod events;
mod filter;
mod jobs;
mod json_path;
mod logs;
mod message_json;
mod messages;
mod policy_preview;
mod route_test;
mod search;
mod session;
pub(crate) mod sessions;
mod trace;
mod unacked;
mod unroutable;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use warren_broker::Vhost;
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::http::Routes;

/// What the console keeps between requests.
#[derive(Default)]
pub(crate) struct Console {
    pub(crate) sessions: sessions::Sessions,
    watch: attention::Watch,
    jobs: jobs::Jobs,
}

/// The page and its files need no login: they hold nothing that is not public.
pub(crate) fn files() -> Router<Context> {
    Router::new()
        .route("/", get(page))
        .route("/console/{*path}", get(file))
}

/// `/api/console/...`.
pub(crate) fn routes() -> Routes {
    Routes::new("Console")
        .get("/console/session", "The user of this session", session::who)
        .post("/console/session", "Open a session", session::log_in)
        .takes(&[
            ("username", "string", "name of the user"),
            ("password", "string", "password of the user"),
        ])
        .public()
        .delete("/console/session", "End the session", session::log_out)
        .public()
        .get(
            "/console/events",
            "Answers of paths as server-sent events",
            events::events,
        )
        .query("topic", "a GET path, repeatable")
        .get(
            "/console/attention",
            "What needs attention",
            attention::attention,
        )
        .get(
            "/console/search",
            "Objects whose names contain a text",
            search::search,
        )
        .query("q", "the text")
        .query("limit", "results at most")
        .get(
            "/console/queues/{vhost}/{name}/messages",
            "Ready messages, without taking them",
            messages::browse,
        )
        .query("order", "oldest or newest first")
        .query(
            "filter",
            "key:, exchange:, header.NAME:, property.NAME:, body~, bytes>, bytes<, $.json.path = value",
        )
        .query("cursor", "`next` of the answer before")
        .query("limit", "messages at most")
        .query("max_bytes", "bytes of each body at most")
        .post(
            "/console/queues/{vhost}/{name}/messages",
            "Delete, move or copy chosen messages",
            messages::act,
        )
        .takes(&[
            ("action", "string", "delete, move or copy"),
            ("seqs", "array", "sequence numbers of the messages"),
            ("destination", "object", "exchange and routing_key"),
        ])
        .get(
            "/console/queues/{vhost}/{name}/messages/{seq}/body",
            "The whole body of one message",
            messages::body,
        )
        .query("decoded", "`true`: as it was before it was compressed")
        .get(
            "/console/queues/{vhost}/{name}/settings",
            "Settings of a queue and where each comes from",
            policy_preview::settings,
        )
        .get(
            "/console/queues/{vhost}/{name}/policies",
            "Policies that match a queue, the one in force first",
            policy_preview::policies_of_queue,
        )
        .get(
            "/console/exchanges/{vhost}/{name}/policies",
            "Policies that match an exchange, the one in force first",
            policy_preview::policies_of_exchange,
        )
        .get(
            "/console/queues/{vhost}/{name}/unacked",
            "Deliveries consumers hold, and who they are",
            unacked::unacked,
        )
        .post(
            "/console/queues/{vhost}/{name}/delivery",
            "Hold back deliveries or let them go on",
            control::pause,
        )
        .takes(&[("paused", "boolean", "whether they are held back")])
        .post(
            "/console/queues/{vhost}/{name}/consumers",
            "Cancel, pause or resume a consumer",
            control::consumer,
        )
        .takes(&[
            ("action", "string", "cancel, pause or resume"),
            ("channel", "string", "name of its channel"),
            ("consumer_tag", "string", "its tag"),
        ])
        .get(
            "/console/unroutable",
            "What reached no queue lately",
            unroutable::unroutable,
        )
        .get("/console/audit", "Who changed what", audit::audit)
        .query("filter", "words that must all be in a change")
        .query("limit", "changes at most")
        .get("/console/logs", "The last lines of the log", logs::logs)
        .query("level", "error, warning, info or debug")
        .query("text", "a part of the line")
        .query("limit", "lines at most, of those there are already")
        .get(
            "/console/trace",
            "Messages as they pass, as server-sent events",
            trace::trace,
        )
        .query("vhost", "the virtual host")
        .query("exchange", "only of this exchange")
        .query("key", "only with this in the routing key")
        .query("queue", "only to, from or in this queue")
        .query("rate", "messages a second at most")
        .get("/console/jobs", "Replays, newest first", jobs::list)
        .post("/console/jobs", "Replay messages of a queue", jobs::start)
        .takes(&[
            ("vhost", "string", "virtual host"),
            ("queue", "string", "queue"),
            (
                "destination",
                "object",
                "exchange and routing_key, or the text origin",
            ),
            ("filter", "string", "as for browsing"),
            ("limit", "integer", "messages at most"),
            ("rate", "integer", "messages a second at most"),
            ("dry_run", "boolean", "only count"),
            ("mark", "boolean", "add the header x-replayed"),
        ])
        .get("/console/jobs/{id}", "One replay", jobs::one)
        .delete("/console/jobs/{id}", "Stop a replay", jobs::stop)
        .post(
            "/console/policies/preview",
            "What a policy would change",
            policy_preview::preview,
        )
        .takes(&[
            ("vhost", "string", "virtual host"),
            ("name", "string", "name of the policy"),
            ("kind", "string", "policies or operator-policies"),
            ("pattern", "string", "as for a policy"),
            ("definition", "object", "as for a policy"),
            ("priority", "integer", "as for a policy"),
            ("apply-to", "string", "as for a policy"),
        ])
        .post(
            "/console/route-test",
            "Where a message would go and why",
            route_test::route_test,
        )
        .takes(&[
            ("vhost", "string", "virtual host"),
            ("exchange", "string", "exchange; empty for the default one"),
            ("routing_key", "string", "routing key"),
            ("headers", "object", "message headers"),
        ])
}

async fn page(State(app): State<Context>, headers: HeaderMap) -> Response {
    assets::file(
        "index.html",
        app.info.http.console_directory.as_deref(),
        &headers,
    )
}

async fn file(
    State(app): State<Context>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    assets::file(&path, app.info.http.console_directory.as_deref(), &headers)
}

/// The vhosts whose objects a user may see: all with the monitoring tag, else those with a
/// permission.
fn visible_vhosts(app: &Context, user: &AuthenticatedUser) -> Vec<Arc<Vhost>> {
    let catalog = app.broker.catalog();
    let mut vhosts = app.broker.vhosts();
    if !user.may_monitor() {
        let state = catalog.read();
        vhosts.retain(|vhost| state.permission(&user.name, vhost.name()).is_some());
    }
    vhosts.sort_by(|a, b| a.name().cmp(b.name()));
    vhosts
}

#[cfg(test)]
mod tests {
    use crate::testing::Node;

    const LOGIN: &str = r#"{"username":"guest","password":"guest"}"#;

    async fn post(node: &Node, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        node.raw(&format!(
            "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    fn cookie(answer: &str) -> &str {
        let line = answer
            .lines()
            .find(|line| line.starts_with("set-cookie: "))
            .unwrap();
        line["set-cookie: ".len()..].split(';').next().unwrap()
    }

    #[tokio::test]
    async fn the_page_and_its_files_are_served_and_protected() {
        let node = Node::start().await;
        for (path, kind) in [
            ("/", "text/html"),
            ("/console/js/main.js", "text/javascript"),
            ("/console/app.css", "text/css"),
            ("/console/icon.svg", "image/svg+xml"),
        ] {
            let answer = node.get(path, None).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("content-type").unwrap().starts_with(kind));
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(node.get("/console/../Cargo.toml", None).await.status, 404);
    }

    #[tokio::test]
    async fn a_session_stands_for_credentials() {
        let node = Node::start().await;
        let own = "x-warren-console: 1\r\n";
        let refused = post(
            &node,
            "/api/console/session",
            own,
            r#"{"username":"guest","password":"no"}"#,
        )
        .await;
        assert!(refused.starts_with("HTTP/1.0 401") && refused.contains("Login failed"));
        assert!(!refused.contains("www-authenticate"), "{refused}");
        let foreign = post(&node, "/api/console/session", "", LOGIN).await;
        assert!(foreign.starts_with("HTTP/1.0 401"), "{foreign}");
        let answer = post(&node, "/api/console/session", own, LOGIN).await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        assert!(answer.contains("HttpOnly") && answer.contains("SameSite=Strict"));
        let cookie = cookie(&answer);
        let with =
            |more: &str| format!("GET /api/overview HTTP/1.0\r\ncookie: {cookie}\r\n{more}\r\n");
        assert!(node.raw(&with("")).await.starts_with("HTTP/1.0 200"));
        assert!(
            node.raw(&with("sec-fetch-site: cross-site\r\n"))
                .await
                .starts_with("HTTP/1.0 401")
        );
        let out = format!("DELETE /api/console/session HTTP/1.0\r\ncookie: {cookie}\r\n{own}\r\n");
        assert!(node.raw(&out).await.starts_with("HTTP/1.0 204"));
        let after = node.raw(&with(own)).await;
        // No challenge: the browser would open a dialog of its own.
        assert!(
            after.starts_with("HTTP/1.0 401") && !after.contains("www-authenticate"),
            "{after}"
        );
    }

    #[tokio::test]
    async fn a_route_is_explained() {
        let node = Node::start().await;
        let credentials = format!("authorization: {}\r\n", crate::testing::GUEST);
        let asked = r#"{"vhost":"/","exchange":"amq.topic","routing_key":"a.b"}"#;
        let answer = post(&node, "/api/console/route-test", &credentials, asked).await;
        assert!(
            answer.contains(r#""type":"topic""#) && answer.contains("Nothing matches."),
            "{answer}"
        );
        let asked = r#"{"vhost":"none","exchange":"x"}"#;
        let answer = post(&node, "/api/console/route-test", &credentials, asked).await;
        assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
    }

    #[tokio::test]
    async fn an_idle_broker_needs_no_attention() {
        let node = Node::start().await;
        let items = node
            .get("/api/console/attention", Some(crate::testing::GUEST))
            .await
            .json();
        assert_eq!(items["items"], serde_json::json!([]));
        let found = node
            .get("/api/console/search?q=top", Some(crate::testing::GUEST))
            .await
            .json();
        assert_eq!(found["items"][0]["name"], "amq.topic");
    }

    #[tokio::test]
    async fn events_bring_the_answers_of_paths() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let node = Node::start().await;
        let mut stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
        let request = format!(
            "GET /api/console/events?topic=%2Fapi%2Foverview&topic=%2Fapi%2Fnope HTTP/1.1\r\nhost: h\r\nauthorization: {}\r\n\r\n",
            crate::testing::GUEST
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !(text.contains("event: data") && text.contains("event: gone")) {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        assert!(text.contains("text/event-stream"));
        assert!(
            text.contains(r#"{"topic":"/api/overview","data":{"#),
            "{text}"
        );
    }
}
