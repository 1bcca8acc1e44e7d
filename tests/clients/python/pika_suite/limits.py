"""pika: time to live, dead letters, length limits, priorities."""

import time
from datetime import datetime, timedelta, timezone

import pika

from scenarios import name, scenario

from .client import Inbox, channel, depth, drain, get, private_exchange, private_queue, publish, wait_depth


def mortal_queue(ch, **arguments):
    """A queue and the queue its dead go to: (queue, dead, exchange of the dead)."""
    exchange = private_exchange(ch, "fanout")
    dead = private_queue(ch)
    ch.queue_bind(dead, exchange)
    arguments = {"x-dead-letter-exchange": exchange, **{k.replace("_", "-"): v for k, v in arguments.items()}}
    return private_queue(ch, arguments=arguments), dead, exchange


def death(properties):
    """The only entry of x-death, checked for its time."""
    (entry,) = properties.headers["x-death"]
    entry = dict(entry)
    when = entry.pop("time")
    assert isinstance(when, datetime) and abs(datetime.now(timezone.utc) - when) < timedelta(minutes=1), when
    return entry


@scenario
def queue_ttl():
    """Messages older than x-message-ttl are gone, from the front, without anyone asking."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-message-ttl": 300})
        publish(ch, queue, "1", "2")
        wait_depth(ch, queue, 2)
        wait_depth(ch, queue, 0)
        publish(ch, queue, "3")
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["3"]


@scenario
def message_ttl():
    """The shorter of the message's expiration and the queue's TTL counts."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-message-ttl": 60_000})
        publish(ch, queue, "short", expiration="100")
        publish(ch, queue, "long", expiration="600000")
        time.sleep(0.5)
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["long"]


@scenario
def ttl_zero():
    """A message with no time to live reaches a consumer that is ready, and nobody later."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-message-ttl": 0})
        ch.confirm_delivery()
        publish(ch, queue, "nobody is here")
        assert depth(ch, queue) == 0
        inbox = Inbox(ch, queue, auto_ack=True)
        publish(ch, queue, "now")
        assert inbox.wait(1) == ["now"]


@scenario
def expired_messages_are_dead_lettered():
    """reason `expired`; the expiration moves from the property to x-death."""
    with channel() as ch:
        queue, dead, _ = mortal_queue(ch)
        publish(ch, queue, "m", expiration="50", message_id="id", headers={"mine": 1})
        wait_depth(ch, dead, 1)
        method, properties, text = get(ch, dead)
        assert (text, properties.message_id, properties.expiration) == ("m", "id", None)
        assert (method.routing_key, method.redelivered) == (queue, False)
        assert death(properties) == {"count": 1, "reason": "expired", "queue": queue, "exchange": "",
                                     "routing-keys": [queue], "original-expiration": "50"}
        headers = {k: v for k, v in properties.headers.items() if k.startswith("x-first-death")}
        assert headers == {"x-first-death-queue": queue, "x-first-death-reason": "expired",
                           "x-first-death-exchange": ""}
        assert properties.headers["mine"] == 1


@scenario
def rejected_messages_are_dead_lettered():
    """reason `rejected`, by reject and by nack, in order."""
    with channel() as ch:
        queue, dead, _ = mortal_queue(ch)
        publish(ch, queue, *"abc")
        wait_depth(ch, queue, 3)
        tags = [get(ch, queue)[0].delivery_tag for _ in range(3)]
        ch.basic_reject(tags[0], requeue=False)
        ch.basic_nack(tags[2], multiple=True, requeue=False)
        wait_depth(ch, dead, 3)
        for text in "abc":
            _, properties, got = get(ch, dead)
            assert got == text
            assert death(properties) == {"count": 1, "reason": "rejected", "queue": queue, "exchange": "",
                                         "routing-keys": [queue]}


@scenario
def overflowing_messages_are_dead_lettered():
    """reason `maxlen`: the oldest make room."""
    with channel() as ch:
        queue, dead, _ = mortal_queue(ch, x_max_length=2)
        publish(ch, queue, *"abcd")
        wait_depth(ch, dead, 2)
        assert drain(ch, queue) == ["c", "d"]
        _, properties, text = get(ch, dead)
        assert text == "a" and death(properties)["reason"] == "maxlen"
        assert get(ch, dead)[2] == "b"


@scenario
def dead_letter_routing_key():
    """x-dead-letter-routing-key replaces the keys; the old ones are kept in x-death."""
    with channel() as ch:
        dead = private_queue(ch)
        exchange = private_exchange(ch, "direct")
        queue = private_queue(ch, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
        ch.queue_bind(queue, exchange, "first")
        ch.basic_publish(exchange, "first", b"m", pika.BasicProperties(headers={"CC": ["second"]}))
        wait_depth(ch, queue, 1)
        ch.basic_reject(get(ch, queue)[0].delivery_tag, requeue=False)
        wait_depth(ch, dead, 1)
        method, properties, _ = get(ch, dead)
        assert (method.exchange, method.routing_key) == ("", dead)
        entry = death(properties)
        assert (entry["exchange"], entry["routing-keys"]) == (exchange, ["first", "second"])
        assert "CC" not in properties.headers


@scenario
def x_death_counts():
    """Dying again in the same queue for the same reason adds to the count; the newest comes first."""
    with channel() as ch:
        exchange = private_exchange(ch, "fanout")
        back = private_exchange(ch, "fanout")
        work = private_queue(ch, arguments={"x-dead-letter-exchange": exchange})
        wait = private_queue(ch, arguments={"x-dead-letter-exchange": back, "x-message-ttl": 50})
        ch.queue_bind(wait, exchange)
        ch.queue_bind(work, back)
        publish(ch, work, "retry me")
        for attempt in range(4):
            wait_depth(ch, work, 1)
            method, properties, _ = get(ch, work)
            deaths = (properties.headers or {}).get("x-death", [])
            assert [(d["queue"], d["reason"], d["count"]) for d in deaths] == (
                [(wait, "expired", attempt), (work, "rejected", attempt)] if attempt else []), deaths
            ch.basic_reject(method.delivery_tag, requeue=False)
        assert properties.headers["x-first-death-queue"] == work
        assert properties.headers["x-first-death-reason"] == "rejected"


@scenario
def dead_letter_cycle():
    """A circle without any rejection in it ends: the message is dropped."""
    with channel() as ch:
        queue = name("circle")
        ch.queue_declare(queue, exclusive=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, "x-message-ttl": 50})
        publish(ch, queue, "round and round")
        wait_depth(ch, queue, 1)
        wait_depth(ch, queue, 0)
        time.sleep(0.3)
        assert depth(ch, queue) == 0


@scenario
def missing_dead_letter_exchange():
    """When the dead letter exchange does not exist the message is dropped, and all goes on."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-dead-letter-exchange": name("nowhere")})
        publish(ch, queue, "1")
        wait_depth(ch, queue, 1)
        ch.basic_reject(get(ch, queue)[0].delivery_tag, requeue=False)
        publish(ch, queue, "2")
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["2"]


