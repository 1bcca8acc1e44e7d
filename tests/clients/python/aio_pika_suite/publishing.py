"""aio-pika: confirms, returns, transactions, and what of a message must arrive unchanged."""

import asyncio
from datetime import datetime, timezone
from decimal import Decimal

import aio_pika
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp import commands, header

from expected import BODY_SIZES, RAW_TABLE, TABLE, body_of
from scenarios import name, scenario

from .client import (Inbox, another, channel, closes_channel, closes_connection, counts, drain, get, message,
                     private_exchange, private_queue, publish, wait_depth)


@scenario(limit_s=90)
async def confirms_many_in_flight():
    """5,000 persistent messages at once: every publish is confirmed, order is kept."""
    async with channel(confirms=True) as ch:
        queue = await ch.declare_queue(name("confirms"), durable=True)
        confirms = await asyncio.gather(*[
            ch.default_exchange.publish(message(f"m{n}", delivery_mode=2), queue.name) for n in range(5000)])
        assert all(isinstance(confirm, commands.Basic.Ack) for confirm in confirms)
        assert (await counts(ch, queue))[0] == 5000
        inbox = await Inbox.open(queue, no_ack=True)
        assert await inbox.wait(5000) == [f"m{n}" for n in range(5000)]
        await queue.delete(if_unused=False)


@scenario
async def mandatory_return_before_ack():
    """An unroutable mandatory message comes back whole, and only then is it confirmed."""
    async with channel() as plain:
        connection = plain.owner
        ch = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await private_exchange(ch, "direct")
        try:
            await exchange.publish(message("body", message_id="m1"), "no.such.key")
        except PublishError as error:
            frame, returned = error.frame, error.message
            assert (frame.reply_code, frame.reply_text) == (312, "NO_ROUTE")
            assert (frame.exchange, frame.routing_key) == (exchange.name, "no.such.key")
            assert (returned.body, returned.header.properties.message_id) == (b"body", "m1")
        else:
            raise AssertionError("the message was not returned")
        confirm = await exchange.publish(message("dropped"), "no.such.key", mandatory=False)
        assert isinstance(confirm, commands.Basic.Ack)


@scenario
async def confirm_nack_when_full():
    """A queue that refuses publishes when full says so with a nack; the first ones stay."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch, **{"x-max-length": 2, "x-overflow": "reject-publish"})
        await publish(ch, queue, "1", "2")
        try:
            await publish(ch, queue, "3")
        except DeliveryError as error:
            assert isinstance(error.frame, commands.Basic.Nack)
        else:
            raise AssertionError("a full queue took a third message")
        assert await drain(queue) == ["1", "2"]


@scenario
async def transactions():
    """Publishes and acks take effect together at commit, and not at all after rollback."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, "to be acked")
        await wait_depth(ch, queue, 1)
        transaction = ch.transaction()
        await transaction.select()
        one = await get(queue)
        await publish(ch, queue, "a", "b")
        await transaction.rollback()
        assert (await counts(ch, queue))[0] == 0, "a rolled back publish arrived"
        await publish(ch, queue, "c", "d")
        await one.ack()
        assert (await counts(ch, queue))[0] == 0
        await transaction.commit()
        assert await drain(queue) == ["c", "d"]


