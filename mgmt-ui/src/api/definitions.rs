//! Definitions as files: export and import, of everything or of one vhost.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use warren_broker::catalog::Definitions;
use warren_broker::catalog::definitions::{BindingEntry, ExchangeEntry, QueueEntry, from_table};
use warren_broker::{ImportError, Imported, Queue, Vhost};

use crate::Context;
use crate::http::body::read;
use crate::http::{Administrator, ApiError, Path, Query, Routes, blocking};

mod multipart;

use multipart::Form;

pub(super) fn routes() -> Routes {
    let mut routes = Routes::new("Definitions");
    for path in ["/definitions", "/all-configuration"] {
        routes = routes
            .get(path, "Everything that is defined", export)
            .query("download", "name of a file to save it as")
            .post(path, "Add and update what a file defines", import)
            .query("dry_run", "true: only say what would change");
    }
    routes
        .get(
            "/definitions/{vhost}",
            "What is defined in a vhost",
            export_vhost,
        )
        .query("download", "name of a file to save it as")
        .post(
            "/definitions/{vhost}",
            "Add what a file defines to a vhost",
            import_vhost,
        )
        .query("dry_run", "true: only say what would change")
}

async fn export(
    State(ctx): State<Context>,
    _: Administrator,
    query: Query,
) -> Result<Response, ApiError> {
    let text = blocking(move || {
        let mut file = Definitions::export(&ctx.broker.catalog().read());
        for vhost in ctx.broker.vhosts() {
            add_transient(&mut file, &vhost);
        }
        file.other
            .insert("rabbitmq_definition_format".to_owned(), "cluster".into());
        file.other.insert(
            "original_cluster_name".to_owned(),
            ctx.broker.cluster_name().into(),
        );
        serde_json::to_vec(&file)
    })
    .await?;
    downloaded(text, &query)
}

async fn export_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let Some(vhost) = ctx.broker.vhost(&name) else {
        return Err(ApiError::bad_request("vhost_not_found"));
    };
    let text = blocking(move || {
        let mut file = Definitions::export(&ctx.broker.catalog().read());
        add_transient(&mut file, &vhost);
        serde_json::to_vec(&of_vhost(&file, &name))
    })
    .await?;
    downloaded(text, &query)
}

/// The part of a file that is about one vhost, without naming it in every entry.
fn of_vhost(file: &Definitions, vhost: &str) -> Value {
    let all = serde_json::to_value(file).unwrap_or_default();
    let mut part = Map::new();
    for field in [
        "rabbit_version",
        "rabbitmq_version",
        "product_name",
        "product_version",
    ] {
        part.insert(field.to_owned(), all[field].clone());
    }
    part.insert(
        "rabbitmq_definition_format".to_owned(),
        "single_virtual_host".into(),
    );
    part.insert("original_vhost_name".to_owned(), vhost.into());
    let entry = file.vhosts.iter().find(|entry| entry.name == vhost);
    let entry = entry
        .and_then(|entry| entry.metadata.clone())
        .unwrap_or_default();
    part.insert("description".to_owned(), entry.description.clone().into());
    part.insert(
        "metadata".to_owned(),
        serde_json::to_value(entry).unwrap_or_default(),
    );
    for field in ["parameters", "policies", "queues", "exchanges", "bindings"] {
        let mut entries = all[field].as_array().cloned().unwrap_or_default();
        entries.retain(|entry| entry["vhost"] == vhost);
        for entry in &mut entries {
            if let Value::Object(entry) = entry {
                entry.remove("vhost");
            }
        }
        part.insert(field.to_owned(), entries.into());
    }
    Value::Object(part)
}

