//! Who may ask: HTTP Basic credentials checked against the broker's users.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use warren_broker::Broker;
use warren_broker::auth::{AuthenticatedUser, login};

use super::reply::ApiError;
use crate::Context;
use crate::console::sessions::{CONSOLE_HEADER, is_own};

/// The address a request came from; added to it by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Put to a request nobody waits for at a screen: it does not keep a session alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unattended;

/// A user who may use the management API: has one of its tags. As an argument of a handler it
/// refuses everybody else.
#[derive(Debug)]
pub(crate) struct Manager(pub(crate) AuthenticatedUser);

/// An administrator.
#[derive(Debug)]
pub(crate) struct Administrator(pub(crate) AuthenticatedUser);

/// A user who may see everybody's connections and the node: monitoring or administrator.
#[derive(Debug)]
pub(crate) struct Monitor(pub(crate) AuthenticatedUser);

impl FromRequestParts<Context> for Manager {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let user = match session(parts, ctx, peer) {
            Some(user) => user?,
            None => authenticate(&ctx.broker, &parts.headers, peer)?,
        };
        if !accepts_json(&parts.headers) {
            return Err(ApiError::Empty(StatusCode::NOT_ACCEPTABLE));
        }
        super::actor::set(&user.name);
        Ok(Self(user))
    }
}

impl FromRequestParts<Context> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let Manager(user) = Manager::from_request_parts(parts, ctx).await?;
        if !user.is_administrator() {
            return Err(ApiError::NotAuthorised("Not administrator user"));
        }
        Ok(Self(user))
    }
}

impl FromRequestParts<Context> for Monitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let Manager(user) = Manager::from_request_parts(parts, ctx).await?;
        if !user.may_monitor() {
            return Err(ApiError::NotAuthorised("Not monitor user"));
        }
        Ok(Self(user))
    }
}

/// Whether JSON is among what the client accepts; saying nothing accepts everything.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    values.peek().is_none()
        || values.any(|value| {
            let mut kinds = value.to_str().unwrap_or_default().split(',');
            kinds.any(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim();
                let kind = kind.to_ascii_lowercase();
                matches!(
                    kind.as_str(),
                    "" | "*/*"
                        | "*"
                        | "application/*"
                        | "application/json"
                        // What the console's stream of JSON answers is asked for with.
                        | "text/event-stream"
                )
            })
        })
}

