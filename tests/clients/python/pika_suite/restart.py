"""pika: what is still there after the broker was stopped, or killed."""

import pika

from scenarios import broker, name, scenario

from .client import Inbox, channel, closes_channel, drain, get, publish, wait_depth


def _restart(stop):
    """Fills a broker, stops it in the way given, starts it, and looks at what is there."""
    exchange, queue, second, fleeting, own = (name(what) for what in ("ex", "q", "second", "transient", "own"))
    with channel() as ch:
        ch.confirm_delivery()
        ch.exchange_declare(exchange, "topic", durable=True)
        ch.exchange_declare(fleeting, "fanout")
        ch.queue_declare(queue, durable=True, arguments={"x-max-length": 1000})
        ch.queue_declare(second, durable=True)
        ch.queue_declare(fleeting)
        ch.queue_declare(own, durable=True, exclusive=True)
        ch.queue_bind(queue, exchange, "a.#", {"kept": "too"})
        ch.queue_bind(second, exchange, "a.b")
        for n in range(20):
            ch.basic_publish(exchange, "a.b", str(n).encode(), pika.BasicProperties(
                delivery_mode=2, headers={"n": n}, message_id=f"id {n}"))
        publish(ch, queue, "transient", delivery_mode=1)
        publish(ch, fleeting, "in a transient queue", delivery_mode=2)
        inbox = Inbox(ch, queue)
        inbox.wait(21)
        inbox.ack(0)
        inbox.ack(5)
        # What was acked is only sure to be gone once the broker had the time to note it; asking
        # for something on the same channel shows that it was read.
        wait_depth(ch, queue, 0)
        ch.connection.sleep(0.5)
        broker(stop)
        broker("start")
        try:
            ch.connection.process_data_events(1)
        except pika.exceptions.AMQPConnectionError:
            pass
        else:
            raise AssertionError("the connection survived the broker")
    with channel() as ch:
        ch.exchange_declare(exchange, "topic", durable=True)
        ch.queue_declare(queue, durable=True, arguments={"x-max-length": 1000})
        wait_depth(ch, queue, 18)
        wait_depth(ch, second, 20)
        for n in (n for n in range(20) if n not in (0, 5)):
            method, properties, text = get(ch, queue)
            assert (text, properties.headers, properties.message_id) == (str(n), {"n": n}, f"id {n}")
            assert (method.exchange, method.routing_key, method.redelivered) == (exchange, "a.b", True)
            ch.basic_ack(method.delivery_tag)
        method, _, text = get(ch, second)
        # After a crash the broker may not remember that this one was never delivered.
        assert text == "0" and (stop == "kill" or not method.redelivered)
        ch.basic_reject(method.delivery_tag, requeue=True)
        assert drain(ch, second) == [str(n) for n in range(20)]
        ch.basic_publish(exchange, "a.x", b"the bindings are back")
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["the bindings are back"]
        for missing in (fleeting, own):
            with closes_channel(404, f"NOT_FOUND - no queue '{missing}' in vhost '/'"):
                ch.connection.channel().queue_declare(missing, passive=True)
        with closes_channel(404, f"NOT_FOUND - no exchange '{fleeting}' in vhost '/'"):
            ch.connection.channel().exchange_declare(fleeting, passive=True)
        ch.queue_delete(queue)
        ch.queue_delete(second)
        ch.exchange_delete(exchange)


@scenario(limit_s=120)
def restart_after_sigterm():
    """Durable definitions, persistent messages, their order and redelivered flags survive a stop."""
    _restart("stop")


@scenario(limit_s=120)
def restart_after_kill():
    """The same when the broker is killed: what was confirmed is there."""
    _restart("kill")


@scenario(limit_s=120)
def deletions_survive_restart():
    """What was deleted, purged or unbound before a kill stays so."""
    queue, purged = name("deleted"), name("purged")
    with channel() as ch:
        ch.confirm_delivery()
        for each in (queue, purged):
            ch.queue_declare(each, durable=True)
            ch.queue_bind(each, "amq.fanout")
            publish(ch, each, "m", delivery_mode=2)
        ch.queue_unbind(purged, "amq.fanout")
        ch.queue_purge(purged)
        ch.queue_delete(queue)
        broker("kill")
        broker("start")
        try:
            ch.connection.process_data_events(1)
        except pika.exceptions.AMQPConnectionError:
            pass
    with channel() as ch:
        ch.confirm_delivery()
        ch.basic_publish("amq.fanout", "", b"not for them")
        wait_depth(ch, purged, 0)
        ch.queue_delete(purged)
        with closes_channel(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
            ch.queue_declare(queue, passive=True)
