//! `GET /api/health/checks/certificate-expiration/{within}/{unit}`: are the certificates of the TLS
//! listeners good for that long?

use axum::extract::State;
use axum::response::Response;

use super::health::{failed, ok};
use crate::act::now_ms;
use crate::http::{ApiError, Manager, Path, Routes};
use crate::utc::timestamp;
use crate::view::{Json, Object};
use crate::{CertificateFile, Context, ListenerCertificate};

pub(super) fn routes() -> Routes {
    Routes::new("Health checks").get(
        "/health/checks/certificate-expiration/{within}/{unit}",
        "No certificate in use expires that soon",
        check,
    )
}

async fn check(
    State(ctx): State<Context>,
    _: Manager,
    Path((within, unit)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let until_s = now_ms() as i64 / 1000 + span_s(&within, &unit)?;
    let expiring: Vec<Json> = ctx
        .info
        .program
        .certificates()
        .iter()
        .filter(|listener| soonest(listener).is_some_and(|expiry_s| expiry_s <= until_s))
        .map(|listener| describe(&ctx, listener))
        .collect();
    if expiring.is_empty() {
        return Ok(ok());
    }
    let mut more = Object::new();
    more.put("expired", expiring);
    Ok(failed("Certificates expiring", more))
}

/// Seconds in so many units. A month has 30 days, a year 365.
fn span_s(within: &str, unit: &str) -> Result<i64, ApiError> {
    let invalid = || ApiError::bad_request("Time expression is invalid");
    let within: u32 = within.parse().map_err(|_| invalid())?;
    let days = match unit {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => {
            let text = "Unit must be one of days, weeks, months, years";
            return Err(ApiError::bad_request(text));
        }
    };
    Ok(i64::from(within) * days * 86_400)
}

fn soonest(listener: &ListenerCertificate) -> Option<i64> {
    let authorities = listener.cacertfile.iter();
    let files = std::iter::once(&listener.certfile).chain(authorities);
    files.flat_map(|file| &file.expires_on_s).min().copied()
}

fn describe(ctx: &Context, listener: &ListenerCertificate) -> Json {
    let moments = |file: &CertificateFile| -> Vec<Json> {
        let written = |s: &i64| timestamp((*s).max(0) as u64 * 1000).into();
        file.expires_on_s.iter().map(written).collect()
    };
    let mut object = Object::new();
    object.put("node", ctx.broker.settings().node_name.clone());
    object.put("protocol", listener.protocol);
    object.put("interface", listener.address.ip().to_string());
    object.put("port", listener.address.port());
    object.put("certfile", listener.certfile.path.clone());
    object.put("certfile_expires_on", moments(&listener.certfile));
    if let Some(authorities) = &listener.cacertfile {
        object.put("cacertfile", authorities.path.clone());
        object.put("cacertfile_expires_on", moments(authorities));
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn certificates_that_expire_within_the_time_are_named() {
        let node = Node::start().await;
        let ask = async |span: &str| {
            let path = format!("/api/health/checks/certificate-expiration/{span}");
            node.get(&path, Some(GUEST)).await
        };
        for span in ["0/days", "19/days", "2/weeks"] {
            let answer = ask(span).await;
            assert_eq!((answer.status, &*answer.body), (200, r#"{"status":"ok"}"#));
        }
        for span in [
            "20/days",
            "3/weeks",
            "1/months",
            "1/years",
            "4294967295/years",
        ] {
            let answer = ask(span).await;
            assert_eq!(answer.status, 503, "{span}");
            let body = answer.json();
            assert_eq!(body["reason"], "Certificates expiring");
            assert_eq!(body["expired"][0]["port"], 5671);
            assert_eq!(body["expired"][0]["certfile"], "/etc/cert.pem");
            assert!(body["expired"][0]["certfile_expires_on"][0].is_string());
        }
        for span in ["x/days", "-1/days", "1/hours", "4294967296/days"] {
            assert_eq!(ask(span).await.status, 400, "{span}");
        }
    }
}