@scenario
async def transactions_and_confirms_exclude_each_other():
    """A channel is either transactional or confirming; commit needs select."""
    async with channel() as ch:
        for method, more, text in (
                ("tx_select", {"confirms": True}, "cannot switch from confirm to tx mode"),
                ("tx_commit", {}, "channel is not transactional")):
            each = await another(ch, **more)
            async with closes_channel(each, 406, f"PRECONDITION_FAILED - {text}"):
                await getattr(await each.get_underlay_channel(), method)()
        each = await another(ch)
        raw = await each.get_underlay_channel()
        await raw.tx_select()
        async with closes_channel(each, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
            await raw.confirm_delivery()


@scenario
async def publish_to_a_missing_exchange():
    """The channel is closed with 404; the connection and its other channels go on."""
    async with channel() as ch:
        doomed, exchange = await another(ch), name("missing")
        async with closes_channel(doomed, 404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
            raw = await doomed.get_underlay_channel()
            await raw.basic_publish(b"lost", exchange=exchange)
        await private_queue(ch)
        await private_queue(await another(ch))


@scenario
async def immediate_is_not_implemented():
    """The immediate flag closes the connection with 540."""
    async with channel() as ch:
        async with closes_connection(ch, 540, "NOT_IMPLEMENTED - immediate=true"):
            raw = await ch.get_underlay_channel()
            await raw.basic_publish(b"now or never", routing_key="x", immediate=True)


@scenario(limit_s=60)
async def big_bodies():
    """From nothing to 10 MB, by get and by consumer: not a byte differs."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch)
        inbox = None
        for size in BODY_SIZES:
            await ch.default_exchange.publish(message(body_of(size)), queue.name)
            one = await get(queue, no_ack=True)
            assert one.body == body_of(size), f"{size} bytes differ by get"
        inbox = await Inbox.open(queue, no_ack=True)
        for size in BODY_SIZES:
            await ch.default_exchange.publish(message(body_of(size)), queue.name)
        await asyncio.sleep(0)
        while len(inbox.items) < len(BODY_SIZES):
            await asyncio.sleep(0.02)
        for one, size in zip(inbox.items, BODY_SIZES):
            assert one.body == body_of(size), f"{size} bytes differ by consume"


@scenario
async def properties_round_trip():
    """All properties arrive as they were sent."""
    sent = commands.Basic.Properties(
        content_type="text/plain", content_encoding="utf-8", headers={"k": "v"}, delivery_mode=2, priority=9,
        correlation_id="c" * 255, reply_to="somewhere", expiration="60000", message_id="m-1",
        timestamp=datetime.fromtimestamp(1_700_000_000, timezone.utc), message_type="t", user_id="guest", app_id="äpp")
    async with channel() as ch:
        queue = await private_queue(ch)
        raw = await ch.get_underlay_channel()
        await raw.basic_publish(b"", routing_key=queue.name, properties=sent)
        await wait_depth(ch, queue, 1)
        got = (await raw.basic_get(queue.name)).header.properties
        assert dict(got) == dict(sent), dict(got)


@scenario
async def header_field_types():
    """A header table with every field type RabbitMQ knows comes back type for type."""

    class RawHeader(header.ContentHeader):
        """A content header whose only property is the raw field table."""

        def marshal(self):
            """Class, weight, size, flags, table."""
            return b"\x00\x3c\x00\x00" + self.body_size.to_bytes(8, "big") + (1 << 13).to_bytes(2, "big") + RAW_TABLE

    async with channel() as ch:
        queue = await private_queue(ch)
        raw = await ch.get_underlay_channel()
        real = header.ContentHeader.marshal
        header.ContentHeader.marshal = RawHeader.marshal
        try:
            await raw.basic_publish(b"m", routing_key=queue.name)
        finally:
            header.ContentHeader.marshal = real
        await wait_depth(ch, queue, 1)
        got = (await get(queue)).headers
        assert got == TABLE, {k: got.get(k) for k, v in TABLE.items() if got.get(k) != v}


@scenario
async def headers_aio_pika_writes():
    """The table pamqp itself writes, which uses the narrowest integer types."""
    headers = {
        "int8": 5, "int16": -300, "int32": 70_000, "int64": 2**40, "bool": True, "none": None, "text": "grüße",
        "bytes": bytearray(b"\x00\xff"), "float": 1.5, "decimal": Decimal("3.14"), "list": [1, "two", [3]],
        "time": datetime.fromtimestamp(1_700_000_000, timezone.utc), "table": {"inner": {"deep": [True]}},
    }
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, "m", headers=headers)
        await wait_depth(ch, queue, 1)
        got = (await get(queue)).headers
        assert got == headers, got


@scenario
async def expiration_and_user_id():
    """An expiration goes out in milliseconds; a user_id must be one's own."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, "m", expiration=60.5, user_id="guest")
        one = await get(queue)
        assert one.expiration == 60.5 and one.user_id == "guest"
        text = "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
        async with closes_channel(ch, 406, text):
            await publish(ch, queue, "forged", user_id="bob")


@scenario
async def publish_order_is_kept():
    """2,000 messages of mixed size and persistence reach one consumer in the order of publishing."""
    async with channel() as ch:
        queue = await private_queue(ch)
        inbox = await Inbox.open(queue)
        bodies = [f"{n} " + "x" * (n * 37 % 3000) for n in range(2000)]
        for n, body in enumerate(bodies):
            await publish(ch, queue, body, delivery_mode=aio_pika.DeliveryMode(1 + n % 2))
        assert await inbox.wait(2000) == bodies
        await inbox.items[-1].ack(multiple=True)
