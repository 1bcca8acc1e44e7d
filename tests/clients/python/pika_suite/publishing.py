"""pika: confirms, returns, transactions, and what of a message must arrive unchanged."""

from datetime import datetime, timezone

import pika
from pika.adapters.select_connection import SelectConnection

from expected import BODY_SIZES, RAW_TABLE, TABLE, body_of
from scenarios import name, scenario

from .client import (Inbox, channel, closes_channel, closes_connection, depth, drain, get, parameters,
                     private_exchange, private_queue, publish, wait_depth)


class Flood:
    """Publishes without waiting, on pika's asynchronous connection, and collects the confirms."""

    def __init__(self, queue, n_messages, body, mandatory=False):
        self.queue, self.n_messages, self.body, self.mandatory = queue, n_messages, body, mandatory
        self.open_tags = set(range(1, n_messages + 1))
        self.acked, self.nacked, self.events = 0, 0, []
        self.error = None
        self.connection = SelectConnection(
            parameters(), on_open_callback=self._opened, on_close_callback=self._closed)
        self.connection.ioloop.start()
        if self.error:
            raise self.error

    def _opened(self, connection):
        connection.channel(on_open_callback=self._start)

    def _closed(self, connection, _reason):
        connection.ioloop.stop()

    def _start(self, ch):
        ch.add_on_return_callback(lambda _ch, method, _p, body: self.events.append(("return", body)))
        ch.confirm_delivery(self._confirmed)
        properties = pika.BasicProperties(delivery_mode=2)
        for n in range(self.n_messages):
            ch.basic_publish("", self.queue, self.body + b"%d" % n, properties, self.mandatory)

    def _confirmed(self, frame):
        try:
            self._count(frame.method)
        except AssertionError as error:
            self.error = error
            self.open_tags = set()
        if not self.open_tags:
            self.connection.close()

    def _count(self, method):
        tag = method.delivery_tag
        covered = {t for t in self.open_tags if t <= tag} if method.multiple else {tag}
        assert covered and covered <= self.open_tags, f"tag {tag} was settled twice or never used"
        self.open_tags -= covered
        ack = isinstance(method, pika.spec.Basic.Ack)
        self.acked += len(covered) * ack
        self.nacked += len(covered) * (not ack)
        self.events.append(("ack" if ack else "nack", sorted(covered)))


@scenario(limit_s=60)
def confirms_many_in_flight():
    """10,000 persistent messages without waiting: each tag is acknowledged once, order is kept."""
    queue = name("confirms")
    with channel() as ch:
        ch.queue_declare(queue, durable=True)
        flood = Flood(queue, 10_000, b"m")
        assert (flood.acked, flood.nacked) == (10_000, 0)
        assert depth(ch, queue) == 10_000
        assert drain(ch, queue) == [f"m{n}" for n in range(10_000)]
        ch.queue_delete(queue)


@scenario
def confirm_one_by_one():
    """The blocking way: every publish waits for its confirm, transient and persistent."""
    with channel() as ch:
        ch.confirm_delivery()
        queue = private_queue(ch)
        for n in range(50):
            publish(ch, queue, str(n), delivery_mode=1 + n % 2)
        assert depth(ch, queue) == 50


@scenario
def mandatory_return_before_ack():
    """An unroutable mandatory message comes back whole, and only then is it confirmed."""
    flood = Flood(name("nobody"), 3, b"returned", mandatory=True)
    returns = [n for n, event in enumerate(flood.events) if event[0] == "return"]
    assert [flood.events[n][1] for n in returns] == [b"returned0", b"returned1", b"returned2"]
    for n, event in enumerate(flood.events):
        if event[0] == "ack":
            n_returned = sum(1 for r in returns if r < n)
            assert n_returned >= max(event[1]), f"tag {event[1]} was confirmed before its return"
    assert flood.acked == 3