@scenario
def max_length():
    """Beyond x-max-length the oldest go; what a consumer holds does not count."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-max-length": 3})
        publish(ch, queue, *"abcde")
        wait_depth(ch, queue, 3)
        held = get(ch, queue)
        assert held[2] == "c"
        publish(ch, queue, "f", "g")
        wait_depth(ch, queue, 3)
        ch.basic_ack(held[0].delivery_tag)
        assert drain(ch, queue) == ["e", "f", "g"]


@scenario
def max_length_bytes():
    """Beyond x-max-length-bytes of bodies the oldest go."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-max-length-bytes": 10})
        publish(ch, queue, "aaaa", "bbbb", "cc", "ddd")
        ch.confirm_delivery()
        publish(ch, queue, "e")
        assert drain(ch, queue) == ["bbbb", "cc", "ddd", "e"]


@scenario
def priorities():
    """Higher first, equal in order, above the maximum as the maximum, none as zero."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-max-priority": 5})
        ch.confirm_delivery()
        for text, priority in (("zero", 0), ("five", 5), ("none", None), ("two", 2), ("nine", 9), ("two again", 2)):
            publish(ch, queue, text, priority=priority)
        assert drain(ch, queue) == ["five", "nine", "two", "two again", "zero", "none"]


@scenario
def priority_requeue():
    """A message put back is before the others of its priority."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-max-priority": 5})
        ch.confirm_delivery()
        for text, priority in (("low", 1), ("a", 3), ("b", 3)):
            publish(ch, queue, text, priority=priority)
        method, properties, text = get(ch, queue)
        assert (text, properties.priority) == ("a", 3)
        ch.basic_reject(method.delivery_tag, requeue=True)
        wait_depth(ch, queue, 3)
        assert drain(ch, queue) == ["a", "b", "low"]
