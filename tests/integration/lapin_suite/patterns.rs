//! Routing patterns: publish and subscribe, routing, topics, headers, remote calls.

use super::*;
use crate::{dialogue::int, harness::unique};
use lapin::{
    ExchangeKind,
    options::{BasicAckOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions},
};

/// A fresh exchange that goes with its last binding.
async fn exchange(channel: &Channel, kind: ExchangeKind) -> Result<String, Error> {
    let name = unique("exchange");
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..Default::default()
    };
    channel
        .exchange_declare(name.as_str().into(), kind, options, FieldTable::default())
        .await?;
    Ok(name)
}

/// A server-named exclusive queue bound with these keys and arguments.
async fn subscribe(
    channel: &Channel,
    exchange: &str,
    keys: &[&str],
    arguments: FieldTable,
) -> Result<Consumer, Error> {
    let options = QueueDeclareOptions::exclusive();
    let queue = channel
        .queue_declare("".into(), options, FieldTable::default())
        .await?;
    for key in keys {
        let options = QueueBindOptions::default();
        channel
            .queue_bind(
                queue.name().clone(),
                exchange.into(),
                (*key).into(),
                options,
                arguments.clone(),
            )
            .await?;
    }
    consume_no_ack(channel, queue.name().as_str()).await
}

#[test]
fn publish_and_subscribe() {
    run(async {
        let (_connection, channel) = connect().await?;
        let logs = exchange(&channel, ExchangeKind::Fanout).await?;
        let mut one = subscribe(&channel, &logs, &[""], FieldTable::default()).await?;
        let mut two = subscribe(&channel, &logs, &[""], FieldTable::default()).await?;
        for body in ["a", "b"] {
            publish(
                &channel,
                &logs,
                "",
                body.as_bytes(),
                BasicProperties::default(),
            )
            .await?;
        }
        assert_eq!(bodies(&mut one, 2).await?, ["a", "b"]);
        assert_eq!(bodies(&mut two, 2).await?, ["a", "b"]);
        Ok(())
    });
}

/// Publishes these keys as bodies, then a last message that everybody gets.
async fn publish_keys(channel: &Channel, exchange: &str, keys: &[&str]) -> Result<(), Error> {
    for key in keys {
        publish(
            channel,
            exchange,
            key,
            key.as_bytes(),
            BasicProperties::default(),
        )
        .await?;
    }
    Ok(())
}

#[test]
fn routing() {
    run(async {
        let (_connection, channel) = connect().await?;
        let logs = exchange(&channel, ExchangeKind::Direct).await?;
        let mut errors =
            subscribe(&channel, &logs, &["error", "end"], FieldTable::default()).await?;
        let mut all = subscribe(
            &channel,
            &logs,
            &["info", "error", "end"],
            FieldTable::default(),
        )
        .await?;
        publish_keys(&channel, &logs, &["info", "error", "debug", "end"]).await?;
        assert_eq!(bodies(&mut errors, 2).await?, ["error", "end"]);
        assert_eq!(bodies(&mut all, 3).await?, ["info", "error", "end"]);
        Ok(())
    });
}

#[test]
fn topics() {
    run(async {
        let (_connection, channel) = connect().await?;
        let topic = exchange(&channel, ExchangeKind::Topic).await?;
        let mut orange = subscribe(
            &channel,
            &topic,
            &["*.orange.*", "end"],
            FieldTable::default(),
        )
        .await?;
        let mut rabbits = subscribe(
            &channel,
            &topic,
            &["*.*.rabbit", "lazy.#", "end"],
            FieldTable::default(),
        )
        .await?;
        let keys = [
            "quick.orange.rabbit",
            "lazy.orange.elephant",
            "quick.orange.fox",
            "lazy.pink.rabbit",
            "quick.brown.fox",
            "orange",
            "lazy",
            "lazy.a.b.c",
            "end",
        ];
        publish_keys(&channel, &topic, &keys).await?;
        let expected = [
            "quick.orange.rabbit",
            "lazy.orange.elephant",
            "quick.orange.fox",
            "end",
        ];
        assert_eq!(bodies(&mut orange, 4).await?, expected);
        let expected = [
            "quick.orange.rabbit",
            "lazy.orange.elephant",
            "lazy.pink.rabbit",
            "lazy",
            "lazy.a.b.c",
            "end",
        ];
        assert_eq!(bodies(&mut rabbits, 6).await?, expected);
        Ok(())
    });
}

