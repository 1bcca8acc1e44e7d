//! `/api/console/session`: logging in and out, and who one is.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::http::auth::{Peer, check};
use crate::http::{ApiError, Manager};

/// Name and password, as sent once.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Bytes of a login's body at most.
const BODY_MAX: usize = 16 * 1024;

/// Who the session's user is.
pub(crate) async fn who(Manager(user): Manager) -> Response {
    describe(&user).into_response()
}

/// Opens a session: 200 with the user and a cookie, 401 otherwise.
pub(crate) async fn log_in(
    State(app): State<Context>,
    request: Request,
) -> Result<Response, ApiError> {
    if !super::sessions::is_own(request.method(), request.headers()) {
        return Err(ApiError::NotAuthorised("Not sent by the console"));
    }
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let body = axum::body::to_bytes(request.into_body(), BODY_MAX)
        .await
        .map_err(|_| ApiError::LoginFailed)?;
    let given: Credentials = serde_json::from_slice(&body).map_err(|_| ApiError::LoginFailed)?;
    let user = check(&app.broker, &given.username, &given.password, peer).map_err(quietly)?;
    let cookie = app
        .console
        .sessions
        .open(&user.name, false)
        .ok_or(ApiError::Internal)?;
    Ok(([(SET_COOKIE, cookie)], describe(&user)).into_response())
}

/// The same refusal without a challenge, at which a browser would open a dialog of its own and
/// keep the page waiting.
fn quietly(refused: ApiError) -> ApiError {
    ApiError::Refused {
        status: StatusCode::UNAUTHORIZED,
        error: "not_authorized",
        reason: refused.reason(),
    }
}

/// Ends the session; the cookie goes.
pub(crate) async fn log_out(State(app): State<Context>, headers: HeaderMap) -> Response {
    let cookie = app.console.sessions.close(&headers);
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

fn describe(user: &AuthenticatedUser) -> Json<serde_json::Value> {
    Json(json!({ "name": user.name, "tags": user.tags }))
}
