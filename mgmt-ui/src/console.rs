//! The page at `/`: what this is, how to connect, and live totals. It stands for a full console
//! until there is one. Everything it needs is in the binary; nothing comes from elsewhere.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::Context;

const PAGE: &str = include_str!("../static/index.html");
const SCRIPT: &str = include_str!("../static/console.js");
const STYLE: &str = include_str!("../static/console.css");

/// `/`, its script and its style sheet. No login: they hold nothing that is not public.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/", get(page))
        .route(
            "/console.js",
            get(|| asset("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/console.css",
            get(|| asset("text/css; charset=utf-8", STYLE)),
        )
}

async fn page(State(ctx): State<Context>) -> Html<String> {
    let ports: Vec<_> = ctx.info.amqp.iter().map(|a| a.port().to_string()).collect();
    let page = PAGE
        .replace("{{version}}", &escape(ctx.info.version))
        .replace("{{amqp_ports}}", &escape(&ports.join(" ")));
    Html(page)
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

/// Makes a text safe between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Node;

    #[tokio::test]
    async fn the_page_says_what_this_is() {
        let node = Node::start().await;
        let answer = node.get("/", None).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
        assert!(answer.body.contains("9.9.9"));
        assert!(answer.body.contains("5672"));
        assert!(!answer.body.contains("{{"));
    }

    #[tokio::test]
    async fn every_file_it_asks_for_is_there_and_protected() {
        let node = Node::start().await;
        for (path, kind) in [
            ("/console.js", "text/javascript"),
            ("/console.css", "text/css"),
        ] {
            assert!(PAGE.contains(path));
            let answer = node.get(path, None).await;
            assert_eq!(answer.status, 200);
            assert!(answer.header("content-type").unwrap().starts_with(kind));
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'"));
            assert!(!policy.contains("unsafe"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }

    #[test]
    fn nothing_inline_and_nothing_from_elsewhere() {
        for text in [PAGE, SCRIPT, STYLE] {
            for wrong in [
                "http://",
                "https://",
                "//cdn",
                "innerHTML",
                "eval(",
                "onclick",
                "style=",
            ] {
                assert!(!text.contains(wrong), "{wrong}");
            }
        }
        assert!(!PAGE.contains("<style"));
        assert!(PAGE.matches("<script").count() == PAGE.matches("<script src=\"/").count());
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            escape("<a b='c' d=\"e\">&"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;"
        );
    }

    #[tokio::test]
    async fn unknown_paths_are_json_404s_and_other_methods_405s() {
        let node = Node::start().await;
        for path in ["/nope", "/api/nope", "/api/overview/x", "/api//overview"] {
            let answer = node.get(path, None).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(
                answer.body,
                r#"{"error":"Object Not Found","reason":"Not Found"}"#
            );
        }
        let answer = node.raw("DELETE /api/overview HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 405"), "{answer}");
        let answer = node.raw("OPTIONS /api/overview HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        assert!(answer.contains("allow: HEAD, GET, OPTIONS"), "{answer}");
    }
}
