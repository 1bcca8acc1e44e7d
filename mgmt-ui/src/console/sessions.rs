//! Sessions of the console: a random token in a cookie that scripts cannot read stands for a
//! user who has shown a password. Kept in memory only: a restart ends them all.
//!
//! A cookie travels with every request of the browser, also one that another site caused. So
//! what changes anything must carry a header that such a site cannot send, and the browser's own
//! word for where the request came from must not name another site.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Name of the cookie.
const COOKIE_NAME: &str = "warren_session";
/// Sent by the console with each of its requests.
pub(crate) const CONSOLE_HEADER: &str = "x-warren-console";
/// A session nobody uses ends after this.
const IDLE: Duration = Duration::from_secs(8 * 3600);
/// More sessions than this at a time: the least used one ends.
const SESSIONS_MAX: usize = 1000;

struct Session {
    user: String,
    last_used: Instant,
}

/// All sessions, by the hash of their token: what leaks from memory cannot be sent as a cookie.
#[derive(Default)]
pub(crate) struct Sessions {
    list: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Opens a session for a user who has logged in; the value of the `Set-Cookie` header.
    pub(crate) fn open(&self, user: &str, secure: bool) -> Option<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let mut list = self.list.lock();
        list.retain(|_, session| session.last_used.elapsed() < IDLE);
        if list.len() >= SESSIONS_MAX
            && let Some(oldest) = list
                .iter()
                .min_by_key(|(_, session)| session.last_used)
                .map(|(hash, _)| *hash)
        {
            list.remove(&oldest);
        }
        let session = Session {
            user: user.to_owned(),
            last_used: Instant::now(),
        };
        list.insert(hash(&token), session);
        Some(cookie(&token, secure))
    }

    /// The user of the request's session. `attended`: somebody is there, which keeps it alive.
    pub(crate) fn user(&self, headers: &HeaderMap, attended: bool) -> Option<String> {
        let token = token(headers)?;
        let mut list = self.list.lock();
        let session = list.get_mut(&hash(token))?;
        if session.last_used.elapsed() >= IDLE {
            return None;
        }
        if attended {
            session.last_used = Instant::now();
        }
        Some(session.user.clone())
    }

    /// Ends the request's session; the value of the `Set-Cookie` header that removes it.
    pub(crate) fn close(&self, headers: &HeaderMap) -> String {
        if let Some(token) = token(headers) {
            self.list.lock().remove(&hash(token));
        }
        format!("{}; Max-Age=0", cookie("", false))
    }
}

/// Whether a request with a session's cookie may be what the console itself asked for.
pub(crate) fn is_own(method: &Method, headers: &HeaderMap) -> bool {
    let elsewhere = headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    !elsewhere && (reads || headers.contains_key(CONSOLE_HEADER))
}

fn cookie(token: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, token)| token)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(set_cookie: &str) -> HeaderMap {
        let pair = set_cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())])
    }

    #[test]
    fn a_session_lasts_until_it_is_closed() {
        let sessions = Sessions::default();
        let cookie = sessions.open("alice", false).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        let headers = with_cookie(&cookie);
        assert_eq!(sessions.user(&headers, true).as_deref(), Some("alice"));
        assert!(sessions.close(&headers).contains("Max-Age=0"));
        assert_eq!(sessions.user(&headers, true), None);
        assert_eq!(sessions.user(&HeaderMap::new(), true), None);
        assert_eq!(
            sessions.user(&with_cookie("warren_session=guess"), true),
            None
        );
    }

    #[test]
    fn their_number_is_bounded() {
        let sessions = Sessions::default();
        for _ in 0..SESSIONS_MAX + 10 {
            sessions.open("a", true).unwrap();
        }
        assert_eq!(sessions.list.lock().len(), SESSIONS_MAX);
    }

    #[test]
    fn another_site_cannot_use_it() {
        let from = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect()
        };
        let own = [(CONSOLE_HEADER, "1"), ("sec-fetch-site", "same-origin")];
        assert!(is_own(&Method::PUT, &from(&own)));
        assert!(is_own(&Method::GET, &from(&[])));
        assert!(!is_own(&Method::POST, &from(&[])));
        for site in ["cross-site", "same-site"] {
            assert!(!is_own(&Method::GET, &from(&[("sec-fetch-site", site)])));
            assert!(!is_own(
                &Method::PUT,
                &from(&[("sec-fetch-site", site), (CONSOLE_HEADER, "1")])
            ));
        }
    }
}
