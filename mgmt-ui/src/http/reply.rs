//! How answers look: JSON, RabbitMQ's error objects, and the headers every answer carries.

use axum::Json;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use warren_amqp::{ReplyCode, ReplyError};

/// An answer that is not 200. Bodies are RabbitMQ's `{"error":...,"reason":...}`; the reason is
/// always one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// No credentials: asks for them.
    NoCredentials,
    /// Wrong ones. RabbitMQ spells it `not_authorized` here and `not_authorised` below.
    LoginFailed,
    /// Right ones that do not suffice: 401 too, which is what clients test for.
    NotAuthorised(&'static str),
    /// No such path or object.
    NotFound,
    /// Any other refusal with a body.
    Refused {
        /// The status.
        status: StatusCode,
        /// RabbitMQ's word for it.
        error: &'static str,
        /// For people.
        reason: String,
    },
    /// A refusal without a body: 405, 406, 415.
    Empty(StatusCode),
    /// Something of ours broke.
    Internal,
}

impl ApiError {
    /// 400 `bad_request`.
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::Refused {
            status: StatusCode::BAD_REQUEST,
            error: "bad_request",
            reason: reason.into(),
        }
    }

    /// What it says, for people.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::NotAuthorised(reason) => (*reason).to_owned(),
            Self::Refused { reason, .. } => reason.clone(),
            Self::NoCredentials | Self::LoginFailed => "Login failed".to_owned(),
            Self::NotFound => "Not Found".to_owned(),
            Self::Empty(status) => status.to_string(),
            Self::Internal => "see the broker's log".to_owned(),
        }
    }

    /// 404 `not_found`, for something named in a request other than the object asked for.
    pub(crate) fn missing(reason: impl Into<String>) -> Self {
        Self::Refused {
            status: StatusCode::NOT_FOUND,
            error: "not_found",
            reason: reason.into(),
        }
    }

    /// 412 `precondition_failed`.
    pub(crate) fn precondition_failed(reason: impl Into<String>) -> Self {
        Self::Refused {
            status: StatusCode::PRECONDITION_FAILED,
            error: "precondition_failed",
            reason: reason.into(),
        }
    }
}

/// Refusals of the engine, which speaks AMQP, as RabbitMQ's API translates them.
impl From<ReplyError> for ApiError {
    fn from(error: ReplyError) -> Self {
        match error.code {
            ReplyCode::AccessRefused => Self::NotAuthorised("Access refused."),
            ReplyCode::NotFound => Self::missing(error.explanation),
            ReplyCode::InternalError => Self::Internal,
            _ => Self::bad_request(error.explanation),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = |error: &str, reason: &str| Json(json!({ "error": error, "reason": reason }));
        let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"Warren Management\"")];
        let unauthorized = StatusCode::UNAUTHORIZED;
        match self {
            Self::NoCredentials => (unauthorized, challenge).into_response(),
            Self::LoginFailed => (
                unauthorized,
                challenge,
                body("not_authorized", "Login failed"),
            )
                .into_response(),
            Self::NotAuthorised(reason) => {
                (unauthorized, body("not_authorised", reason)).into_response()
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, body("Object Not Found", "Not Found")).into_response()
            }
            Self::Refused {
                status,
                error,
                reason,
            } => (status, body(error, &reason)).into_response(),
            Self::Empty(status) => status.into_response(),
            Self::Internal => {
                let body = body("internal_error", "see the broker's log");
                (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
            }
        }
    }
}

/// For every path there is none of.
pub(crate) async fn not_found() -> ApiError {
    ApiError::NotFound
}

/// Runs what takes queue locks or reads files away from the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let actor = super::actor::get();
    let work = move || super::actor::within(actor, work);
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a management request failed");
        ApiError::Internal
    })
}

/// Headers of every answer: nothing is cached, framed, guessed or loaded from elsewhere.
pub(crate) async fn protect(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(REFERRER_POLICY, "no-referrer");
    set(CACHE_CONTROL, "no-cache");
    if is_json(headers) {
        headers.insert(
            "vary",
            HeaderValue::from_static("accept, accept-encoding, origin"),
        );
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json")
}
