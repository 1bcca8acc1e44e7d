"""aio-pika: policies set over HTTP change queues and exchanges that are in use."""

import asyncio
import contextlib

from aio_pika.exceptions import DeliveryError

import management
from scenarios import name, scenario

from .client import (channel, counts, drain, get, message, private_exchange, private_queue, publish, until,
                     wait_depth)


@contextlib.asynccontextmanager
async def policy(kind, target, **definition):
    """A policy for the queues or exchanges of exactly that name, while the block lasts."""
    put = {"pattern": f"^{target}$", "apply-to": kind,
           "definition": {key.replace("_", "-"): value for key, value in definition.items()}}
    await asyncio.to_thread(management.call, "PUT", "policies", "/", target, body=put)
    try:
        yield
    finally:
        await asyncio.to_thread(management.call, "DELETE", "policies", "/", target)


@contextlib.asynccontextmanager
async def shared_queue(ch):
    """A queue that is not exclusive, deleted at the end."""
    queue = await ch.declare_queue(name("policy"))
    yield queue
    await queue.delete(if_unused=False, if_empty=False)


async def taken(ch, queue, text):
    """Whether the broker confirms the message."""
    try:
        await publish(ch, queue, text)
    except DeliveryError:
        return False
    return True


@scenario
async def policy_limits():
    """A policy limits a queue that is there, changes its mind, and lets go."""
    async with channel(confirms=True) as ch, shared_queue(ch) as queue:
        await publish(ch, queue, *"12345")
        async with policy("queues", queue.name, max_length=2):
            await wait_depth(ch, queue, 2)
        async with policy("queues", queue.name, max_length=2, overflow="reject-publish"):

            async def refuses():
                return not await taken(ch, queue, "6")

            await until(refuses, "the queue to refuse")
        assert await taken(ch, queue, "7")
        assert (await drain(queue))[-1] == "7"


@scenario
async def policy_time_to_live():
    """A policy gives the messages that wait already a time to live."""
    async with channel(confirms=True) as ch, shared_queue(ch) as queue:
        await publish(ch, queue, *"12")
        assert await counts(ch, queue) == (2, 0)
        async with policy("queues", queue.name, message_ttl=100):
            await wait_depth(ch, queue, 0)


@scenario
async def policy_dead_letters():
    """A dead-letter exchange given by a policy gets what is rejected."""
    async with channel(confirms=True) as ch, shared_queue(ch) as queue:
        dead = await private_queue(ch)
        more = {"dead_letter_exchange": "", "dead_letter_routing_key": dead.name}
        async with policy("queues", queue.name, **more):
            await publish(ch, queue, "m")
            await (await get(queue)).reject(requeue=False)
            await wait_depth(ch, dead, 1)
            assert (await get(dead)).headers["x-death"][0]["reason"] == "rejected"


@scenario
async def policy_expires():
    """A queue that a policy lets expire goes when nobody uses it."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("expires"))

        async def gone():
            queues = await asyncio.to_thread(management.call, "GET", "queues", "/")
            return queue.name not in [each["name"] for each in queues]

        async with policy("queues", queue.name, expires=300):
            await until(gone, "the queue to expire")


@scenario
async def policy_alternate_exchange():
    """An exchange gets an alternate by policy, and loses it with the policy."""
    async with channel(confirms=True) as ch:
        lost, strays = await private_exchange(ch, "fanout"), await private_queue(ch)
        await strays.bind(lost)
        exchange = await ch.declare_exchange(name("direct"), "direct")
        async with policy("exchanges", exchange.name, alternate_exchange=lost.name):
            await exchange.publish(message("stray"), "unknown", mandatory=False)
            await wait_depth(ch, strays, 1)
        await exchange.publish(message("lost"), "unknown", mandatory=False)
        assert (await counts(ch, strays))[0] == 1
        await exchange.delete()
