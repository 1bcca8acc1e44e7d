//! RabbitMQ's own Rust client of the management API, of which the command line tool rabbitmqadmin v2
//! is made. It is strict: a field that is missing or has another type fails the whole call. Every
//! call it has is made here against the running program, except those for streams and for the
//! commercial edition's schema replication.

mod cluster;
mod live;
mod objects;
mod people;
mod rules;

use std::net::SocketAddr;
use std::sync::OnceLock;

use rabbitmq_http_client::blocking_api::{Client, ClientBuilder};
use rabbitmq_http_client::commons::PaginationParams;
use rabbitmq_http_client::requests::VirtualHostParams;
use serde_json::{Map, Value};

use crate::harness::Broker;

type Api = Client<String, String, String>;

/// The broker all of these tests share, and where its API is.
fn node() -> &'static (Broker, SocketAddr) {
    static NODE: OnceLock<(Broker, SocketAddr)> = OnceLock::new();
    NODE.get_or_init(|| {
        let mut broker = super::start(&["collect_statistics_interval = 100"]);
        let address = broker.management_addr();
        (broker, address)
    })
}

/// A client that is guest.
fn client() -> Api {
    client_as("guest", "guest")
}

fn client_as(user: &str, password: &str) -> Api {
    ClientBuilder::new()
        .with_endpoint(format!("http://{}/api", node().1))
        .with_basic_auth_credentials(user.to_owned(), password.to_owned())
        .with_recommended_defaults()
        .build()
        .unwrap()
}

fn page(size: usize) -> PaginationParams {
    PaginationParams {
        page: Some(1),
        page_size: Some(size),
    }
}

/// A vhost of the test's own, open to guest; gone afterwards.
struct Vhost<'a>(&'a Api, String);

impl<'a> Vhost<'a> {
    fn new(api: &'a Api, name: &str) -> Self {
        let name = format!("client/{name} {}", std::process::id());
        api.create_vhost(&VirtualHostParams::named(&name)).unwrap();
        api.grant_full_permissions("guest", &name).unwrap();
        Self(api, name)
    }
}

impl Drop for Vhost<'_> {
    fn drop(&mut self) {
        let _ = self.0.delete_vhost(&self.1, true);
    }
}

fn arguments(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}