#[test]
fn headers() {
    run(async {
        let (_connection, channel) = connect().await?;
        let exchange = exchange(&channel, ExchangeKind::Headers).await?;
        let criteria = |mode| {
            arguments(&[
                ("x-match", string(mode)),
                ("format", string("pdf")),
                ("pages", int(3)),
            ])
        };
        let mut all = subscribe(&channel, &exchange, &[""], criteria("all")).await?;
        let mut any = subscribe(&channel, &exchange, &[""], criteria("any")).await?;
        for (body, format, pages) in [
            ("neither", "zip", 1),
            ("format", "pdf", 1),
            ("pages", "zip", 3),
            ("both", "pdf", 3),
        ] {
            let headers = arguments(&[("format", string(format)), ("pages", int(pages))]);
            let properties = BasicProperties::default().with_headers(headers);
            publish(&channel, &exchange, "", body.as_bytes(), properties).await?;
        }
        assert_eq!(bodies(&mut any, 3).await?, ["format", "pages", "both"]);
        assert_eq!(bodies(&mut all, 1).await?, ["both"]);
        Ok(())
    });
}

#[test]
fn exchange_to_exchange() {
    run(async {
        let (_connection, channel) = connect().await?;
        let source = exchange(&channel, ExchangeKind::Direct).await?;
        let target = exchange(&channel, ExchangeKind::Fanout).await?;
        let mut consumer = subscribe(&channel, &target, &[""], FieldTable::default()).await?;
        channel
            .exchange_bind(
                target.as_str().into(),
                source.as_str().into(),
                "k".into(),
                ExchangeBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        publish_keys(&channel, &source, &["other", "k"]).await?;
        assert_eq!(bodies(&mut consumer, 1).await?, ["k"]);
        Ok(())
    });
}

/// Answers each request on `queue` with its body twice.
async fn serve(connection: Connection, channel: Channel, mut requests: Consumer) {
    while let Some(Ok(request)) = requests.next().await {
        let properties = &request.properties;
        let reply_to = properties.reply_to().clone().expect("an address");
        let id = properties.correlation_id().clone().expect("an id");
        let answer = text(&request).repeat(2);
        let properties = BasicProperties::default().with_correlation_id(id);
        publish(
            &channel,
            "",
            reply_to.as_str(),
            answer.as_bytes(),
            properties,
        )
        .await
        .expect("no error");
        request
            .ack(BasicAckOptions::default())
            .await
            .expect("no error");
    }
    drop(connection);
}

/// Calls the server ten times; replies come to `reply_to`.
async fn call(reply_queue: Option<&str>) -> Result<(), Error> {
    let (server, server_channel) = connect().await?;
    let q = unique("rpc");
    own_queue(&server_channel, &q, FieldTable::default()).await?;
    let requests = consume(&server_channel, &q).await?;
    let served = tokio::spawn(serve(server, server_channel, requests));

    let (_connection, channel) = connect().await?;
    let reply_to = match reply_queue {
        Some(pseudo_queue) => pseudo_queue.to_owned(),
        None => {
            let options = QueueDeclareOptions::exclusive();
            let queue = channel
                .queue_declare("".into(), options, FieldTable::default())
                .await?;
            queue.name().as_str().to_owned()
        }
    };
    let mut replies = consume_no_ack(&channel, &reply_to).await?;
    for i in 0..10 {
        let properties = BasicProperties::default()
            .with_reply_to(reply_to.as_str().into())
            .with_correlation_id(i.to_string().as_str().into());
        publish(
            &channel,
            "",
            &q,
            format!("ping {i} ").as_bytes(),
            properties,
        )
        .await?;
        let reply = next(&mut replies).await?;
        assert_eq!(text(&reply), format!("ping {i} ping {i} "));
        let id = reply.properties.correlation_id().clone().expect("an id");
        assert_eq!(id.as_str(), i.to_string());
    }
    served.abort();
    Ok(())
}

#[test]
fn remote_calls() {
    run(call(None));
}

#[test]
fn remote_calls_by_direct_reply_to() {
    run(call(Some("amq.rabbitmq.reply-to")));
}
