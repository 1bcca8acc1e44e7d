"""pika: the six tutorials and everything else about where a message goes."""

import threading
import uuid

import pika

from scenarios import name, scenario

from .client import (Inbox, channel, closes_channel, connect, drain, get, private_exchange, private_queue,
                     publish, wait_depth)


@scenario
def hello_world():
    """One producer, one queue, one consumer, each on a connection of its own."""
    queue = name()
    with channel() as sender:
        sender.queue_declare(queue, auto_delete=True)
        publish(sender, queue, "Hello World!")
    with channel() as receiver:
        receiver.queue_declare(queue, auto_delete=True)
        inbox = Inbox(receiver, queue, auto_ack=True)
        assert inbox.wait(1) == ["Hello World!"]
        _, method, properties, _ = inbox.items[0]
        assert (method.exchange, method.routing_key, method.redelivered) == ("", queue, False)
        assert method.delivery_tag == 1 and properties.headers is None


@scenario
def work_queue():
    """Two workers with prefetch 1: the busy one is passed over, what a dead one held comes back."""
    queue = name("work")
    with channel() as boss, channel() as slow, channel() as quick:
        boss.queue_declare(queue)
        for worker in (slow, quick):
            worker.basic_qos(prefetch_count=1)
        held = Inbox(slow, queue)
        publish(boss, queue, "long")
        held.wait(1)
        done = Inbox(quick, queue)
        publish(boss, queue, *[f"short {n}" for n in range(20)])
        for n in range(20):
            done.wait(n + 1)
            done.ack(n)
        assert done.texts() == [f"short {n}" for n in range(20)]
        assert held.texts() == ["long"], "a worker with prefetch 1 was given a second message"
        slow.connection.close()
        assert done.wait(21)[20] == "long"
        assert done.items[20][1].redelivered
        done.ack(20)
        boss.queue_delete(queue)


@scenario
def round_robin():
    """Without prefetch, messages go to the consumers of a queue in turn."""
    with channel() as ch:
        queue = private_queue(ch)
        inboxes = [Inbox(ch, queue, auto_ack=True) for _ in range(3)]
        publish(ch, queue, *[str(n) for n in range(30)])
        inboxes[0].wait(10)
        for inbox in inboxes:
            inbox.wait(10)
        assert sorted(int(text) for inbox in inboxes for text in inbox.texts()) == list(range(30))
        assert inboxes[0].texts() == [str(n) for n in range(0, 30, 3)], inboxes[0].texts()


@scenario
def publish_subscribe():
    """A fanout exchange copies to every queue bound to it, whatever the key, and to none before."""
    with channel() as ch:
        exchange = private_exchange(ch, "fanout")
        ch.basic_publish(exchange, "", b"nobody listens yet")
        queues = [private_queue(ch) for _ in range(5)]
        for queue in queues:
            ch.queue_bind(queue, exchange)
        ch.basic_publish(exchange, "", b"one")
        ch.basic_publish(exchange, "any.key", b"two")
        for queue in queues:
            wait_depth(ch, queue, 2)
            assert drain(ch, queue) == ["one", "two"]


@scenario
def routing():
    """A direct exchange wants the key to be equal; several keys may lead to one queue, once."""
    with channel() as ch:
        exchange = private_exchange(ch, "direct")
        everything, errors = private_queue(ch), private_queue(ch)
        for key in ("info", "warning", "error"):
            ch.queue_bind(everything, exchange, key)
        ch.queue_bind(errors, exchange, "error")
        ch.queue_bind(errors, exchange, "error")
        for key in ("info", "error", "debug", "Error"):
            ch.basic_publish(exchange, key, key.encode())
        wait_depth(ch, everything, 2)
        assert drain(ch, everything) == ["info", "error"]
        assert drain(ch, errors) == ["error"]
        ch.queue_unbind(errors, exchange, "error")
        ch.basic_publish(exchange, "error", b"after unbind")
        wait_depth(ch, everything, 1)
        assert drain(ch, errors) == []


