//! Which vhosts a user may see or work in, as arguments of handlers of paths with `{vhost}`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use warren_broker::Vhost;
use warren_broker::auth::AuthenticatedUser;

use super::auth::Manager;
use super::path::part;
use super::reply::ApiError;
use crate::Context;

/// The vhosts a listing is about: the one in the path, else the one in the header `x-vhost`, else
/// all the user may see; by name. For reading only.
pub(crate) struct VhostScope {
    pub(crate) user: AuthenticatedUser,
    pub(crate) vhosts: Vec<Arc<Vhost>>,
}

/// The vhost in the path, for a user who has a permission there. Tags alone do not suffice.
pub(crate) struct MemberVhost {
    pub(crate) user: AuthenticatedUser,
    pub(crate) vhost: Arc<Vhost>,
}

/// The vhost in the path, for an administrator, or a policymaker with a permission there.
pub(crate) struct PolicyVhost {
    pub(crate) user: AuthenticatedUser,
    pub(crate) vhost: Arc<Vhost>,
}

impl Context {
    /// Whether the user may open the vhost.
    pub(crate) fn is_member(&self, user: &AuthenticatedUser, vhost: &str) -> bool {
        let state = self.broker.catalog().read();
        state.permission(&user.name, vhost).is_some()
    }

    /// Whether the user may read what is in the vhost.
    pub(crate) fn may_read(&self, user: &AuthenticatedUser, vhost: &str) -> bool {
        user.is_administrator()
            || (self.info.http.monitoring_reads_all_vhosts && user.may_monitor())
            || self.is_member(user, vhost)
    }

    /// The vhosts whose objects the user may read, by name.
    pub(crate) fn readable_vhosts(&self, user: &AuthenticatedUser) -> Vec<Arc<Vhost>> {
        let mut vhosts = self.broker.vhosts();
        vhosts.retain(|vhost| self.may_read(user, vhost.name()));
        vhosts.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        vhosts
    }
}

const NOT_A_MEMBER: ApiError =
    ApiError::NotAuthorised("User not authorised to access virtual host");

impl FromRequestParts<Context> for VhostScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let Manager(user) = Manager::from_request_parts(parts, ctx).await?;
        let header = || {
            let value = parts.headers.get("x-vhost")?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let header = header();
        let Some(name) = part(parts, "vhost").await?.or(header) else {
            let vhosts = ctx.readable_vhosts(&user);
            return Ok(Self { user, vhosts });
        };
        let vhost = ctx.broker.vhost(&name).ok_or(ApiError::NotFound)?;
        if !ctx.may_read(&user, &name) {
            return Err(NOT_A_MEMBER);
        }
        Ok(Self {
            user,
            vhosts: vec![vhost],
        })
    }
}

impl FromRequestParts<Context> for MemberVhost {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let Manager(user) = Manager::from_request_parts(parts, ctx).await?;
        let vhost = vhost_of(parts, ctx).await?;
        if !ctx.is_member(&user, vhost.name()) {
            return Err(NOT_A_MEMBER);
        }
        Ok(Self { user, vhost })
    }
}

impl FromRequestParts<Context> for PolicyVhost {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let Manager(user) = Manager::from_request_parts(parts, ctx).await?;
        if !user.may_set_policies() {
            return Err(NOT_AN_OBJECT_OF_THEIRS);
        }
        let vhost = vhost_of(parts, ctx).await?;
        if !user.is_administrator() && !ctx.is_member(&user, vhost.name()) {
            return Err(NOT_AN_OBJECT_OF_THEIRS);
        }
        Ok(Self { user, vhost })
    }
}

const NOT_AN_OBJECT_OF_THEIRS: ApiError =
    ApiError::NotAuthorised("User not authorised to access object");

/// The vhost named in the path. RabbitMQ has a text of its own when something is to be put there.
async fn vhost_of(parts: &mut Parts, ctx: &Context) -> Result<Arc<Vhost>, ApiError> {
    let name = part(parts, "vhost").await?.ok_or(ApiError::NotFound)?;
    ctx.broker.vhost(&name).ok_or(match parts.method {
        Method::PUT => ApiError::missing("vhost_not_found"),
        _ => ApiError::NotFound,
    })
}
