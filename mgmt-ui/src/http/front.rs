//! What happens to every request before it finds its route, and to every answer on its way out:
//! path prefix, slash at the end, cross-origin headers.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    ORIGIN,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tower::util::MapRequest;

use crate::Context;

/// Serves `inner` below the prefix and accepts one slash too many at the end of a path: client
/// libraries write some paths that way.
pub(crate) fn behind_prefix(inner: Router, prefix: &str) -> Router {
    let prefix = prefix.trim_end_matches('/').to_owned();
    Router::new().fallback_service(MapRequest::new(inner, move |mut request: Request| {
        if let Some(uri) = normalised(request.uri(), &prefix) {
            *request.uri_mut() = uri;
        }
        request
    }))
}

/// The URI the routes know; `None` when it is that already.
fn normalised(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path();
    let inner = match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        // Nothing is served outside the prefix, and no path has an empty segment.
        _ => "//",
    };
    let trimmed = match inner.strip_suffix('/') {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') => rest,
        _ => inner,
    };
    if trimmed == path {
        return None;
    }
    let full = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    // Authority and scheme, if any, do not matter here.
    Some(Uri::from(PathAndQuery::try_from(full).ok()?))
}

/// Answers for the origins an operator has named. Nothing is added when there are none.
pub(crate) async fn cross_origin(
    State(ctx): State<Context>,
    request: Request,
    next: Next,
) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let asked = request.headers().clone();
    let mut response = next.run(request).await;
    add_cross_origin(&ctx, &asked, is_options, response.headers_mut());
    response
}

fn add_cross_origin(ctx: &Context, asked: &HeaderMap, is_options: bool, answer: &mut HeaderMap) {
    let http = &ctx.info.http;
    let Some(origin) = asked.get(ORIGIN).filter(|origin| *origin != "null") else {
        return;
    };
    if http
        .cors_allow_origins
        .iter()
        .any(|allowed| *origin == **allowed)
    {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    } else if http.cors_allow_origins.iter().any(|allowed| allowed == "*") {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        return;
    }
    if !is_options {
        return;
    }
    answer.insert(ACCESS_CONTROL_MAX_AGE, http.cors_max_age_s.into());
    if let Some(methods) = answer.get(ALLOW).cloned() {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(headers) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_and_the_prefix_go() {
        let to = |path: &str, prefix: &str| {
            let uri: Uri = path.parse().unwrap();
            normalised(&uri, prefix).map_or_else(|| path.to_owned(), |uri| uri.to_string())
        };
        for (path, wanted) in [
            ("/", "/"),
            ("/api/users/", "/api/users"),
            ("/api/users/?a=b", "/api/users?a=b"),
            ("/api/users", "/api/users"),
            ("/api/users//", "/api/users//"),
            ("/api/queues/%2F/a%2Fb/", "/api/queues/%2F/a%2Fb"),
        ] {
            assert_eq!(to(path, ""), wanted, "{path}");
        }
        assert_eq!(to("/mq/api/users/", "/mq"), "/api/users");
        assert_eq!(to("/mq", "/mq"), "/");
        assert_eq!(to("/api/users", "/mq"), "//");
        assert_eq!(to("/mqx/api", "/mq"), "//");
    }
}
