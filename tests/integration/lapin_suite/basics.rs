//! One queue, one or a few clients: the first pages of every tutorial.

use super::*;
use crate::harness::unique;
use lapin::{
    Confirmation,
    options::{
        BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions, BasicRecoverOptions,
        ConfirmSelectOptions, QueueDeleteOptions,
    },
};

#[test]
fn hello_world() {
    run(async {
        let (connection, channel) = connect().await?;
        let q = unique("hello");
        own_queue(&channel, &q, FieldTable::default()).await?;
        put(&channel, &q, "Hello, world!").await?;
        let mut consumer = consume_no_ack(&channel, &q).await?;
        let delivery = next(&mut consumer).await?;
        assert_eq!(text(&delivery), "Hello, world!");
        assert_eq!(delivery.routing_key.as_str(), q);
        connection.close(200, short("done")).await
    });
}

#[test]
fn work_queue() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("work");
        channel
            .queue_declare(
                q.as_str().into(),
                QueueDeclareOptions::durable(),
                FieldTable::default(),
            )
            .await?;
        let mut workers = Vec::new();
        for _ in 0..3 {
            let (connection, channel) = connect().await?;
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            let consumer = consume(&channel, &q).await?;
            workers.push(tokio::spawn(work(connection, consumer)));
        }
        for i in 0..60 {
            let persistent = BasicProperties::default().with_delivery_mode(2);
            publish(&channel, "", &q, i.to_string().as_bytes(), persistent).await?;
        }
        let mut done = Vec::new();
        for worker in workers {
            let tasks = worker.await.expect("no panic")?;
            assert!(!tasks.is_empty(), "everybody gets work");
            assert!(tasks.is_sorted(), "each in order: {tasks:?}");
            done.extend(tasks);
        }
        done.sort_unstable();
        assert_eq!(done, (0..60).collect::<Vec<_>>());
        let left = channel
            .queue_delete(q.as_str().into(), QueueDeleteOptions::default())
            .await?;
        assert_eq!(left, 0);
        Ok(())
    });
}

/// Acks tasks one by one until none has come for a second.
async fn work(connection: Connection, mut consumer: Consumer) -> Result<Vec<u32>, Error> {
    let mut tasks = Vec::new();
    while let Ok(delivery) = tokio::time::timeout(Duration::from_secs(1), next(&mut consumer)).await
    {
        let delivery = delivery?;
        tasks.push(text(&delivery).parse().expect("a number"));
        tokio::time::sleep(Duration::from_millis(2)).await;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    connection.close(200, short("done")).await?;
    Ok(tasks)
}

#[test]
fn confirms() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("confirms");
        channel
            .queue_declare(
                q.as_str().into(),
                QueueDeclareOptions::durable(),
                FieldTable::default(),
            )
            .await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let mut pending = Vec::new();
        for i in 0..1000u32 {
            let options = BasicPublishOptions::default();
            let body = i.to_le_bytes();
            let confirm = channel
                .basic_publish(
                    "".into(),
                    q.as_str().into(),
                    options,
                    &body,
                    persistent.clone(),
                )
                .await?;
            pending.push(confirm);
        }
        for confirm in pending {
            assert_eq!(confirm.await?, Confirmation::Ack(None));
        }
        let left = channel
            .queue_delete(q.as_str().into(), QueueDeleteOptions::default())
            .await?;
        assert_eq!(left, 1000);
        Ok(())
    });
}

#[test]
fn mandatory_returns() {
    run(async {
        let (_connection, channel) = connect().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let nowhere = unique("nowhere");
        let confirm = channel
            .basic_publish(
                "".into(),
                nowhere.as_str().into(),
                options,
                b"come back",
                BasicProperties::default(),
            )
            .await?
            .await?;
        let returned = confirm.take_message().expect("a returned message");
        assert_eq!(returned.reply_code, 312);
        assert_eq!(returned.reply_text.as_str(), "NO_ROUTE");
        assert_eq!(returned.delivery.data, b"come back");
        Ok(())
    });
}

#[test]
fn transactions() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("tx");
        own_queue(&channel, &q, FieldTable::default()).await?;
        channel.tx_select().await?;
        put(&channel, &q, "dropped").await?;
        channel.tx_rollback().await?;
        put(&channel, &q, "kept").await?;
        channel.tx_commit().await?;
        let get = BasicGetOptions::default();
        let got = channel
            .basic_get(q.as_str().into(), get)
            .await?
            .expect("a message");
        assert_eq!((got.data.as_slice(), got.message_count), (&b"kept"[..], 0));
        got.ack(BasicAckOptions::default()).await?;
        channel.tx_commit().await?;
        assert!(channel.basic_get(q.as_str().into(), get).await?.is_none());
        Ok(())
    });
}

#[test]
fn nack_requeue_keeps_order() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("nack");
        own_queue(&channel, &q, FieldTable::default()).await?;
        for body in ["a", "b", "c", "d"] {
            put(&channel, &q, body).await?;
        }
        channel.basic_qos(3, BasicQosOptions::default()).await?;
        let mut consumer = consume(&channel, &q).await?;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(next(&mut consumer).await?);
        }
        let requeue = BasicNackOptions {
            multiple: true,
            requeue: true,
        };
        held[2].nack(requeue).await?;
        let again = bodies(&mut consumer, 3).await?;
        assert_eq!(again, ["a", "b", "c"]);
        Ok(())
    });
}

#[test]
fn recover() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("recover");
        own_queue(&channel, &q, FieldTable::default()).await?;
        for body in ["a", "b"] {
            put(&channel, &q, body).await?;
        }
        let mut consumer = consume(&channel, &q).await?;
        assert_eq!(bodies(&mut consumer, 2).await?, ["a", "b"]);
        channel
            .basic_recover(BasicRecoverOptions { requeue: true })
            .await?;
        for body in ["a", "b"] {
            let delivery = next(&mut consumer).await?;
            assert!(delivery.redelivered);
            assert_eq!(text(&delivery), body);
        }
        Ok(())
    });
}

#[test]
fn bodies_of_all_sizes() {
    run(async {
        let (_connection, channel) = connect().await?;
        let q = unique("sizes");
        own_queue(&channel, &q, FieldTable::default()).await?;
        let mut consumer = consume_no_ack(&channel, &q).await?;
        for size in [0, 1, 4096, 131_063, 131_064, 131_065, 262_128, 5_000_000] {
            let body: Vec<u8> = (0..size)
                .map(|i: u32| (i.wrapping_mul(31) >> 3) as u8)
                .collect();
            publish(&channel, "", &q, &body, BasicProperties::default()).await?;
            let delivery = next(&mut consumer).await?;
            assert!(delivery.data == body, "{size} bytes came back changed");
        }
        Ok(())
    });
}

#[test]
fn many_channels() {
    run(async {
        let (connection, first) = connect().await?;
        let q = unique("channels");
        own_queue(&first, &q, FieldTable::default()).await?;
        let mut channels = Vec::new();
        for _ in 0..200 {
            channels.push(connection.create_channel().await?);
        }
        for (i, channel) in channels.iter().enumerate() {
            put(channel, &q, &i.to_string()).await?;
        }
        let mut consumer = consume_no_ack(&first, &q).await?;
        let mut numbers: Vec<usize> = Vec::new();
        for body in bodies(&mut consumer, 200).await? {
            numbers.push(body.parse().expect("a number"));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
        for channel in channels {
            channel.close(200, short("done")).await?;
        }
        Ok(())
    });
}
