//! lapin over TLS. Its own TLS brings forty crates along, so a relay beside it does the encrypting.

use super::*;
use crate::harness::{tls::Authority, unique};
use lapin::options::{BasicAckOptions, ConfirmSelectOptions};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

/// Takes connections in the clear and carries them to `addr` over TLS.
async fn relay(addr: SocketAddr, config: ClientConfig) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let near = listener.local_addr()?;
    let connector = TlsConnector::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((plain, _)) = listener.accept().await {
            tokio::spawn(carry(plain, addr, connector.clone()));
        }
    });
    Ok(near)
}

async fn carry(mut plain: TcpStream, addr: SocketAddr, tls: TlsConnector) -> io::Result<()> {
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut far = tls.connect(name, TcpStream::connect(addr).await?).await?;
    copy_bidirectional(&mut plain, &mut far).await?;
    Ok(())
}

#[test]
fn confirmed_messages_of_all_sizes_over_tls() {
    let authority = Authority::new();
    let mut lines = authority.options("ssl_options");
    lines.push("listeners.ssl.1 = 127.0.0.1:0".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut broker = Broker::start(&lines);
    let addr = broker.process().banner_value("AMQPS");
    let addr = addr.expect("a listener").parse().expect("an address");
    run(async {
        let near = relay(addr, authority.client_config(None)).await;
        let uri = format!("amqp://guest:guest@{}/%2f", near.expect("a relay"));
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let q = unique("tls");
        own_queue(&channel, &q, FieldTable::default()).await?;
        let sizes: Vec<usize> = (0..200_usize).map(|n| n * n * 37 % 70_000).collect();
        for (n, size) in sizes.iter().enumerate() {
            let body = vec![n as u8; *size];
            let properties = BasicProperties::default().with_delivery_mode(2);
            publish(&channel, "", &q, &body, properties).await?;
        }
        assert!(channel.wait_for_confirms().await?.is_empty());
        let mut consumer = consume(&channel, &q).await?;
        for (n, size) in sizes.iter().enumerate() {
            let delivery = next(&mut consumer).await?;
            assert_eq!(delivery.data, vec![n as u8; *size]);
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    });
}