/// What is not kept on disk but shared between connections is exported too.
fn add_transient(file: &mut Definitions, vhost: &Vhost) {
    let shared = |queue: &Queue| !queue.durable() && queue.definition().owner.is_none();
    let mut queues = vhost.queues();
    queues.retain(|queue| shared(queue));
    queues.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    file.queues.extend(queues.iter().map(|queue| QueueEntry {
        name: queue.name().to_owned(),
        vhost: vhost.name().to_string(),
        durable: false,
        auto_delete: queue.definition().auto_delete,
        kind: None,
        arguments: from_table(&queue.arguments()),
    }));
    let mut exchanges = vhost.exchanges();
    exchanges.retain(|exchange| !exchange.durable);
    exchanges.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    file.exchanges
        .extend(exchanges.iter().map(|exchange| ExchangeEntry {
            name: exchange.name.clone(),
            vhost: vhost.name().to_string(),
            kind: exchange.kind.as_str().to_owned(),
            durable: false,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: from_table(&exchange.arguments),
        }));
    let bindings = vhost.transient_bindings();
    file.bindings.extend(bindings.into_iter().map(|binding| {
        BindingEntry {
            arguments: from_table(&binding.arguments),
            source: binding.source,
            vhost: vhost.name().to_string(),
            destination: binding.destination,
            destination_type: if binding.to_queue {
                "queue"
            } else {
                "exchange"
            }
            .to_owned(),
            routing_key: binding.routing_key,
        }
    }));
}

/// The file as JSON, to be saved under a name when one is given.
fn downloaded(
    text: Result<Vec<u8>, serde_json::Error>,
    query: &Query,
) -> Result<Response, ApiError> {
    let text = text.map_err(|error| {
        tracing::error!(%error, "definitions not exported");
        ApiError::Internal
    })?;
    let mut response = ([(CONTENT_TYPE, "application/json")], text).into_response();
    if let Some(name) = query.get("download") {
        let value = HeaderValue::try_from(format!("attachment; filename={name}"));
        let value = value.map_err(|_| ApiError::bad_request("not a file name"))?;
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn import(
    State(ctx): State<Context>,
    _: Administrator,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    take(ctx, None, &query, request).await
}

async fn import_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(vhost): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    if ctx.broker.vhost(&vhost).is_none() {
        return Err(ApiError::missing("vhost_not_found"));
    }
    take(ctx, Some(vhost), &query, request).await
}

async fn take(
    ctx: Context,
    vhost: Option<String>,
    query: &Query,
    request: Request,
) -> Result<Response, ApiError> {
    let form = form(request).await?;
    let dry_run = query.flag("dry_run");
    let imported = ctx
        .change(move |broker, turn| {
            let text = form
                .file
                .strip_prefix(b"\xEF\xBB\xBF")
                .unwrap_or(&form.file);
            let text = if text.trim_ascii().is_empty() {
                b"{}"
            } else {
                text
            };
            let mut file = Definitions::parse(text)
                .map_err(|why| ApiError::bad_request(format!("failed_to_parse_json: {why}")))?;
            if let Some(vhost) = &vhost {
                file.move_to_vhost(vhost);
            }
            let imported = broker.import(&file, dry_run, turn).map_err(refused)?;
            Ok((imported, form.redirect))
        })
        .await?;
    match imported {
        (Imported { changed, ignored }, _) if dry_run => {
            Ok(Json(json!({ "changed": changed, "ignored": ignored })).into_response())
        }
        (Imported { ignored, .. }, redirect) => {
            for line in ignored {
                tracing::warn!("import of definitions: {line}");
            }
            match redirect.and_then(|to| HeaderValue::try_from(to).ok()) {
                None => Ok(StatusCode::NO_CONTENT.into_response()),
                Some(to) => Ok((StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()),
            }
        }
    }
}

fn refused(error: ImportError) -> ApiError {
    match error {
        ImportError::Refused(why) => ApiError::bad_request(why),
        ImportError::Storage(error) => error.into(),
    }
}

/// The file in a request: its body, or the field `file` of a form.
async fn form(request: Request) -> Result<Form, ApiError> {
    let kind = content_type(request.headers());
    let bytes = read(request, &()).await?;
    if let Some(boundary) = multipart::boundary(&kind) {
        return multipart::parse(&bytes, boundary)
            .ok_or_else(|| ApiError::bad_request("not a form with a field 'file'"));
    }
    let plain = kind.split(';').next().unwrap_or_default().trim();
    let known = [
        "",
        "application/json",
        "text/plain",
        "application/octet-stream",
    ];
    if !known.contains(&plain.to_ascii_lowercase().as_str()) {
        return Err(ApiError::Empty(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(Form {
        file: bytes.to_vec(),
        redirect: None,
    })
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
