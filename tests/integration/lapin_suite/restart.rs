//! What an application finds after the broker was restarted under it.

use super::*;
use lapin::{
    ExchangeKind,
    options::{
        BasicAckOptions, BasicGetOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions,
    },
};

const QUEUE: &str = "orders";
const EXCHANGE: &str = "shop";

async fn set_up(broker: &Broker) -> Result<(), Error> {
    let connection = connect_to(broker).await?;
    let channel = connection.create_channel().await?;
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(
            EXCHANGE.into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await?;
    channel
        .queue_declare(
            QUEUE.into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await?;
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            QUEUE.into(),
            EXCHANGE.into(),
            "order.*".into(),
            options,
            FieldTable::default(),
        )
        .await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    for i in 0..10 {
        let properties = BasicProperties::default().with_delivery_mode(2);
        publish(
            &channel,
            EXCHANGE,
            "order.new",
            i.to_string().as_bytes(),
            properties,
        )
        .await?;
    }
    channel.wait_for_confirms().await?;
    channel.basic_qos(4, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, QUEUE).await?;
    for i in 0..4 {
        let delivery = next(&mut consumer).await?;
        if i < 2 {
            delivery.ack(BasicAckOptions::default()).await?;
        }
    }
    channel.basic_qos(0, BasicQosOptions::default()).await // the acks have been handled
}

/// Messages 2 and 3, 4 and 5 had been delivered, the others not.
async fn find(broker: &Broker) -> Result<(), Error> {
    let connection = connect_to(broker).await?;
    let channel = connection.create_channel().await?;
    for i in 2..10 {
        let options = BasicGetOptions { no_ack: true };
        let got = channel
            .basic_get(QUEUE.into(), options)
            .await?
            .expect("a message");
        assert_eq!(got.data, i.to_string().as_bytes());
        assert_eq!(got.redelivered, i < 6, "message {i}");
        assert_eq!(got.exchange.as_str(), EXCHANGE);
    }
    let properties = BasicProperties::default();
    publish(
        &channel,
        EXCHANGE,
        "order.late",
        b"the binding is there",
        properties,
    )
    .await?;
    let mut consumer = consume_no_ack(&channel, QUEUE).await?;
    assert_eq!(bodies(&mut consumer, 1).await?, ["the binding is there"]);
    Ok(())
}

#[test]
fn messages_and_definitions_survive() {
    let mut broker = Broker::start(&[]);
    run(set_up(&broker));
    broker.restart();
    run(find(&broker));
}
