"""aio-pika: the exchange types that are plugins of RabbitMQ; skipped where one is not enabled."""

import contextlib
import time

from aiormq import exceptions

from scenarios import Skip, name, scenario

from .client import Inbox, another, channel, drain, message, private_queue, wait_depth


@contextlib.asynccontextmanager
async def exchange_of(kind, **arguments):
    """(channel, exchange of that type)."""
    async with channel(confirms=True) as ch:
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        trial = await another(ch)
        try:
            exchange = await trial.declare_exchange(name(kind), kind, auto_delete=True, arguments=arguments)
        except exceptions.AMQPError as closed:
            raise Skip(f"no exchanges of type {kind}: {closed}") from closed
        yield ch, exchange


async def send(exchange, text, key="", **headers):
    """Publishes a text with these headers."""
    await exchange.publish(message(text, headers=headers or None), key, mandatory=False)


async def shares(ch, exchange, *binding_keys):
    """What three queues get of 400 messages under 200 keys."""
    queues = [await private_queue(ch) for _ in binding_keys]
    for queue, key in zip(queues, binding_keys):
        await queue.bind(exchange, key)
    for n in range(400):
        await send(exchange, str(n % 200), f"key {n % 200}")
    found = [await drain(queue) for queue in queues]
    assert sum(map(len, found)) == 400, [len(texts) for texts in found]
    return found


def assert_keys_together(found):
    """Both messages of a key are in one queue."""
    assert all(len(texts) == 2 * len(set(texts)) for texts in found), found


@scenario
async def consistent_hash():
    """x-consistent-hash: every message in one queue, those with one key together, shares by weight."""
    async with exchange_of("x-consistent-hash") as (ch, exchange):
        found = await shares(ch, exchange, "1", "1", "2")
        assert_keys_together(found)
        assert len(found[2]) > max(len(found[0]), len(found[1])) // 2


@scenario
async def consistent_hash_of_a_header():
    """hash-header: a header decides instead of the key."""
    async with exchange_of("x-consistent-hash", hash_header="who") as (ch, exchange):
        queues = [await private_queue(ch) for _ in range(2)]
        for queue in queues:
            await queue.bind(exchange, "10")
        for n in range(20):
            await send(exchange, "m", f"key {n}", who="ann")
        assert sorted([len(await drain(queue)) for queue in queues]) == [0, 20]


@scenario
async def modulus_hash():
    """x-modulus-hash: every message in one queue, those with one key together."""
    async with exchange_of("x-modulus-hash") as (ch, exchange):
        assert_keys_together(await shares(ch, exchange, "", "", ""))


@scenario
async def random_exchange():
    """x-random: every message in one queue, and all get some."""
    async with exchange_of("x-random") as (ch, exchange):
        assert min(map(len, await shares(ch, exchange, "", "", ""))) > 50


@scenario
async def recent_history():
    """x-recent-history: a new binding gets the last messages first."""
    async with exchange_of("x-recent-history", x_recent_history_length=2) as (ch, exchange):
        first, late = await private_queue(ch), await private_queue(ch)
        await first.bind(exchange)
        for text in "123":
            await send(exchange, text)
        await wait_depth(ch, first, 3)
        await late.bind(exchange)
        await wait_depth(ch, late, 2)
        assert sorted(await drain(late)) == ["2", "3"]


@scenario
async def delayed_exchange():
    """x-delayed-message: a message waits as its header says; a shorter one overtakes it."""
    async with exchange_of("x-delayed-message", x_delayed_type="direct") as (ch, exchange):
        queue = await private_queue(ch)
        await queue.bind(exchange, "k")
        inbox, start = await Inbox.open(queue, no_ack=True), time.monotonic()
        for text, delay in (("late", 900), ("soon", 300), ("now", 0)):
            await send(exchange, text, "k", **{"x-delay": delay})
        assert await inbox.wait(3) == ["now", "soon", "late"]
        assert time.monotonic() - start >= 0.85