/// Who the request's credentials belong to, if they may use the API at all.
fn authenticate(
    broker: &Broker,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<AuthenticatedUser, ApiError> {
    let (name, password) = credentials(headers)?;
    check(broker, &name, &password, peer)
}

/// The user of the console's session, when the request brings that instead of credentials.
fn session(
    parts: &Parts,
    ctx: &Context,
    peer: Option<IpAddr>,
) -> Option<Result<AuthenticatedUser, ApiError>> {
    if parts.headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let attended = parts.extensions.get::<Unattended>().is_none();
    match ctx.console.sessions.user(&parts.headers, attended) {
        Some(name) => Some(session_user(
            ctx,
            &name,
            &parts.method,
            &parts.headers,
            peer,
        )),
        // A challenge would make the browser ask with a dialog of its own.
        None if parts.headers.contains_key(CONSOLE_HEADER) => {
            Some(Err(ApiError::Empty(StatusCode::UNAUTHORIZED)))
        }
        None => None,
    }
}

/// The user of a session: their tags as they are now.
fn session_user(
    ctx: &Context,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<AuthenticatedUser, ApiError> {
    if !is_own(method, headers) {
        return Err(ApiError::NotAuthorised("Not sent by the console"));
    }
    let state = ctx.broker.catalog().read();
    let tags = state.user(name).map(|user| user.tags.clone());
    let user = AuthenticatedUser {
        name: name.to_owned(),
        tags: tags.ok_or(ApiError::Empty(StatusCode::UNAUTHORIZED))?,
    };
    drop(state);
    admit(&ctx.broker, user, peer)
}

/// Checks name and password, where the request came from, and that the user may be here at all.
pub(crate) fn check(
    broker: &Broker,
    name: &str,
    password: &str,
    peer: Option<IpAddr>,
) -> Result<AuthenticatedUser, ApiError> {
    // The loopback rule is applied after the password: RabbitMQ has a text of its own for it,
    // which must not tell strangers that a user exists.
    let loopback_users = &broker.settings().loopback_users;
    let (throttle, now_ms) = (broker.login_throttle(), crate::act::now_ms());
    if peer.is_some_and(|peer| !throttle.admits(peer, now_ms)) {
        tracing::warn!("HTTP access denied: too many failed logins from this address");
        return Err(ApiError::LoginFailed);
    }
    let user =
        login(broker.catalog(), name, password, true, loopback_users).map_err(|refused| {
            tracing::warn!("HTTP access denied: {refused}");
            if let Some(peer) = peer {
                throttle.failed(peer, now_ms);
            }
            ApiError::LoginFailed
        })?;
    admit(broker, user, peer)
}

fn admit(
    broker: &Broker,
    user: AuthenticatedUser,
    peer: Option<IpAddr>,
) -> Result<AuthenticatedUser, ApiError> {
    let name = &user.name;
    let is_loopback = peer.is_some_and(|ip| ip.to_canonical().is_loopback());
    if !is_loopback && broker.settings().loopback_users.contains(name) {
        tracing::warn!("HTTP access denied: user '{name}' can only connect via localhost");
        return Err(ApiError::NotAuthorised(
            "User can only log in via localhost",
        ));
    }
    if !user.may_manage() {
        return Err(ApiError::NotAuthorised("Not management user"));
    }
    Ok(user)
}

/// Name and password of an `Authorization: Basic` header.
fn credentials(headers: &HeaderMap) -> Result<(String, String), ApiError> {
    let header = headers.get(AUTHORIZATION).ok_or(ApiError::NoCredentials)?;
    decode(header.to_str().unwrap_or_default()).ok_or(ApiError::LoginFailed)
}

fn decode(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GUEST, Node, basic};

    #[test]
    fn credentials_are_decoded() {
        let decoded = |name: &str, password: &str| decode(&basic(name, password));
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(decoded("guest", "a:b"), pair("guest", "a:b"));
        assert_eq!(decoded("j\u{fc}rgen", ""), pair("j\u{fc}rgen", ""));
        assert_eq!(decode("basic Z3Vlc3Q6Z3Vlc3Q="), pair("guest", "guest"));
        for header in [
            "",
            "Basic",
            "Basic !!!",
            "Bearer Z3Vlc3Q6Z3Vlc3Q=",
            "Basic Z3Vlc3Q=",
        ] {
            assert_eq!(decode(header), None, "{header}");
        }
    }

    #[tokio::test]
    async fn without_credentials_the_api_asks_for_them() {
        let node = Node::start().await;
        let answer = node.get("/api/overview", None).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic realm=")
        );
        assert_eq!(answer.body, "");
    }

    #[tokio::test]
    async fn wrong_credentials_are_refused_as_rabbitmq_does() {
        let node = Node::start().await;
        for authorization in [
            basic("guest", "no"),
            basic("eve", "x"),
            "Basic ?".to_owned(),
        ] {
            let answer = node.get("/api/overview", Some(&authorization)).await;
            assert_eq!(answer.status, 401);
            assert_eq!(
                answer.body,
                r#"{"error":"not_authorized","reason":"Login failed"}"#
            );
            assert!(answer.header("www-authenticate").is_some());
        }
    }

    #[tokio::test]
    async fn a_user_without_a_tag_is_no_manager() {
        let node = Node::start().await;
        node.add_user("plain", &[]);
        let answer = node.get("/api/overview", Some(&basic("plain", "pw"))).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.body,
            r#"{"error":"not_authorised","reason":"Not management user"}"#
        );
        for tag in ["management", "policymaker", "monitoring", "administrator"] {
            node.add_user(tag, &[tag]);
            assert_eq!(
                node.get("/api/overview", Some(&basic(tag, "pw")))
                    .await
                    .status,
                200
            );
        }
    }

    #[tokio::test]
    async fn guest_logs_in_from_this_machine_only() {
        let node = Node::start().await;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, GUEST.parse().unwrap())]);
        let from = |ip: &str| authenticate(&node.broker, &headers, Some(ip.parse().unwrap()));
        for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
            assert!(from(ip).is_ok(), "{ip}");
        }
        let refused = ApiError::NotAuthorised("User can only log in via localhost");
        for ip in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"] {
            assert_eq!(from(ip).unwrap_err(), refused, "{ip}");
        }
        assert_eq!(
            authenticate(&node.broker, &headers, None).unwrap_err(),
            refused
        );
    }

    #[tokio::test]
    async fn an_address_with_many_failures_is_not_listened_to() {
        let node = Node::start().await;
        node.add_user("ann", &["management"]);
        let from = |ip: &str, password: &str| {
            check(&node.broker, "ann", password, Some(ip.parse().unwrap()))
        };
        let (guesser, other) = ("198.51.100.1", "198.51.100.2");
        assert!(from(guesser, "pw").is_ok());
        for _ in 0..200 {
            assert_eq!(from(guesser, "guess").unwrap_err(), ApiError::LoginFailed);
        }
        assert_eq!(from(guesser, "pw").unwrap_err(), ApiError::LoginFailed);
        assert!(from(other, "pw").is_ok());
    }
}