TOPICS = {
    "*.orange.*": ["quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox"],
    "*.*.rabbit": ["quick.orange.rabbit", "lazy.pink.rabbit"],
    "lazy.#": ["lazy.orange.elephant", "lazy.brown.fox", "lazy.pink.rabbit", "lazy", "lazy.orange.new.rabbit"],
    "#": None,
    "#.rabbit": ["quick.orange.rabbit", "lazy.pink.rabbit", "lazy.orange.new.rabbit", "rabbit"],
    "lazy.#.rabbit": ["lazy.pink.rabbit", "lazy.orange.new.rabbit"],
    "*": ["lazy", "rabbit", "orange"],
    "": [""],
    "*.*": ["a.", ".b"],
    "#.#": None,
    "quick.*": [],
}
TOPIC_KEYS = ["quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
              "lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.new.rabbit.male", "lazy",
              "lazy.orange.new.rabbit", "rabbit", "", "a.", ".b"]


@scenario
def topics():
    """`*` is exactly one word, `#` none or more; a queue with two matching patterns gets one copy."""
    with channel() as ch:
        exchange = private_exchange(ch, "topic")
        queues = {pattern: private_queue(ch) for pattern in TOPICS}
        for pattern, queue in queues.items():
            ch.queue_bind(queue, exchange, pattern)
        both = private_queue(ch)
        ch.queue_bind(both, exchange, "lazy.*")
        ch.queue_bind(both, exchange, "*.*")
        for key in TOPIC_KEYS + ["lazy.dog"]:
            ch.basic_publish(exchange, key, key.encode())
        wait_depth(ch, queues["#"], len(TOPIC_KEYS) + 1)
        for pattern, keys in TOPICS.items():
            got = drain(ch, queues[pattern])
            expected = TOPIC_KEYS + ["lazy.dog"] if keys is None else keys
            extra = {"lazy.#": ["lazy.dog"], "*.*": ["lazy.dog"]}.get(pattern, [])
            assert sorted(got) == sorted(expected + extra), (pattern, got)
        assert sorted(drain(ch, both)) == [".b", "a.", "lazy.dog"]


# Binding arguments, then the headers that match and the headers that do not.
HEADERS = {
    "all": ({"x-match": "all", "a": 1, "b": "two"}, [{"a": 1, "b": "two"}, {"a": 1, "b": "two", "c": 0}],
            [{"a": 1}, {"a": 1, "b": "2"}, {"a": "1", "b": "two"}, {}]),
    "default is all": ({"a": 1, "b": "two"}, [{"a": 1, "b": "two"}], [{"a": 1}, {"b": "two"}]),
    "any": ({"x-match": "any", "a": 1, "b": "two"}, [{"a": 1}, {"b": "two", "a": 9}, {"a": 1, "b": "two"}],
            [{}, {"a": 2, "b": "three"}, {"c": 1}]),
    "all skips x-": ({"x-match": "all", "a": 1, "x-b": 2}, [{"a": 1}, {"a": 1, "x-b": 3}], [{"x-b": 2}]),
    "any skips x-": ({"x-match": "any", "a": 1, "x-b": 2}, [{"a": 1}], [{"x-b": 2}]),
    "all-with-x": ({"x-match": "all-with-x", "a": 1, "x-b": 2}, [{"a": 1, "x-b": 2}], [{"a": 1}, {"x-b": 2}]),
    "any-with-x": ({"x-match": "any-with-x", "a": 1, "x-b": 2}, [{"a": 1}, {"x-b": 2}], [{"x-b": 3}, {}]),
    "nothing, all": ({"x-match": "all"}, [{}, {"a": 1}], []),
    "nothing, any": ({"x-match": "any"}, [], [{}, {"a": 1}]),
    "presence": ({"x-match": "all", "a": None}, [{"a": 1}, {"a": "any value"}, {"a": None}], [{}, {"b": 1}]),
    "wide number": ({"x-match": "all", "a": 2**40}, [{"a": 2**40}], [{"a": 2**40 + 1}]),
    "bool": ({"x-match": "all", "a": True}, [{"a": True}], [{"a": False}, {"a": 1}]),
}


