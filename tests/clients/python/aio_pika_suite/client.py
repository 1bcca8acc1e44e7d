"""Connections, and the few things nearly every aio-pika scenario does."""

import asyncio
import contextlib
import time

import aio_pika
from aiormq import exceptions

from scenarios import HOST, PASSWORD, PORT, USER, name

REASONS = {
    403: exceptions.ChannelAccessRefused,
    404: exceptions.ChannelNotFoundEntity,
    405: exceptions.ChannelLockedResource,
    406: exceptions.ChannelPreconditionFailed,
    503: exceptions.ConnectionCommandInvalid,
    530: exceptions.ConnectionNotAllowed,
    540: exceptions.ConnectionNotImplemented,
}


async def connect(robust=False, **more):
    """A new connection; `robust` ones reconnect by themselves."""
    make = aio_pika.connect_robust if robust else aio_pika.connect
    more = {"host": HOST, "port": PORT, "login": USER, "password": PASSWORD, **more}
    return await make(**more)


@contextlib.asynccontextmanager
async def channel(confirms=False, **more):
    """A channel, with `.connection`'s life bound to the block."""
    connection = await connect(**more)
    try:
        ch = await connection.channel(publisher_confirms=confirms)
        ch.owner = connection
        yield ch
    finally:
        await connection.close()


async def another(ch, confirms=False):
    """A further channel on the connection of `ch`."""
    more = await ch.owner.channel(publisher_confirms=confirms)
    more.owner = ch.owner
    return more


async def private_queue(ch, **arguments):
    """Declares a server-named queue that goes with the connection."""
    return await ch.declare_queue("", exclusive=True, arguments=arguments or None)


async def private_exchange(ch, kind, **more):
    """Declares an exchange that goes with its last binding."""
    return await ch.declare_exchange(name(kind), kind, auto_delete=True, **more)


def message(body, **properties):
    """A message from a text or bytes."""
    return aio_pika.Message(body.encode() if isinstance(body, str) else body, **properties)


async def publish(ch, queue, *bodies, **properties):
    """Publishes to a queue (or its name) through the default exchange."""
    key = queue if isinstance(queue, str) else queue.name
    for body in bodies:
        await ch.default_exchange.publish(message(body, **properties), key, mandatory=False)


async def counts(ch, queue):
    """(ready messages, consumers) of the queue."""
    raw = await ch.get_underlay_channel()
    ok = await raw.queue_declare(queue if isinstance(queue, str) else queue.name, passive=True)
    return ok.message_count, ok.consumer_count


async def until(condition, what, limit_s=10):
    """Waits until the (possibly async) condition is true; returns its value."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < end, f"waited {limit_s} s in vain for {what}"
        await asyncio.sleep(0.02)


async def wait_depth(ch, queue, n_messages):
    """Waits until the queue has that many ready messages."""

    async def full():
        return (await counts(ch, queue))[0] == n_messages

    await until(full, f"{n_messages} messages in {queue}")


async def get(queue, no_ack=False):
    """Takes one message; the queue must have one."""
    return await queue.get(no_ack=no_ack, timeout=10)


async def drain(queue):
    """Takes and acknowledges all the queue has; returns the texts in order."""
    texts = []
    while True:
        one = await queue.get(no_ack=True, fail=False, timeout=10)
        if one is None:
            return texts
        texts.append(one.body.decode())


class Inbox:
    """A consumer that keeps the messages it is given in `items`."""

    def __init__(self, queue):
        self.queue = queue
        self.items = []
        self.tag = None

    @classmethod
    async def open(cls, queue, no_ack=False, **more):
        """Starts consuming."""
        inbox = cls(queue)
        inbox.tag = await queue.consume(inbox._deliver, no_ack=no_ack, **more)
        return inbox

    async def _deliver(self, one):
        self.items.append(one)

    async def wait(self, n_items):
        """Waits until at least that many have come; returns the texts."""
        await until(lambda: len(self.items) >= n_items, f"{n_items} deliveries")
        return self.texts()

    async def settle(self, seconds=0.3):
        """Gives deliveries that should not come the time to come; returns the texts."""
        await asyncio.sleep(seconds)
        return self.texts()

    def texts(self):
        """The bodies, in order of arrival."""
        return [one.body.decode() for one in self.items]


@contextlib.asynccontextmanager
async def closes_channel(ch, code, text):
    """The block must make the broker close the channel for exactly this reason."""
    raw = await ch.get_underlay_channel()
    async with _closes(raw.closing, code, text):
        yield


@contextlib.asynccontextmanager
async def closes_connection(ch, code, text):
    """The block must make the broker close the connection for exactly this reason."""
    async with _closes(ch.owner.transport.connection.closing, code, text):
        yield


@contextlib.asynccontextmanager
async def _closes(closing, code, text):
    try:
        yield
    except REASONS[code] as closed:
        assert closed.args == (text,), closed.args
        return
    except exceptions.ChannelInvalidStateError:
        pass
    # A publish or an ack is answered by nothing but the close, which may be still on its way.
    done, _ = await asyncio.wait([closing], timeout=10)
    assert done, f"not closed with {code}"
    closed = closing.exception()
    assert isinstance(closed, REASONS[code]) and closed.args == (text,), repr(closed)
