"""aio-pika: opening, sharing and losing connections and channels."""

import asyncio

import aio_pika
from aiormq import exceptions

from expected import WRONG_PASSWORD_TEXT
from scenarios import HOST, PASSWORD, PORT, USER, name, scenario

from .client import (Inbox, another, channel, closes_channel, connect, counts, private_queue, publish, until,
                     wait_depth)


class Relay:
    """A TCP relay before the broker whose connections can be cut, as a bad network would."""

    def __init__(self):
        self.writers, self.server, self.port = [], None, 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error):
        self.server.close()
        self.cut()

    async def _accept(self, reader, writer):
        other_reader, other_writer = await asyncio.open_connection(HOST, PORT)
        self.writers += [writer, other_writer]
        await asyncio.gather(self._copy(reader, other_writer), self._copy(other_reader, writer))

    @staticmethod
    async def _copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        """Cuts all connections without a word."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


@scenario
async def robust_connection_restores():
    """A robust connection that is cut opens again, with its queues, bindings and consumers."""
    async with Relay() as relay, channel() as other:
        connection = await connect(robust=True, port=relay.port, reconnect_interval=0.1)
        ch = await connection.channel()
        await ch.set_qos(prefetch_count=7)
        exchange = await ch.declare_exchange(name("robust"), "topic")
        queue = await ch.declare_queue(name("robust"), exclusive=True)
        await queue.bind(exchange, "a.#")
        inbox = await Inbox.open(queue)
        reopened = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: reopened.set())
        for n in range(2):
            reopened.clear()
            relay.cut()
            await asyncio.wait_for(reopened.wait(), 10)

            async def arrives():
                await (await other.get_exchange(exchange.name)).publish(
                    aio_pika.Message(b"after the break"), "a.b", mandatory=False)
                await asyncio.sleep(0.05)
                return inbox.items

            await until(arrives, f"a delivery after break {n}")
            inbox.items.clear()
        await connection.close()
        await other.exchange_delete(exchange.name)


@scenario
async def cut_connection_redelivers():
    """What a consumer held when its connection was cut comes back, marked redelivered."""
    async with Relay() as relay, channel() as ch:
        queue = await ch.declare_queue(name("cut"))
        await publish(ch, queue, *"abc")
        doomed = await connect(port=relay.port)
        holder = await doomed.channel()
        inbox = await Inbox.open(await holder.get_queue(queue.name))
        await inbox.wait(3)
        relay.cut()
        await wait_depth(ch, queue, 3)
        seen = [(one.body, one.redelivered) for one in [await queue.get() for _ in range(3)]]
        assert seen == [(b"a", True), (b"b", True), (b"c", True)], seen
        await queue.delete(if_empty=False)


@scenario
async def many_channels():
    """300 channels on one connection, opened at once, each with its own queue and consumer."""
    async with channel() as ch:
        channels = await asyncio.gather(*[another(ch) for _ in range(300)])

        async def work(n):
            queue = await private_queue(channels[n])
            inbox = await Inbox.open(queue)
            await publish(channels[n], queue, f"for channel {n}")
            assert await inbox.wait(1) == [f"for channel {n}"]
            await inbox.items[0].ack()
            await channels[n].close()

        await asyncio.gather(*[work(n) for n in range(300)])
        await private_queue(ch)


@scenario
async def channel_survives_its_neighbour():
    """A channel closed for an error does not disturb the others, and a new one can be opened."""
    async with channel() as ch:
        queue = await private_queue(ch)
        inbox = await Inbox.open(queue)
        for _ in range(20):
            each = await another(ch)
            async with closes_channel(each, 404, "NOT_FOUND - no queue 'missing' in vhost '/'"):
                await counts(each, "missing")
        await publish(ch, queue, "m")
        assert await inbox.wait(1) == ["m"]


@scenario
async def heartbeat_idle():
    """With a heartbeat of 2 s a client that is idle for 6 s, but answers, stays connected."""
    async with channel(heartbeat=2) as ch:
        queue = await private_queue(ch)
        await asyncio.sleep(6)
        await publish(ch, queue, "m")
        await wait_depth(ch, queue, 1)


@scenario
async def never_blocked_without_alarm():
    """30 MB in a hurry do not make the broker tell its publishers to stop."""
    async with channel() as ch:
        queue = await private_queue(ch)
        inbox = await Inbox.open(queue, no_ack=True)
        for _ in range(300):
            await publish(ch, queue, "x" * 100_000)
        await inbox.wait(300)
        # Set unless a connection.blocked came; there is no public way to ask.
        unblocked = getattr(ch.owner.transport.connection, "_Connection__connection_unblocked")
        assert unblocked.is_set(), "the broker sent connection.blocked"


@scenario
async def wrong_password():
    """A wrong password, or user, is refused with 403 and a text that does not tell which."""
    for user, password in ((USER, "wrong"), ("nobody", PASSWORD)):
        try:
            await connect(login=user, password=password)
        except exceptions.ProbableAuthenticationError as error:
            assert error.args == (WRONG_PASSWORD_TEXT,), error.args
        else:
            raise AssertionError(f"{user} got in")


@scenario
async def missing_vhost():
    """A vhost that does not exist is refused with 530."""
    try:
        await connect(virtualhost="nope")
    except exceptions.ConnectionNotAllowed as error:
        assert "vhost nope not found" in str(error.args), error.args
    except exceptions.InvalidFrameError as error:
        # aiormq 7.2 was waiting for open-ok and does not look into the close it gets instead.
        assert "Connection.Close" in str(error.args), error.args
    else:
        raise AssertionError("the vhost was opened")


@scenario
async def url():
    """An amqp:// address, with a connection name."""
    connection = await aio_pika.connect(f"amqp://{USER}:{PASSWORD}@{HOST}:{PORT}/?name=aio-pika%20suite")
    await private_queue(await connection.channel())
    await connection.close()


@scenario
async def update_secret():
    """connection.update-secret is answered."""
    async with channel() as ch:
        await ch.owner.update_secret(PASSWORD, reason="rotation")
        await private_queue(ch)
