//! Lists: pages, filters, sorting, columns; single objects and their bindings.

use serde_json::{Value, json};

use super::{api, await_seen, encoded, see, start};
use crate::{dialogue::*, harness::http_get};

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn queues_are_paged_filtered_and_sorted() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    for n in 0..12 {
        c.call(1, declare(&format!("q{n:02}")));
        for _ in 0..n % 5 {
            c.put(&format!("q{n:02}"), "x");
        }
    }
    c.call(1, qos(0));
    let page = see(
        &mut broker,
        "/queues?page=2&page_size=5&name=Q&use_regex=false&pagination=true",
    );
    assert_eq!(names(&page["items"]), ["q05", "q06", "q07", "q08", "q09"]);
    for (field, n) in [
        ("total_count", 12),
        ("filtered_count", 12),
        ("item_count", 5),
        ("page", 2),
        ("page_size", 5),
        ("page_count", 3),
    ] {
        assert_eq!(page[field], n, "{field}");
    }
    let path = "/queues?page=1&page_size=3&sort=messages&sort_reverse=true&columns=name,messages";
    let page = see(&mut broker, path);
    assert_eq!(
        page["items"],
        json!([
            { "name": "q09", "messages": 4 },
            { "name": "q04", "messages": 4 },
            { "name": "q08", "messages": 3 },
        ])
    );
    let page = see(
        &mut broker,
        "/queues/%2F?page=1&name=%5Eq0%5B13%5D%24&use_regex=true",
    );
    assert_eq!(names(&page["items"]), ["q01", "q03"]);
    assert_eq!(page["total_count"], 12);
    // Unknown keys sort nothing, deep ones do.
    let list = see(&mut broker, "/queues?sort=nope&columns=name");
    assert_eq!(names(&list)[..2], ["q00", "q01"]);
    let list = see(
        &mut broker,
        "/queues?sort=message_stats.publish&sort_reverse=true",
    );
    assert_eq!(names(&list)[0], "q09");
    let list = see(
        &mut broker,
        "/queues?sort=backing_queue_status.len&sort_reverse=true",
    );
    assert_eq!(names(&list)[0], "q09");
    // Without statistics only what does not change, and the totals when asked for.
    let list = see(&mut broker, "/queues?disable_stats=true");
    assert!(list[3].get("messages").is_none() && list[3].get("consumers").is_none());
    let list = see(
        &mut broker,
        "/queues?disable_stats=true&enable_queue_totals=true",
    );
    assert_eq!(list[3]["messages"], 3);
    let (status, error) = api(&mut broker, "/queues?page=50&page_size=100");
    assert_eq!(status, 400);
    let reason = "Page out of range, page: 50 page size: 100, len: 12";
    assert_eq!(
        error,
        json!({ "error": "page_out_of_range", "reason": reason })
    );
    for missing in [
        "/queues/%2F/nope",
        "/queues/nope",
        "/queues/%2F/nope/bindings",
    ] {
        assert_eq!(api(&mut broker, missing).0, 404, "{missing}");
    }
}

#[test]
fn connections_and_channels_show_themselves() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    let login = Login::as_user("bob").at("v1");
    let mut bob = broker.client_as(&login);
    bob.open_channel(7);
    c.call(1, declare("shown"));
    c.call(1, consume("shown", "tag"));
    let list = see(&mut broker, "/connections?sort=user");
    let users: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["user"].as_str().unwrap())
        .collect();
    assert_eq!(users, ["bob", "guest"]);
    let theirs = &list[0];
    assert_eq!(theirs["vhost"], "v1");
    assert_eq!(theirs["channels"], 2);
    assert_eq!(theirs["state"], "running");
    assert_eq!(theirs["protocol"], "AMQP 0-9-1");
    assert!(theirs["recv_oct"].as_u64().unwrap() > 8);
    assert!(theirs["send_cnt"].as_u64().unwrap() > 0);
    let path = encoded(theirs["name"].as_str().unwrap());
    let channels = see(&mut broker, &format!("/connections/{path}/channels"));
    let numbers: Vec<&Value> = channels
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["number"])
        .collect();
    assert_eq!(numbers, [1, 7]);
    assert_eq!(see(&mut broker, "/channels").as_array().unwrap().len(), 3);
    assert_eq!(
        see(&mut broker, "/vhosts/v1/channels")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        see(&mut broker, "/vhosts/v1/connections")
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let own = see(&mut broker, "/connections/username/bob");
    let wanted = json!([{
        "name": theirs["name"], "vhost": "v1", "user": "bob", "node": theirs["node"],
    }]);
    assert_eq!(own, wanted);
    let consumers = see(&mut broker, "/consumers/%2F");
    assert_eq!(consumers[0]["consumer_tag"], "tag");
    assert_eq!(
        consumers[0]["queue"],
        json!({ "name": "shown", "vhost": "/" })
    );
    assert_eq!(consumers[0]["channel_details"]["user"], "guest");
    assert_eq!(consumers[0]["active"], true);
    bob.call(7, close_channel());
    let gone = |list: &Value| list.as_array().unwrap().len() == 2;
    await_seen(&mut broker, "/channels", gone);
    bob.call(0, close_connection());
    await_seen(&mut broker, "/connections", |list| {
        list.as_array().unwrap().len() == 1
    });
    assert_eq!(api(&mut broker, &format!("/connections/{path}")).0, 404);
}

