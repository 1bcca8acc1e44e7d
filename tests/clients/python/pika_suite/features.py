"""pika: what RabbitMQ adds to the protocol: policies, quorum queues, exchange types of plugins."""

import time

import pika

import management
from scenarios import Skip, name, scenario

from .client import Inbox, channel, drain, get, private_exchange, private_queue, publish, wait_depth


def exchange_of(ch, kind, arguments=None):
    """An exchange of a type that only a plugin has; skipped where it is not enabled."""
    try:
        return private_exchange(ch, kind, arguments=arguments)
    except (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker) as closed:
        raise Skip(f"no exchanges of type {kind}: {closed.reply_text}") from closed


@scenario
def policy_through_the_api():
    """A policy set over HTTP limits a queue that is there, and lets go of it when it is deleted."""
    queue = name("limited")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, *"12345")
        wait_depth(ch, queue, 5)
        body = {"pattern": f"^{queue}$", "apply-to": "queues", "definition": {"max-length": 2}}
        management.call("PUT", "policies", "/", queue, body=body)
        wait_depth(ch, queue, 2)
        assert drain(ch, queue) == ["4", "5"]
        management.call("DELETE", "policies", "/", queue)
        publish(ch, queue, *"12345")
        wait_depth(ch, queue, 5)
        ch.queue_delete(queue)


@scenario
def dead_letters_by_policy():
    """A dead-letter exchange given by a policy gets what is rejected."""
    queue = name("mortal")
    with channel() as ch:
        dead = private_queue(ch)
        ch.queue_declare(queue)
        definition = {"dead-letter-exchange": "", "dead-letter-routing-key": dead}
        body = {"pattern": f"^{queue}$", "apply-to": "queues", "definition": definition}
        management.call("PUT", "policies", "/", queue, body=body)
        publish(ch, queue, "m")
        method, _, _ = get(ch, queue)
        ch.basic_reject(method.delivery_tag, requeue=False)
        wait_depth(ch, dead, 1)
        _, properties, text = get(ch, dead)
        assert (text, properties.headers["x-death"][0]["reason"]) == ("m", "rejected")
        management.call("DELETE", "policies", "/", queue)
        ch.queue_delete(queue)


@scenario
def single_active_consumer():
    """One consumer is served; the next takes over when it goes."""
    with channel() as ch, channel() as other:
        queue = name("single")
        ch.queue_declare(queue, arguments={"x-single-active-consumer": True}, auto_delete=True)
        first = Inbox(ch, queue, auto_ack=True)
        second = Inbox(other, queue, auto_ack=True)
        publish(ch, queue, *"123")
        assert first.wait(3) == ["1", "2", "3"]
        assert second.settle() == []
        ch.basic_cancel(first.tag)
        publish(ch, queue, "4")
        assert second.wait(1) == ["4"]


@scenario
def quorum_queue():
    """Declared durable, counts returns, and gives up after x-delivery-limit of them."""
    with channel() as ch:
        queue, dead = name("quorum"), private_queue(ch)
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": 2,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
        ch.queue_declare(queue, durable=True, arguments=arguments)
        ch.confirm_delivery()
        publish(ch, queue, "poison")
        for returns in range(3):
            wait_depth(ch, queue, 1)
            method, properties, _ = get(ch, queue)
            assert (properties.headers or {}).get("x-delivery-count", 0) == returns
            ch.basic_nack(method.delivery_tag, requeue=True)
        wait_depth(ch, dead, 1)
        _, properties, _ = get(ch, dead)
        assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
        ch.queue_delete(queue)


@scenario
def quorum_queue_must_be_durable():
    """A quorum queue that is not durable is refused."""
    with channel() as ch:
        try:
            ch.queue_declare(name("quorum"), durable=False, arguments={"x-queue-type": "quorum"})
        except pika.exceptions.ChannelClosedByBroker as closed:
            assert closed.reply_code == 406 and "invalid property 'non-durable'" in closed.reply_text, closed
        else:
            raise AssertionError("a transient quorum queue was declared")


@scenario
def consistent_hash():
    """x-consistent-hash: every message in one queue, those with one key together, and shares."""
    with channel() as ch:
        exchange = exchange_of(ch, "x-consistent-hash")
        queues = [private_queue(ch) for _ in range(3)]
        for queue, weight in zip(queues, ("1", "1", "2")):
            ch.queue_bind(queue, exchange, routing_key=weight)
        for n in range(400):
            ch.basic_publish(exchange, f"key {n % 200}", str(n % 200).encode())
        found = [drain(ch, queue) for queue in queues]
        assert sum(map(len, found)) == 400, [len(texts) for texts in found]
        for texts in found:
            assert all(texts.count(text) == 2 for text in texts)
        assert len(found[2]) > max(len(found[0]), len(found[1])) // 2


@scenario
def delayed_exchange():
    """x-delayed-message: a message waits as long as its header says, a shorter one overtakes it."""
    with channel() as ch:
        exchange = exchange_of(ch, "x-delayed-message", {"x-delayed-type": "direct"})
        queue = private_queue(ch)
        ch.queue_bind(queue, exchange, routing_key="k")
        start = time.monotonic()
        for body, delay in (("late", 900), ("soon", 300)):
            properties = pika.BasicProperties(headers={"x-delay": delay})
            ch.basic_publish(exchange, "k", body.encode(), properties)
        inbox = Inbox(ch, queue, auto_ack=True)
        assert inbox.wait(2) == ["soon", "late"]
        assert time.monotonic() - start >= 0.85