@scenario
def mandatory_return_details():
    """basic.return names code, text, exchange and key, and carries the properties."""
    with channel() as ch:
        exchange = private_exchange(ch, "direct")
        ch.confirm_delivery()
        try:
            ch.basic_publish(exchange, "no.such.key", b"body", pika.BasicProperties(message_id="m1"), mandatory=True)
        except pika.exceptions.UnroutableError as error:
            (message,) = error.messages
            method = message.method
            assert (method.reply_code, method.reply_text) == (312, "NO_ROUTE")
            assert (method.exchange, method.routing_key) == (exchange, "no.such.key")
            assert (message.properties.message_id, message.body) == ("m1", b"body")
        else:
            raise AssertionError("the message was not returned")
        ch.basic_publish(exchange, "no.such.key", b"not mandatory: dropped and confirmed")


@scenario
def confirm_nack_when_full():
    """A queue that refuses publishes when full says so with a nack; the first ones stay."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
        ch.confirm_delivery()
        publish(ch, queue, "1", "2")
        try:
            publish(ch, queue, "3")
        except pika.exceptions.NackError:
            pass
        else:
            raise AssertionError("a full queue took a third message")
        assert drain(ch, queue) == ["1", "2"]
        publish(ch, queue, "4")
        assert drain(ch, queue) == ["4"]


@scenario
def transactions():
    """Publishes and acks take effect together at commit, and not at all after rollback."""
    with channel() as ch, channel() as watcher:
        queue = private_queue(ch)
        publish(ch, queue, "to be acked")
        wait_depth(ch, queue, 1)
        ch.tx_select()
        method, _, _ = get(ch, queue)
        publish(ch, queue, "a", "b")
        ch.basic_ack(method.delivery_tag)
        assert depth(ch, queue) == 0
        ch.tx_rollback()
        assert depth(ch, queue) == 0, "a rolled back publish arrived"
        publish(ch, queue, "c", "d")
        ch.basic_ack(method.delivery_tag)
        ch.tx_commit()
        assert drain(ch, queue) == ["c", "d"]
        ch.tx_rollback()
        assert not watcher.connection.is_closed


@scenario
def transaction_rollback_keeps_the_delivery():
    """An ack rolled back leaves the message unacked: it is redelivered when the channel goes."""
    queue = name("tx")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, "m")
        wait_depth(ch, queue, 1)
        ch.tx_select()
        method, _, _ = get(ch, queue)
        ch.basic_ack(method.delivery_tag)
        ch.tx_rollback()
        ch.close()
        again = ch.connection.channel()
        wait_depth(again, queue, 1)
        method, _, text = get(again, queue)
        assert text == "m" and method.redelivered
        again.queue_delete(queue)


@scenario
def transactions_and_confirms_exclude_each_other():
    """A channel is either transactional or confirming; commit needs select."""
    with channel() as ch:
        ch.confirm_delivery()
        with closes_channel(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"):
            ch.tx_select()
        ch = ch.connection.channel()
        ch.tx_select()
        with closes_channel(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
            ch.confirm_delivery()
        ch = ch.connection.channel()
        with closes_channel(406, "PRECONDITION_FAILED - channel is not transactional"):
            ch.tx_commit()


@scenario
def publish_to_a_missing_exchange():
    """The channel is closed with 404; the connection and its other channels go on."""
    with channel() as ch:
        other = ch.connection.channel()
        exchange = name("missing")
        ch.basic_publish(exchange, "", b"lost")
        with closes_channel(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
            ch.queue_declare("", exclusive=True)
        private_queue(other)
        private_queue(ch.connection.channel())


@scenario
def immediate_is_not_implemented():
    """The immediate flag closes the connection with 540, as RabbitMQ has done since 3.0."""
    with channel() as ch:
        queue = private_queue(ch)
        ch._impl._send_method(  # pylint: disable=protected-access
            pika.spec.Basic.Publish(exchange="", routing_key=queue, immediate=True),
            (pika.BasicProperties(), b"now or never"))
        with closes_connection(540, "NOT_IMPLEMENTED - immediate=true"):
            ch.queue_declare(queue, passive=True)


@scenario(limit_s=60)
def big_bodies():
    """From nothing to 10 MB, by get and by consumer, with small and large frames: not a byte differs."""
    for frame_max in (131_072, 8_192):
        with channel(frame_max=frame_max) as ch:
            queue = private_queue(ch)
            for size in BODY_SIZES:
                body = body_of(size)
                ch.basic_publish("", queue, body)
                ch.basic_publish("", queue, body)
                wait_depth(ch, queue, 2)
                assert ch.basic_get(queue, auto_ack=True)[2] == body, f"{size} bytes differ by get"
                for _, _, got in ch.consume(queue, auto_ack=True, inactivity_timeout=10):
                    assert got == body, f"{size} bytes differ by consume"
                    break
                ch.cancel()


@scenario
def properties_round_trip():
    """All fourteen properties arrive as they were sent, and none that was not."""
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", headers={"k": "v"}, delivery_mode=2, priority=9,
        correlation_id="c" * 255, reply_to="somewhere", expiration="60000", message_id="m-1",
        timestamp=1_700_000_000, type="t", user_id="guest", app_id="äpp", cluster_id="gone since 0-9-1")
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_publish("", queue, b"", sent)
        ch.basic_publish("", queue, b"", pika.BasicProperties())
        wait_depth(ch, queue, 2)
        _, got, _ = get(ch, queue)
        assert got == sent, (got, sent)
        _, got, _ = get(ch, queue)
        assert got == pika.BasicProperties(), got


@scenario
def empty_and_extreme_properties():
    """Empty strings, zero and the largest values are values: they are not dropped."""
    sent = pika.BasicProperties(content_type="", headers={}, delivery_mode=1, priority=0, correlation_id="",
                                message_id="", timestamp=2**63 - 1, type="", app_id="")
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_publish("", queue, b"", sent)
        wait_depth(ch, queue, 1)
        _, got, _ = get(ch, queue)
        assert got == sent, (got, sent)


class RawHeaders(pika.BasicProperties):
    """Properties whose only content is the raw field table."""

    def encode(self):
        return [(1 << 13).to_bytes(2, "big"), RAW_TABLE]


@scenario
def header_field_types():
    """A header table with every field type RabbitMQ knows comes back type for type."""
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_publish("", queue, b"", RawHeaders())
        wait_depth(ch, queue, 1)
        _, got, _ = get(ch, queue)
        assert got.headers == TABLE, {k: v for k, v in got.headers.items() if TABLE.get(k) != v}


@scenario
def headers_pika_writes():
    """The table pika itself writes: nested tables and arrays, numbers small and wide, time, nothing."""
    headers = {
        "int": 5, "long": 2**40, "negative": -1, "bool": True, "none": None, "text": "grüße",
        "bytes": b"\x00\xff", "time": datetime(2024, 2, 29, 12, tzinfo=timezone.utc),
        "list": [1, "two", [3, {"four": 5}]], "table": {"inner": {"deep": [True]}},
    }
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, "m", headers=headers)
        wait_depth(ch, queue, 1)
        _, got, _ = get(ch, queue)
        assert got.headers == headers, got.headers


@scenario
def bad_expiration():
    """An expiration that is not a whole number of milliseconds is refused."""
    for value, reason in {"abc": "no_integer", "-1": "{value_negative,-1}", "10 ": '{leftover_string," "}'}.items():
        with channel() as ch:
            queue = private_queue(ch)
            publish(ch, queue, "m", expiration=value)
            with closes_channel(406, f"PRECONDITION_FAILED - invalid expiration '{value}': {reason}"):
                ch.queue_declare(queue, passive=True)


@scenario
def somebody_elses_user_id():
    """A user_id property must be the user that logged in."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, "mine", user_id="guest")
        publish(ch, queue, "forged", user_id="bob")
        text = ("PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'")
        with closes_channel(406, text):
            ch.queue_declare(queue, passive=True)


@scenario
def publish_order_is_kept():
    """2,000 messages of mixed size and persistence reach one consumer in the order of publishing."""
    with channel() as ch:
        queue = private_queue(ch)
        inbox = Inbox(ch, queue)
        bodies = [f"{n} " + "x" * (n * 37 % 3000) for n in range(2000)]
        for n, body in enumerate(bodies):
            publish(ch, queue, body, delivery_mode=1 + n % 2)
        assert inbox.wait(2000) == bodies
        assert [item[1].delivery_tag for item in inbox.items] == list(range(1, 2001))
        inbox.ack(1999, multiple=True)