@scenario
def headers_exchange():
    """All four x-match forms and their default, x- names, empty arguments, presence, types."""
    with channel() as ch:
        exchange = private_exchange(ch, "headers")
        keep_alive = private_queue(ch)
        ch.queue_bind(keep_alive, exchange, arguments={"x-match": "any"})
        for what, (arguments, matching, others) in HEADERS.items():
            queue = private_queue(ch)
            ch.queue_bind(queue, exchange, "the key is ignored", arguments)
            ch.confirm_delivery()
            for headers in matching + others:
                ch.basic_publish(exchange, "k", repr(headers).encode(), pika.BasicProperties(headers=headers))
            got = drain(ch, queue)
            assert got == [repr(headers) for headers in matching], (what, got)
            ch.queue_delete(queue)


@scenario
def headers_exchange_bad_match():
    """An x-match nobody knows is refused when binding."""
    with channel() as ch:
        exchange = private_exchange(ch, "headers")
        text = ('PRECONDITION_FAILED - Invalid x-match field value <<"some">>; '
                "expected all, any, all-with-x, or any-with-x")
        with closes_channel(406, text):
            ch.queue_bind(private_queue(ch), exchange, "", {"x-match": "some"})


def _serve(connection, requests):
    ch = connection.channel()

    def answer(_ch, method, properties, body):
        ch.basic_publish("", properties.reply_to, str(int(body) ** 2).encode(),
                         pika.BasicProperties(correlation_id=properties.correlation_id))
        ch.basic_ack(method.delivery_tag)

    ch.basic_qos(prefetch_count=1)
    ch.basic_consume(requests, answer)
    ch.start_consuming()


def _rpc(reply_to, **consume):
    """Asks a server thread three questions, and checks that the answers match."""
    requests = name("rpc")
    server = connect()
    with channel() as ch:
        ch.queue_declare(requests, exclusive=False, auto_delete=True)
        thread = threading.Thread(target=_serve, args=(server, requests), daemon=True)
        thread.start()
        reply_to = reply_to or private_queue(ch)
        answers = Inbox(ch, reply_to, auto_ack=True, **consume)
        ids = [str(uuid.uuid4()) for _ in range(3)]
        for n, correlation_id in enumerate(ids):
            publish(ch, requests, str(n + 10), reply_to=reply_to, correlation_id=correlation_id)
        assert answers.wait(3) == ["100", "121", "144"]
        assert [item[2].correlation_id for item in answers.items] == ids
        server.add_callback_threadsafe(server.close)
        thread.join(10)


@scenario
def rpc_reply_queue():
    """Request and reply through a queue of the client's own, told apart by correlation ids."""
    _rpc(None)


@scenario
def rpc_direct_reply_to():
    """Request and reply without a reply queue: amq.rabbitmq.reply-to."""
    _rpc("amq.rabbitmq.reply-to")


@scenario
def direct_reply_to_rewrites_the_address():
    """The server sees an address of its own, good for one channel and gone with it."""
    with channel() as client, channel() as server:
        requests = private_queue(server)
        answers = Inbox(client, "amq.rabbitmq.reply-to", auto_ack=True)
        publish(client, requests, "a question", reply_to="amq.rabbitmq.reply-to")
        wait_depth(server, requests, 1)
        _, properties, _ = get(server, requests)
        assert properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to
        assert server.queue_declare(properties.reply_to, passive=True).method.queue == properties.reply_to
        publish(server, properties.reply_to, "the answer")
        assert answers.wait(1) == ["the answer"]
        assert answers.items[0][1].routing_key == properties.reply_to
        client.connection.close()
        with closes_channel(404, f"NOT_FOUND - no queue '{properties.reply_to}' in vhost '/'"):
            server.queue_declare(properties.reply_to, passive=True)


