//! Connections, channels and consumers while there are some.

use super::{client, node, page};
use crate::dialogue::*;
use crate::harness::unique;

#[test]
fn connections_channels_consumers() {
    let api = client();
    let mut peer = node().0.client();
    let queue = unique("live");
    peer.call(1, declare(&queue));
    peer.call(1, consume(&queue, "tag"));
    let page = page(500);
    let own = || {
        let all = api.list_consumers().unwrap();
        let mut all = all.into_iter();
        all.find(|consumer| consumer.queue.name == queue)
    };
    let consumer = own().unwrap();
    assert_eq!(consumer.consumer_tag, "tag");
    assert_eq!(consumer.delivery_ack_timeout, 1_800_000);
    let channel = consumer.channel_details.unwrap();
    let name = channel.connection_name.as_str();
    assert_eq!(api.get_connection_info(name).unwrap().name, name);
    assert_eq!(api.get_channel_info(&channel.name).unwrap().id, 1);
    assert_eq!(api.list_channels_on(name).unwrap().len(), 1);
    for connections in [
        api.list_connections().unwrap(),
        api.list_connections_paged(&page).unwrap(),
        api.list_connections_in("/").unwrap(),
    ] {
        assert!(connections.iter().any(|known| known.name == name));
    }
    let of_user = api.list_user_connections("guest").unwrap();
    assert!(of_user.iter().any(|known| known.name == name));
    for channels in [
        api.list_channels().unwrap(),
        api.list_channels_paged(&page).unwrap(),
        api.list_channels_in("/").unwrap(),
        api.list_channels_in_paged("/", &page).unwrap(),
    ] {
        assert!(channels.iter().any(|known| known.name == channel.name));
    }
    assert!(!api.list_consumers_in("/").unwrap().is_empty());
    api.get_queue_info("/", &queue).unwrap();
    api.close_connection(name, Some("why not"), false).unwrap();
    peer.expect_connection_close(320, "CONNECTION_FORCED - why not", (0, 0));
    api.close_connection("127.0.0.1:1 -> 127.0.0.1:2", Some("why not"), true)
        .unwrap();
    api.close_connection("127.0.0.1:1 -> 127.0.0.1:2", None, false)
        .unwrap_err();
    api.close_user_connections("nobody", Some("why not"), false)
        .unwrap();
}
