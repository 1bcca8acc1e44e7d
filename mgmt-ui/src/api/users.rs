//! Users and their passwords and tags.

use std::borrow::Cow;
use std::cmp::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use warren_broker::Broker;
use warren_broker::auth::HashingAlgorithm;
use warren_broker::catalog::{Command, UserDef};

use super::vhosts::created;
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Fields, Path, Query, Routes};
use crate::view::json::Written;
use crate::view::{Json, Listing, Object, Row};

pub(super) fn routes() -> Routes {
    Routes::new("Users")
        .get("/users", "All users", list)
        .get(
            "/users/without-permissions",
            "Users that may open no vhost",
            without_permissions,
        )
        .post("/users/bulk-delete", "Delete several users", bulk_delete)
        .takes(&[("users", "array", "names")])
        .get("/users/{name}", "One user", one)
        .put("/users/{name}", "Create or replace a user", put)
        .takes(&[
            (
                "tags",
                "array",
                "such as administrator, monitoring, policymaker, management",
            ),
            (
                "password",
                "string",
                "without it and password_hash no password will do",
            ),
            ("password_hash", "string", "base64 of salt and digest"),
            ("hashing_algorithm", "string", "of password_hash"),
        ])
        .delete("/users/{name}", "Delete a user", delete)
        .get(
            "/auth/hash_password/{password}",
            "The hash of a password",
            hash_password,
        )
}

/// A user as a row of a list.
struct UserRow {
    name: String,
    user: UserDef,
}

impl Row for UserRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }

    fn render(&self, _: &Listing) -> Object {
        let tags = self.user.tags.iter().map(|tag| Json::from(tag.clone()));
        let mut object = Object::new();
        object.put("name", self.name.clone());
        object.put("password_hash", self.user.password_hash.clone());
        object.put("hashing_algorithm", self.user.hashing_algorithm.as_str());
        object.put("tags", tags.collect::<Vec<_>>());
        object.put("limits", &serde_json::json!(self.user.limits));
        object
    }
}

async fn list(
    State(ctx): State<Context>,
    _: Administrator,
    query: Query,
) -> Result<Written, ApiError> {
    let state = ctx.broker.catalog().read();
    listed(&query, state.users())
}

async fn without_permissions(
    State(ctx): State<Context>,
    _: Administrator,
    query: Query,
) -> Result<Written, ApiError> {
    let state = ctx.broker.catalog().read();
    let nowhere = state.users().filter(|(name, _)| {
        let mut vhosts = state.vhosts();
        !vhosts.any(|(vhost, _)| state.permission(name, vhost).is_some())
    });
    listed(&query, nowhere)
}

fn listed<'a>(
    query: &Query,
    users: impl Iterator<Item = (&'a str, &'a UserDef)>,
) -> Result<Written, ApiError> {
    let rows = users.map(|(name, user)| UserRow {
        name: name.to_owned(),
        user: user.clone(),
    });
    Listing::of(query)?.answer(rows.collect())
}

async fn one(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<Json, ApiError> {
    let user = ctx.broker.catalog().read().user(&name).cloned();
    let user = user.ok_or(ApiError::NotFound)?;
    Ok(UserRow { name, user }.render(&Listing::default()).into())
}

async fn put(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let Some(tags) = fields.tags("tags")? else {
        return Err(ApiError::bad_request("tags_not_present"));
    };
    refuse_protected(&ctx.broker, &name)?;
    let (password_hash, hashing_algorithm) = password(&ctx.broker, &fields)?;
    let new = ctx.broker.catalog().read().user(&name).is_none();
    ctx.propose(Command::PutUser {
        name,
        password_hash,
        hashing_algorithm,
        tags,
    })
    .await?;
    Ok(created(new))
}

/// The hash to store: of a password, as given, or one that no password has.
fn password(broker: &Broker, fields: &Fields) -> Result<(String, HashingAlgorithm), ApiError> {
    let (password, hash) = (fields.text("password")?, fields.text("password_hash")?);
    match (password, hash) {
        (Some(_), Some(_)) => Err(ApiError::bad_request(
            "both_password_and_password_hash_are_provided",
        )),
        (None, None) | (Some(""), None) => Ok((String::new(), HashingAlgorithm::Sha256)),
        (Some(password), None) => broker
            .settings()
            .passwords
            .store(password)
            .map_err(|why| ApiError::bad_request(why.to_string())),
        (None, Some(hash)) => {
            if STANDARD.decode(hash).is_err() {
                return Err(ApiError::bad_request("password_hash is not base64"));
            }
            let algorithm = match fields.text("hashing_algorithm")? {
                None => HashingAlgorithm::Sha256,
                Some(name) => HashingAlgorithm::from_name(name).ok_or_else(|| {
                    ApiError::bad_request(format!("unknown hashing algorithm '{name}'"))
                })?,
            };
            Ok((hash.to_owned(), algorithm))
        }
    }
}

/// Users tagged `protected` are changed on the command line only.
fn refuse_protected(broker: &Broker, name: &str) -> Result<(), ApiError> {
    let state = broker.catalog().read();
    match state.user(name) {
        Some(user) if user.tags.iter().any(|tag| tag == "protected") => Err(ApiError::bad_request(
            format!("user '{name}' is protected from changes"),
        )),
        _ => Ok(()),
    }
}

async fn delete(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    if ctx.broker.catalog().read().user(&name).is_none() {
        return Err(ApiError::NotFound);
    }
    refuse_protected(&ctx.broker, &name)?;
    ctx.change(move |broker, turn| Ok(broker.delete_user(&name, turn)?))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes all or, when one of them is not there or protected, none.
async fn bulk_delete(
    State(ctx): State<Context>,
    _: Administrator,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    fields.require(&["users"])?;
    let names = fields.tags("users")?.unwrap_or_default();
    for name in &names {
        if ctx.broker.catalog().read().user(name).is_none() {
            return Err(ApiError::bad_request(format!("no_such_user: {name}")));
        }
        refuse_protected(&ctx.broker, name)?;
    }
    ctx.change(move |broker, turn| {
        for name in &names {
            // The same name twice is no mistake.
            if broker.catalog().read().user(name).is_some() {
                broker.delete_user(name, turn)?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hash_password(
    State(ctx): State<Context>,
    _: Administrator,
    Path(password): Path<String>,
) -> Result<Json, ApiError> {
    let stored = ctx.broker.settings().passwords.store(&password);
    let (hash, _) = stored.map_err(|why| ApiError::bad_request(why.to_string()))?;
    let mut object = Object::new();
    object.put("ok", hash);
    Ok(object.into())
}
