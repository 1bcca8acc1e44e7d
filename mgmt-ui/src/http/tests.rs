//! The API's manners that no endpoint has to itself, over a socket.

use crate::HttpSettings;
use crate::testing::{GUEST, Node, basic};

#[tokio::test]
async fn a_slash_at_the_end_is_forgiven_and_a_double_one_is_not() {
    let node = Node::start().await;
    for (path, status) in [
        ("/api/overview", 200),
        ("/api/overview/", 200),
        ("/api/overview/?columns=node", 200),
        ("/api/overview//", 404),
        ("/api//overview", 404),
        ("//api/overview", 404),
    ] {
        assert_eq!(node.get(path, Some(GUEST)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn below_a_prefix_there_is_everything_and_elsewhere_nothing() {
    let http = HttpSettings {
        path_prefix: "/mq".to_owned(),
        ..HttpSettings::default()
    };
    let node = Node::start_with(http).await;
    for (path, status) in [
        ("/mq/api/overview", 200),
        ("/mq/api/overview/", 200),
        ("/mq", 200),
        ("/mq/", 200),
        ("/api/overview", 404),
        ("/", 404),
    ] {
        assert_eq!(node.get(path, Some(GUEST)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_without_a_word() {
    let node = Node::start().await;
    for method in ["DELETE", "PUT", "POST"] {
        let answer = node.send(method, "/api/overview", "").await;
        assert_eq!((answer.status, answer.body.as_str()), (405, ""));
    }
}

#[tokio::test]
async fn only_json_can_be_had() {
    let node = Node::start().await;
    for (accept, status) in [
        ("application/json", "200"),
        ("text/html, */*;q=0.8", "200"),
        ("text/html", "406"),
    ] {
        let answer = node
            .raw(&format!(
                "GET /api/overview HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAccept: {accept}\r\n\
                 Authorization: {GUEST}\r\n\r\n"
            ))
            .await;
        assert_eq!(&answer[9..12], status, "{accept}");
    }
}

#[tokio::test]
async fn answers_are_packed_when_asked() {
    let node = Node::start().await;
    let mut stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
    let request = format!(
        "GET /api/overview HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\
         Authorization: {GUEST}\r\n\r\n"
    );
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let head = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(
        head.contains("vary: accept, accept-encoding, origin"),
        "{head}"
    );
}

#[tokio::test]
async fn scripts_of_named_origins_are_answered_and_no_others() {
    let ask = |origin: &str| {
        format!(
            "OPTIONS /api/overview HTTP/1.1\r\nHost: h\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Headers: authorization\r\n\r\n"
        )
    };
    let node = Node::start().await;
    let answer = node.raw(&ask("https://a.example")).await;
    assert!(!answer.contains("access-control"), "{answer}");
    let http = HttpSettings {
        cors_allow_origins: vec!["https://a.example".to_owned()],
        ..HttpSettings::default()
    };
    let node = Node::start_with(http).await;
    let answer = node.raw(&ask("https://a.example")).await;
    for header in [
        "access-control-allow-origin: https://a.example",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: HEAD, GET, OPTIONS",
        "access-control-allow-headers: authorization",
        "access-control-max-age: 1800",
    ] {
        assert!(answer.contains(header), "{header}\n{answer}");
    }
    for origin in ["https://b.example", "null"] {
        let answer = node.raw(&ask(origin)).await;
        assert!(!answer.contains("access-control"), "{answer}");
    }
}

#[tokio::test]
async fn logins_are_needed_before_anything_is_said() {
    let node = Node::start().await;
    let answer = node.get("/api/overview", Some(&basic("guest", "x"))).await;
    assert_eq!(answer.status, 401);
}
