//! Real work through lapin, a client library that shares nothing with the dialogue kit but its
//! codec: what applications do, seen as they see it.

mod basics;
mod features;
mod patterns;
mod restart;
mod tls;

use crate::harness::{Broker, shared};
use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Error,
    message::Delivery,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use std::{future::Future, time::Duration};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs one test on a runtime of its own.
fn run(test: impl Future<Output = Result<(), Error>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, test).await })
        .expect("the test takes too long")
        .expect("no error");
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn connect_to(broker: &Broker) -> Result<Connection, Error> {
    let uri = format!("amqp://guest:guest@{}/%2f?heartbeat=10", broker.addr());
    Connection::connect(&uri, ConnectionProperties::default()).await
}

/// A connection to the shared broker, with a channel.
async fn connect() -> Result<(Connection, Channel), Error> {
    let connection = connect_to(shared()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// Declares an exclusive queue with these arguments.
async fn own_queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), Error> {
    let options = QueueDeclareOptions::exclusive();
    channel
        .queue_declare(name.into(), options, arguments)
        .await?;
    Ok(())
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<(), Error> {
    let options = BasicPublishOptions::default();
    channel
        .basic_publish(exchange.into(), key.into(), options, body, properties)
        .await?;
    Ok(())
}

/// Publishes to the default exchange without properties.
async fn put(channel: &Channel, queue: &str, body: &str) -> Result<(), Error> {
    publish(
        channel,
        "",
        queue,
        body.as_bytes(),
        BasicProperties::default(),
    )
    .await
}

async fn consume(channel: &Channel, queue: &str) -> Result<Consumer, Error> {
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await
}

async fn consume_no_ack(channel: &Channel, queue: &str) -> Result<Consumer, Error> {
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await
}

async fn next(consumer: &mut Consumer) -> Result<Delivery, Error> {
    consumer.next().await.expect("the consumer goes on")
}

/// The next `n` bodies.
async fn bodies(consumer: &mut Consumer, n: usize) -> Result<Vec<String>, Error> {
    let mut bodies = Vec::new();
    for _ in 0..n {
        bodies.push(text(&next(consumer).await?));
    }
    Ok(bodies)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).expect("a text")
}

fn arguments(entries: &[(&str, AMQPValue)]) -> FieldTable {
    crate::dialogue::table(entries)
}

fn string(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn short(value: &str) -> ShortString {
    value.into()
}
