//! The management API as this program uses it: JSON in, JSON out, failures by their kind.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::Failure;
use crate::options::Options;

/// What stays as it is in a path's segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// An answer may be this large: the definitions of a large broker.
const ANSWER_MAX: u64 = 1 << 30;

/// A node's API with a user's credentials.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: String,
}

/// `/api/` and the segments, encoded.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = String::from("/api");
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    path
}

impl Client {
    /// Reads the certificates, if any; contacts nobody.
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(options.timeout.max(1))))
            .http_status_as_error(false);
        if let Some(file) = &options.tls_ca_cert_file {
            let pem = std::fs::read(file)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            let roots: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            let roots = RootCerts::new_with_certs(&roots);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let credentials = format!("{}:{}", options.login_user, options.login_password);
        Ok(Self {
            agent: config.build().into(),
            base: options.url.trim_end_matches('/').to_owned(),
            authorization: format!("Basic {}", STANDARD.encode(credentials)),
        })
    }

    /// The answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send("GET", path, None, &[])
    }

    /// The answer to a GET that is no JSON.
    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let (status, text) = self.exchange("GET", path, None, &[])?;
        match status {
            200..300 => Ok(text),
            _ => judge(status, &text).map(|_| text),
        }
    }

    /// Server-sent events, as long as they come or for that time; then reading fails.
    pub(crate) fn events(
        &self,
        path: &str,
        duration: Option<Duration>,
    ) -> Result<impl Read + use<>, Failure> {
        let request = self
            .request("GET", path)
            .header("accept", "text/event-stream")
            .body(())
            .map_err(|error| Failure::Usage(format!("{}: {error}", self.base)))?;
        let request = self.agent.configure_request(request);
        let request = request
            .timeout_global(None)
            .timeout_recv_body(duration)
            .build();
        let response = self.agent.run(request).map_err(|error| self.gone(&error))?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        if status != 200 {
            let text = body.read_to_string().map_err(|error| self.gone(&error))?;
            judge(status, &text)?;
        }
        Ok(body.into_reader())
    }

    /// PUT with a body.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("PUT", path, Some(body), &[])
    }

    /// POST with a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("POST", path, Some(body), &[])
    }

    /// DELETE, with further headers.
    pub(crate) fn delete(&self, path: &str, headers: &[(&str, &str)]) -> Result<Value, Failure> {
        self.send("DELETE", path, None, headers)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let (status, text) = self.exchange(method, path, body, headers)?;
        judge(status, &text)
    }

    /// Status and body.
    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<(u16, String), Failure> {
        let mut request = self
            .request(method, path)
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", self.base)))?;
        let mut response = self.agent.run(request).map_err(|error| self.gone(&error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| Failure::Unavailable(format!("{}: {error}", self.base)))?;
        Ok((status, text))
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", &self.authorization)
    }

    fn gone(&self, error: &ureq::Error) -> Failure {
        Failure::Unavailable(format!("cannot reach {}: {error}", self.base))
    }
}

fn judge(status: u16, text: &str) -> Result<Value, Failure> {
    let parsed = serde_json::from_str::<Value>(text);
    if (200..300).contains(&status) {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        return parsed.map_err(|error| Failure::Broken(format!("the answer is not JSON: {error}")));
    }
    let reason = parsed
        .ok()
        .and_then(|body| body["reason"].as_str().map(str::to_owned))
        .unwrap_or_else(|| text.trim().to_owned());
    let reason = if reason.is_empty() {
        format!("HTTP status {status}")
    } else {
        reason
    };
    Err(match status {
        401 | 403 => Failure::NotPermitted(reason),
        404 => Failure::Refused(if reason == "Not Found" {
            "no such object".to_owned()
        } else {
            reason
        }),
        503 => Failure::Unavailable(reason),
        400..500 => Failure::Refused(reason),
        _ => Failure::Broken(reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded() {
        assert_eq!(
            path(&["queues", "/", "a b/c.d"]),
            "/api/queues/%2F/a%20b%2Fc.d"
        );
    }

    #[test]
    fn answers_are_judged() {
        assert_eq!(judge(204, "").unwrap(), Value::Null);
        assert_eq!(judge(200, "[1]").unwrap()[0], 1);
        let reason = judge(400, r#"{"error":"bad_request","reason":"no"}"#).unwrap_err();
        assert!(matches!(&reason, Failure::Refused(text) if text == "no"));
        assert!(matches!(judge(401, ""), Err(Failure::NotPermitted(_))));
        assert!(matches!(judge(503, "{}"), Err(Failure::Unavailable(_))));
        assert!(matches!(judge(500, "x"), Err(Failure::Broken(_))));
    }
}
