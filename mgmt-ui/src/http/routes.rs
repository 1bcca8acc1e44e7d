//! Declaring endpoints. A route declared here gets HEAD (with GET), OPTIONS with the right
//! `allow`, an empty 405 for other methods, and its place in the API's description: there is no
//! other way into the router, so none can be missing from it.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::http::header::ALLOW;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, options};

use crate::Context;

/// A field of a request's body, for the description: name, JSON type, meaning.
pub(crate) type FieldDoc = (&'static str, &'static str, &'static str);

/// One method of one path, as the description shows it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// The area it belongs to.
    pub(crate) area: &'static str,
    /// Query parameters and what they mean.
    pub(crate) query: Vec<(&'static str, &'static str)>,
    /// Fields of its body.
    pub(crate) body: Vec<FieldDoc>,
    /// Needs no login.
    pub(crate) public: bool,
}

struct Entry {
    router: MethodRouter<Context>,
    operations: Vec<Operation>,
}

/// Endpoints of one area, or of all.
pub(crate) struct Routes {
    area: &'static str,
    entries: BTreeMap<String, Entry>,
    /// Path and index of the operation added last, for the methods that describe it.
    last: Option<String>,
}

impl Routes {
    /// No endpoints yet; `area` is their heading in the description.
    pub(crate) fn new(area: &'static str) -> Self {
        Self {
            area,
            entries: BTreeMap::new(),
            last: None,
        }
    }

    /// `GET /api{path}`, and HEAD with it.
    pub(crate) fn get<H, T>(self, path: &str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::GET, MethodFilter::GET, path, summary, handler)
    }

    /// `PUT /api{path}`.
    pub(crate) fn put<H, T>(self, path: &str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::PUT, MethodFilter::PUT, path, summary, handler)
    }

    /// `POST /api{path}`.
    pub(crate) fn post<H, T>(self, path: &str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::POST, MethodFilter::POST, path, summary, handler)
    }

    /// `DELETE /api{path}`.
    pub(crate) fn delete<H, T>(self, path: &str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::DELETE, MethodFilter::DELETE, path, summary, handler)
    }

    /// Describes a query parameter of the endpoint added last.
    pub(crate) fn query(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some(operation) = self.last_operation() {
            operation.query.push((name, meaning));
        }
        self
    }

    /// Describes the body of the endpoint added last.
    pub(crate) fn takes(mut self, fields: &[FieldDoc]) -> Self {
        if let Some(operation) = self.last_operation() {
            operation.body.extend_from_slice(fields);
        }
        self
    }

    /// Says that the endpoint added last needs no login.
    pub(crate) fn public(mut self) -> Self {
        if let Some(operation) = self.last_operation() {
            operation.public = true;
        }
        self
    }

    /// Adds the endpoints of another area. The same path may be in both, with other methods.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        for (path, entry) in other.entries {
            match self.entries.remove(&path) {
                None => self.entries.insert(path, entry),
                Some(mut known) => {
                    known.router = known.router.merge(entry.router);
                    known.operations.extend(entry.operations);
                    self.entries.insert(path, known)
                }
            };
        }
        self
    }

    /// Paths, without `/api`, and what may be done there.
    pub(crate) fn described(&self) -> BTreeMap<String, Vec<Operation>> {
        let entries = self.entries.iter();
        entries
            .map(|(path, entry)| (path.clone(), entry.operations.clone()))
            .collect()
    }

    /// The router for all of it, under `/api`.
    pub(crate) fn into_router(self) -> Router<Context> {
        let mut router = Router::new();
        for (path, entry) in self.entries {
            let allow = allowed(&entry.operations);
            let answer = move || async move { (StatusCode::OK, [(ALLOW, allow)]) };
            let methods = entry.router.merge(options(answer));
            router = router.route(&format!("/api{path}"), methods);
        }
        router
    }

    fn on<H, T>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        let entry = self
            .entries
            .entry(path.to_owned())
            .or_insert_with(|| Entry {
                router: MethodRouter::new(),
                operations: Vec::new(),
            });
        entry.router = std::mem::take(&mut entry.router).on(filter, handler);
        entry.operations.push(Operation {
            method,
            summary,
            area: self.area,
            query: Vec::new(),
            body: Vec::new(),
            public: false,
        });
        self.last = Some(path.to_owned());
        self
    }

    fn last_operation(&mut self) -> Option<&mut Operation> {
        let entry = self.entries.get_mut(self.last.as_deref()?)?;
        entry.operations.last_mut()
    }
}

/// The value of `allow`, in RabbitMQ's order.
fn allowed(operations: &[Operation]) -> String {
    let has = |method: &Method| operations.iter().any(|o| o.method == *method);
    let mut names = Vec::new();
    if has(&Method::GET) {
        names.extend(["HEAD", "GET"]);
    }
    for (method, name) in [
        (Method::PUT, "PUT"),
        (Method::POST, "POST"),
        (Method::DELETE, "DELETE"),
    ] {
        if has(&method) {
            names.push(name);
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}
