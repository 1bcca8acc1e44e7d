//! The API described: `GET /api/openapi.json` for tools, `GET /api/index.html` for people. Both are
//! made from the routes as they are declared, so that none can be missing.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use serde_json::{Map, Value, json};

use crate::PRODUCT;
use crate::http::Routes;
use crate::http::routes::Operation;

pub(super) fn routes() -> Routes {
    Routes::new("Description")
        .get("/openapi.json", "This API as an OpenAPI document", document)
        .public()
        .get("/index.html", "This API for people", page)
        .public()
}

async fn document() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| openapi().to_string());
    ([(CONTENT_TYPE, "application/json")], text.as_str())
}

async fn page() -> Html<&'static str> {
    static TEXT: OnceLock<String> = OnceLock::new();
    Html(TEXT.get_or_init(table).as_str())
}

/// The document, version 3.1.
pub(super) fn openapi() -> Value {
    let mut paths = Map::new();
    for (path, operations) in super::routes().described() {
        let mut methods = Map::new();
        for operation in &operations {
            let method = operation.method.as_str().to_ascii_lowercase();
            methods.insert(method, describe(&path, operation));
        }
        paths.insert(format!("/api{path}"), Value::Object(methods));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{PRODUCT} management API"),
            "description": "Compatible with RabbitMQ's. Names in paths are percent-encoded.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "reason"],
                    "properties": {
                        "error": { "type": "string" },
                        "reason": { "type": "string" },
                    },
                },
            },
        },
        "security": [{ "basic": [] }],
        "paths": paths,
    })
}

fn describe(path: &str, operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    for name in placeholders(path) {
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    for (name, meaning) in &operation.query {
        parameters.push(json!({
            "name": name,
            "in": "query",
            "description": meaning,
            "schema": { "type": "string" },
        }));
    }
    let id = format!("{} {path}", operation.method);
    let id: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let mut described = json!({
        "operationId": id,
        "summary": operation.summary,
        "tags": [operation.area],
        "parameters": parameters,
        "responses": responses(operation),
    });
    if !operation.body.is_empty() {
        let mut properties = Map::new();
        for (name, kind, meaning) in &operation.body {
            let schema = json!({ "type": kind, "description": meaning });
            properties.insert((*name).to_owned(), schema);
        }
        let schema = json!({ "type": "object", "properties": properties });
        described["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
    }
    if operation.public {
        described["security"] = json!([]);
    }
    described
}

fn responses(operation: &Operation) -> Value {
    let error = json!({
        "description": "refused; the body, if any, says why",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
        },
    });
    let mut responses = Map::new();
    for (status, meaning) in match operation.method.as_str() {
        "PUT" => &[("201", "created"), ("204", "changed, or already so")][..],
        "POST" => &[("200", "done"), ("201", "created"), ("204", "done")][..],
        "DELETE" => &[("200", "done"), ("204", "done")][..],
        _ => &[("200", "the answer"), ("503", "a health check failed")][..],
    } {
        responses.insert((*status).to_owned(), json!({ "description": meaning }));
    }
    for status in ["400", "401", "404"] {
        responses.insert(status.to_owned(), error.clone());
    }
    Value::Object(responses)
}

/// Names of the parts in braces.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn table() -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{PRODUCT} management API</title>\
         <main><h1>{PRODUCT} management API</h1><p>Compatible with RabbitMQ's. For tools: \
         <a href=openapi.json>openapi.json</a>.</p><table><thead><tr><th>Method<th>Path<th>What\
         <tbody>"
    );
    for (path, operations) in super::routes().described() {
        for operation in operations {
            // Nothing in it comes from users. Writing to a String cannot fail.
            let _ = write!(
                page,
                "<tr><td>{}<td><code>/api{path}</code><td>{}",
                operation.method, operation.summary
            );
        }
    }
    page + "</table></main></html>"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn every_route_is_in_the_document_and_everything_in_it_is_a_route() {
        let node = Node::start().await;
        let answer = node.get("/api/openapi.json", None).await;
        assert_eq!(answer.status, 200);
        let document = answer.json();
        let described = super::super::routes().described();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), described.len());
        let mut ids = BTreeSet::new();
        for (path, methods) in paths {
            let known = &described[path.strip_prefix("/api").unwrap()];
            assert_eq!(methods.as_object().unwrap().len(), known.len(), "{path}");
            for operation in methods.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].to_string()), "{path}");
                assert!(!operation["summary"].as_str().unwrap().is_empty());
            }
            // The router knows it: it has an answer to OPTIONS.
            let filled: Vec<_> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect();
            let answer = node.send("OPTIONS", &filled.join("/"), "").await;
            assert_eq!(answer.status, 200, "{path}");
            let allow = answer.header("allow").unwrap();
            for method in methods.as_object().unwrap().keys() {
                assert!(
                    allow.contains(&method.to_ascii_uppercase()),
                    "{path} {allow}"
                );
            }
        }
    }

    #[tokio::test]
    async fn people_find_it_too() {
        let node = Node::start().await;
        let answer = node.get("/api", Some(GUEST)).await;
        assert_eq!(answer.status, 301);
        assert_eq!(answer.header("location"), Some("/api/index.html"));
        let answer = node.get("/api/index.html", None).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("/api/queues/{vhost}/{name}/get"));
    }
}
