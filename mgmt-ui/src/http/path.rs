//! Names in paths and parameters of queries, with JSON errors.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::reply::ApiError;

/// The decoded parts of a path, as axum's own, but refusing in JSON.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(names)) => Ok(Self(names)),
            Err(refused) => Err(ApiError::bad_request(refused.body_text())),
        }
    }
}

/// The query's parameters; of one given twice the last counts.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(refused) => Err(ApiError::bad_request(refused.body_text())),
        }
    }
}

impl Query {
    /// The value of a parameter, if it is given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether it is given as `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// One decoded part of the path by its name in the route; for extractors.
pub(super) async fn part(parts: &mut Parts, name: &str) -> Result<Option<String>, ApiError> {
    match axum::extract::RawPathParams::from_request_parts(parts, &()).await {
        Ok(all) => Ok(all
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())),
        Err(refused) => Err(ApiError::bad_request(refused.body_text())),
    }
}

#[cfg(test)]
impl From<HashMap<String, String>> for Query {
    fn from(parameters: HashMap<String, String>) -> Self {
        Self(parameters)
    }
}