@scenario
def direct_reply_to_needs_a_consumer_first():
    """Asking for a direct reply before consuming from it is refused."""
    with channel() as ch:
        requests = private_queue(ch)
        with closes_channel(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
            publish(ch, requests, "a question", reply_to="amq.rabbitmq.reply-to")
            ch.queue_declare(requests, passive=True)


@scenario
def exchange_to_exchange():
    """Exchanges bind to exchanges; a message arriving by two ways is put in a queue once."""
    with channel() as ch:
        source, middle, other = (private_exchange(ch, kind) for kind in ("topic", "fanout", "direct"))
        queue = private_queue(ch)
        ch.exchange_bind(middle, source, "log.#")
        ch.exchange_bind(other, source, "log.*")
        ch.queue_bind(queue, middle)
        ch.queue_bind(queue, other, "log.both")
        for key in ("log.both", "log.one.way", "no"):
            ch.basic_publish(source, key, key.encode())
        wait_depth(ch, queue, 2)
        assert drain(ch, queue) == ["log.both", "log.one.way"]
        ch.exchange_bind(source, middle, "")
        ch.basic_publish(source, "log.circle", b"a circle of exchanges ends")
        wait_depth(ch, queue, 1)
        ch.exchange_unbind(source, middle, "")
        ch.exchange_unbind(middle, source, "log.#")
        ch.basic_publish(source, "log.x.y", b"unbound")
        assert drain(ch, queue) == ["a circle of exchanges ends"]


@scenario
def alternate_exchange():
    """What an exchange cannot route goes to its alternate, and then counts as routed."""
    with channel() as ch:
        lost = private_exchange(ch, "fanout")
        exchange = private_exchange(ch, "direct", arguments={"alternate-exchange": lost})
        queue, strays = private_queue(ch), private_queue(ch)
        ch.queue_bind(queue, exchange, "known")
        ch.queue_bind(strays, lost)
        returned = []
        ch.add_on_return_callback(lambda *message: returned.append(message))
        for key in ("known", "unknown"):
            ch.basic_publish(exchange, key, key.encode(), mandatory=True)
        wait_depth(ch, strays, 1)
        method, _, text = get(ch, strays)
        assert (text, method.exchange, method.routing_key) == ("unknown", exchange, "unknown")
        assert drain(ch, queue) == ["known"]
        assert not returned


@scenario
def carbon_copies():
    """CC and BCC headers add routing keys; BCC is taken off before delivery."""
    with channel() as ch:
        to, copy, blind = (private_queue(ch) for _ in range(3))
        publish(ch, to, "letter", headers={"CC": [copy], "BCC": [blind]})
        for queue in (to, copy, blind):
            wait_depth(ch, queue, 1)
            method, properties, _ = get(ch, queue)
            assert properties.headers == {"CC": [copy]}, properties.headers
            assert method.routing_key == to


@scenario
def built_in_exchanges():
    """amq.direct, amq.fanout, amq.topic, amq.headers and amq.match exist; the default one is closed."""
    with channel() as ch:
        queue = private_queue(ch)
        for exchange, kind in {"amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic",
                               "amq.headers": "headers", "amq.match": "headers"}.items():
            ch.exchange_declare(exchange, kind, durable=True)
            ch.queue_bind(queue, exchange, queue)
            ch.basic_publish(exchange, queue, exchange.encode())
            ch.queue_unbind(queue, exchange, queue)
        wait_depth(ch, queue, 5)
        with closes_channel(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
            ch.queue_bind(queue, "", "key")


@scenario
def internal_exchange():
    """Clients cannot publish to an internal exchange, but bindings lead through it."""
    with channel() as ch:
        inner, outer = name("inner"), private_exchange(ch, "fanout")
        ch.exchange_declare(inner, "fanout", internal=True, auto_delete=True)
        queue = private_queue(ch)
        ch.exchange_bind(inner, outer)
        ch.queue_bind(queue, inner)
        ch.basic_publish(outer, "", b"through")
        wait_depth(ch, queue, 1)
        text = f"ACCESS_REFUSED - cannot publish to internal exchange '{inner}' in vhost '/'"
        with closes_channel(403, text):
            ch.basic_publish(inner, "", b"not directly")
            ch.queue_declare(queue, passive=True)