#[test]
fn an_alarm_shows_in_the_state_of_publishers() {
    let config = [
        "vm_memory_high_watermark.absolute = 1",
        "memory_monitor_interval = 100",
    ];
    let mut broker = start(&config);
    let mut c = broker.client();
    await_seen(&mut broker, "/connections", |list| {
        list[0]["state"] == "blocking"
    });
    c.publish("", "nowhere", "x");
    await_seen(&mut broker, "/connections", |list| {
        list[0]["state"] == "blocked"
    });
    let (status, _) = api(&mut broker, "/health/checks/alarms");
    assert_eq!(status, 503);
}

#[test]
fn bindings_are_found_from_both_ends() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("bound"));
    c.call(1, declare_exchange("from", "topic"));
    c.call(1, declare_exchange("to", "fanout"));
    c.call(1, bind("bound", "from", "a.b/c"));
    c.call(1, bind_exchange("from", "to", ""));
    let between = see(&mut broker, "/bindings/%2F/e/from/q/bound");
    let wanted = json!({
        "source": "from", "vhost": "/", "destination": "bound", "destination_type": "queue",
        "routing_key": "a.b/c", "arguments": {}, "properties_key": "a.b%2Fc",
    });
    assert_eq!(between, json!([wanted.clone()]));
    let one = see(&mut broker, "/bindings/%2F/e/from/q/bound/a.b%252Fc");
    assert_eq!(one, wanted);
    let implicit = see(&mut broker, "/bindings/%2F/e/amq.default/q/bound");
    assert_eq!(implicit[0]["source"], "");
    assert_eq!(implicit[0]["properties_key"], "bound");
    let exchanges = see(&mut broker, "/bindings/%2F/e/from/e/to");
    assert_eq!(exchanges[0]["destination_type"], "exchange");
    assert_eq!(exchanges[0]["properties_key"], "~");
    let of_queue = see(&mut broker, "/queues/%2F/bound/bindings");
    assert_eq!(of_queue.as_array().unwrap().len(), 2);
    assert_eq!(
        see(&mut broker, "/exchanges/%2F/from/bindings/source")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let to = see(&mut broker, "/exchanges/%2F/to/bindings/destination");
    assert_eq!(to[0]["source"], "from");
    assert_eq!(see(&mut broker, "/bindings").as_array().unwrap().len(), 3);
    for missing in [
        "/bindings/%2F/e/nope/q/bound",
        "/bindings/%2F/e/from/q/bound/nope",
    ] {
        assert_eq!(api(&mut broker, missing).0, 404, "{missing}");
    }
}

#[test]
fn others_see_what_is_theirs() {
    let mut broker = start(&[]);
    let _guest = broker.client();
    let addr = broker.management_addr();
    // bob has no tag, so nothing is his to see here.
    assert_eq!(http_get(addr, "/api/queues", Some("bob")).0, 401);
    assert_eq!(http_get(addr, "/api/nodes", None).0, 401);
    assert_eq!(http_get(addr, "/metrics", None).0, 401);
    assert_eq!(http_get(addr, "/metrics", Some("guest")).0, 200);
}
