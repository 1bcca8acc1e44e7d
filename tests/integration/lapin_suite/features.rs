//! Queue features: limits, dead letters, priorities, lifetimes.

use super::*;
use crate::{
    dialogue::{boolean, field, fields, int, members},
    harness::unique,
};
use lapin::{
    ErrorKind,
    options::{BasicGetOptions, BasicRejectOptions, QueueDeleteOptions},
};

/// Takes the next message of `queue`, waiting for it.
async fn get(channel: &Channel, queue: &str) -> Result<Delivery, Error> {
    loop {
        let options = BasicGetOptions { no_ack: true };
        if let Some(message) = channel.basic_get(queue.into(), options).await? {
            return Ok(message.delivery);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn dead_letters_to(queue: &str, more: &[(&str, AMQPValue)]) -> FieldTable {
    let mut entries = vec![
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(queue)),
    ];
    entries.extend(more.iter().cloned());
    arguments(&entries)
}

/// Reason and queue of the newest death.
fn newest_death(delivery: &Delivery) -> (AMQPValue, AMQPValue) {
    let headers = delivery.properties.headers().clone().expect("headers");
    let death = fields(&members(field(&headers, "x-death"))[0]).clone();
    (
        field(&death, "reason").clone(),
        field(&death, "queue").clone(),
    )
}

#[test]
fn time_to_live_and_dead_letters() {
    run(async {
        let (_connection, channel) = connect().await?;
        let (q, dead) = (unique("ttl"), unique("dead"));
        own_queue(&channel, &dead, FieldTable::default()).await?;
        own_queue(
            &channel,
            &q,
            dead_letters_to(&dead, &[("x-message-ttl", int(50))]),
        )
        .await?;
        put(&channel, &q, "too late").await?;
        let delivery = get(&channel, &dead).await?;
        assert_eq!(text(&delivery), "too late");
        assert_eq!(newest_death(&delivery), (string("expired"), string(&q)));
        Ok(())
    });
}

#[test]
fn expiration_of_one_message() {
    run(async {
        let (_connection, channel) = connect().await?;
        let (q, dead) = (unique("expiration"), unique("dead"));
        own_queue(&channel, &dead, FieldTable::default()).await?;
        own_queue(&channel, &q, dead_letters_to(&dead, &[])).await?;
        let properties = BasicProperties::default().with_expiration("50".into());
        publish(&channel, "", &q, b"short", properties).await?;
        let delivery = get(&channel, &dead).await?;
        assert_eq!(newest_death(&delivery), (string("expired"), string(&q)));
        assert!(delivery.properties.expiration().is_none());
        Ok(())
    });
}

#[test]
fn rejected_messages_are_dead_lettered() {
    run(async {
        let (_connection, channel) = connect().await?;
        let (q, dead) = (unique("reject"), unique("dead"));
        own_queue(&channel, &dead, FieldTable::default()).await?;
        own_queue(&channel, &q, dead_letters_to(&dead, &[])).await?;
        put(&channel, &q, "no").await?;
        let mut consumer = consume(&channel, &q).await?;
        next(&mut consumer)
            .await?
            .reject(BasicRejectOptions { requeue: false })
            .await?;
        let delivery = get(&channel, &dead).await?;
        assert_eq!(newest_death(&delivery), (string("rejected"), string(&q)));
        Ok(())
    });
}

#[test]
fn max_length_drops_the_oldest() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("length");
        own_queue(&channel, &q, arguments(&[("x-max-length", int(10))])).await?;
        for i in 0..100 {
            put(&channel, &q, &i.to_string()).await?;
        }
        let mut consumer = consume_no_ack(&channel, &q).await?;
        let expected: Vec<_> = (90..100).map(|i| i.to_string()).collect();
        assert_eq!(bodies(&mut consumer, 10).await?, expected);
        Ok(())
    });
}

#[test]
fn priorities() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("priority");
        own_queue(&channel, &q, arguments(&[("x-max-priority", int(10))])).await?;
        for (body, priority) in [("low", 1), ("high", 9), ("middle", 5), ("high too", 9)] {
            let properties = BasicProperties::default().with_priority(priority);
            publish(&channel, "", &q, body.as_bytes(), properties).await?;
        }
        let mut consumer = consume_no_ack(&channel, &q).await?;
        let expected = ["high", "high too", "middle", "low"];
        assert_eq!(bodies(&mut consumer, 4).await?, expected);
        Ok(())
    });
}

#[test]
fn cancel_notification() {
    run(async {
        let (_connection, channel) = connect().await?;
        let (_other_connection, other) = connect().await?;
        let q = unique("cancel");
        let options = QueueDeclareOptions::default();
        channel
            .queue_declare(q.as_str().into(), options, FieldTable::default())
            .await?;
        let mut consumer = consume(&channel, &q).await?;
        other
            .queue_delete(q.as_str().into(), QueueDeleteOptions::default())
            .await?;
        assert!(consumer.next().await.is_none(), "the stream ends");
        // the channel goes on
        own_queue(&channel, &unique("after"), FieldTable::default()).await
    });
}

/// The code with which a passive declare of `queue` is refused, if it is.
async fn passive(connection: &Connection, queue: &str) -> Result<Option<u16>, Error> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    match channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await
    {
        Ok(_) => Ok(None),
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(error) => Ok(Some(error.get_id())),
            _ => Err(error),
        },
    }
}

#[test]
fn exclusive_queues() {
    run(async {
        let (owner, channel) = connect().await?;
        let (other, _) = connect().await?;
        let q = unique("exclusive");
        own_queue(&channel, &q, FieldTable::default()).await?;
        assert_eq!(passive(&owner, &q).await?, None);
        assert_eq!(passive(&other, &q).await?, Some(405));
        owner.close(200, short("done")).await?;
        assert_eq!(passive(&other, &q).await?, Some(404));
        Ok(())
    });
}

#[test]
fn auto_delete_queues() {
    run(async {
        let (connection, channel) = connect().await?;
        let q = unique("auto-delete");
        let options = QueueDeclareOptions {
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(q.as_str().into(), options, FieldTable::default())
            .await?;
        let consumer = consume(&channel, &q).await?;
        assert_eq!(passive(&connection, &q).await?, None);
        channel
            .basic_cancel(consumer.tag(), Default::default())
            .await?;
        assert_eq!(passive(&connection, &q).await?, Some(404));
        Ok(())
    });
}

#[test]
fn inequivalent_declare() {
    run(async {
        let (connection, channel) = connect().await?;
        let q = unique("inequivalent");
        own_queue(&channel, &q, FieldTable::default()).await?;
        let channel = connection.create_channel().await?;
        let wanted = arguments(&[("x-single-active-consumer", boolean(true))]);
        let error = own_queue(&channel, &q, wanted)
            .await
            .expect_err("another queue");
        let ErrorKind::ProtocolError(error) = error.kind() else {
            panic!("{error}")
        };
        assert_eq!(error.get_id(), 406);
        assert!(
            error.get_message().as_str().contains("inequivalent arg"),
            "{error}"
        );
        Ok(())
    });
}
