"""aio-pika: time to live, dead letters, length limits, priorities."""

import asyncio
from datetime import datetime, timedelta, timezone

from scenarios import scenario

from .client import Inbox, channel, counts, drain, get, private_exchange, private_queue, publish, wait_depth


async def mortal_queue(ch, **arguments):
    """A queue and the queue its dead go to."""
    exchange = await private_exchange(ch, "fanout")
    dead = await private_queue(ch)
    await dead.bind(exchange)
    return await private_queue(ch, **{"x-dead-letter-exchange": exchange.name, **arguments}), dead


def death(one):
    """The only entry of x-death, checked for its time."""
    (entry,) = one.headers["x-death"]
    entry = dict(entry)
    when = entry.pop("time")
    assert isinstance(when, datetime) and abs(datetime.now(timezone.utc) - when) < timedelta(minutes=1), when
    return entry


@scenario
async def time_to_live():
    """The shorter of the message's expiration and the queue's TTL counts."""
    async with channel() as ch:
        queue = await private_queue(ch, **{"x-message-ttl": 300})
        await publish(ch, queue, "1", "2")
        await wait_depth(ch, queue, 2)
        await wait_depth(ch, queue, 0)
        queue = await private_queue(ch, **{"x-message-ttl": 60_000})
        await publish(ch, queue, "short", expiration=0.1)
        await publish(ch, queue, "long", expiration=600)
        await asyncio.sleep(0.3)
        await wait_depth(ch, queue, 1)
        assert await drain(queue) == ["long"]


@scenario
async def ttl_zero():
    """A message with no time to live reaches a consumer that is ready, and nobody later."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch, **{"x-message-ttl": 0})
        await publish(ch, queue, "nobody is here")
        assert await counts(ch, queue) == (0, 0)
        inbox = await Inbox.open(queue, no_ack=True)
        await publish(ch, queue, "now")
        assert await inbox.wait(1) == ["now"]


@scenario
async def dead_letters():
    """Expired, rejected and overflowing messages: reason, keys, counts, and their types."""
    async with channel() as ch:
        queue, dead = await mortal_queue(ch, **{"x-max-length": 2})
        await publish(ch, queue, "expired", expiration=0.05, headers={"mine": 1})
        await wait_depth(ch, dead, 1)
        one = await get(dead)
        common = {"count": 1, "queue": queue.name, "exchange": "", "routing-keys": [queue.name]}
        assert death(one) == {**common, "reason": "expired", "original-expiration": "50"}, one.headers
        assert one.expiration is None and one.headers["mine"] == 1
        assert (one.headers["x-first-death-queue"], one.headers["x-first-death-reason"],
                one.headers["x-first-death-exchange"]) == (queue.name, "expired", "")
        await publish(ch, queue, "overflowing", "rejected", "nacked")
        await wait_depth(ch, queue, 2)
        await (await get(queue)).reject(requeue=False)
        await (await get(queue)).nack(requeue=False)
        await wait_depth(ch, dead, 3)
        for text, reason in (("overflowing", "maxlen"), ("rejected", "rejected"), ("nacked", "rejected")):
            one = await get(dead)
            assert one.body.decode() == text and death(one) == {**common, "reason": reason}, one.headers


@scenario
async def x_death_counts():
    """Dying again in the same queue for the same reason adds to the count; the newest comes first."""
    async with channel() as ch:
        out, back = await private_exchange(ch, "fanout"), await private_exchange(ch, "fanout")
        work = await private_queue(ch, **{"x-dead-letter-exchange": out.name})
        wait = await private_queue(ch, **{"x-dead-letter-exchange": back.name, "x-message-ttl": 50})
        await wait.bind(out)
        await work.bind(back)
        await publish(ch, work, "retry me")
        for attempt in range(4):
            await wait_depth(ch, work, 1)
            one = await get(work)
            deaths = [(d["queue"], d["reason"], d["count"]) for d in one.headers.get("x-death", [])]
            expected = [(wait.name, "expired", attempt), (work.name, "rejected", attempt)] if attempt else []
            assert deaths == expected, deaths
            await one.reject(requeue=False)


@scenario
async def max_length():
    """The oldest make room, by number and by bytes."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch, **{"x-max-length": 3})
        await publish(ch, queue, *"abcde")
        assert await drain(queue) == ["c", "d", "e"]
        queue = await private_queue(ch, **{"x-max-length-bytes": 10})
        await publish(ch, queue, "aaaa", "bbbb", "cc", "ddd", "e")
        assert await drain(queue) == ["bbbb", "cc", "ddd", "e"]


@scenario
async def priorities():
    """Higher first, equal in order, above the maximum as the maximum."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch, **{"x-max-priority": 5})
        for text, priority in (("zero", 0), ("five", 5), ("two", 2), ("nine", 9), ("two again", 2)):
            await publish(ch, queue, text, priority=priority)
        assert await drain(queue) == ["five", "nine", "two", "two again", "zero"]
