"""aio-pika: what RabbitMQ adds to queues and publishing: overflow, single active consumers, quorum."""

import asyncio
import contextlib

from aio_pika.exceptions import DeliveryError

from scenarios import name, scenario

from .client import (Inbox, another, channel, closes_channel, counts, drain, get, message, private_queue, publish,
                     until, wait_depth)


@contextlib.asynccontextmanager
async def durable_queue(ch, **arguments):
    """A durable queue with these arguments, deleted at the end."""
    queue = await ch.declare_queue(name("durable"), durable=True, arguments=arguments)
    yield queue
    await queue.delete(if_unused=False, if_empty=False)


@scenario
async def reject_publish_dead_letters():
    """reject-publish-dlx: what is refused is nacked and dead-lettered, as maxlen."""
    async with channel(confirms=True) as ch:
        dead = await private_queue(ch)
        queue = await private_queue(ch, **{
            "x-max-length": 1, "x-overflow": "reject-publish-dlx",
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
        await publish(ch, queue, "1")
        try:
            await publish(ch, queue, "2")
        except DeliveryError:
            pass
        else:
            raise AssertionError("a full queue took a message")
        await wait_depth(ch, dead, 1)
        one = await get(dead)
        assert (one.body, one.headers["x-death"][0]["reason"]) == (b"2", "maxlen")
        assert await drain(queue) == ["1"]


@scenario
async def dead_letter_routing_key():
    """x-dead-letter-routing-key replaces the keys; the old ones are kept in x-death."""
    async with channel() as ch:
        dead = await private_queue(ch)
        exchange = await ch.declare_exchange(name("direct"), "direct", auto_delete=True)
        queue = await private_queue(ch, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
        await queue.bind(exchange, "first")
        await exchange.publish(message("m", headers={"CC": ["second"]}), "first", mandatory=False)
        await wait_depth(ch, queue, 1)
        await (await get(queue)).reject(requeue=False)
        await wait_depth(ch, dead, 1)
        one = await get(dead)
        (entry,) = one.headers["x-death"]
        assert (one.exchange, one.routing_key) == ("", dead.name)
        assert (entry["exchange"], entry["routing-keys"]) == (exchange.name, ["first", "second"])
        assert "CC" not in one.headers


@scenario
async def dead_letter_cycle():
    """A circle without any rejection in it ends: the message is dropped."""
    async with channel() as ch:
        circle = name("circle")
        queue = await ch.declare_queue(circle, exclusive=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": circle, "x-message-ttl": 50})
        await publish(ch, queue, "round and round")
        await wait_depth(ch, queue, 1)
        await wait_depth(ch, queue, 0)
        await asyncio.sleep(0.3)
        assert (await counts(ch, queue))[0] == 0


@scenario
async def priority_requeue():
    """A message put back is before the others of its priority."""
    async with channel(confirms=True) as ch:
        queue = await private_queue(ch, **{"x-max-priority": 5})
        for text, priority in (("low", 1), ("a", 3), ("b", 3)):
            await publish(ch, queue, text, priority=priority)
        first = await get(queue)
        assert (first.body, first.priority) == (b"a", 3)
        await first.reject(requeue=True)
        await wait_depth(ch, queue, 3)
        assert await drain(queue) == ["a", "b", "low"]


@scenario
async def single_active_consumer():
    """One consumer is served; the next takes over when it goes."""
    async with channel() as ch:
        other = await another(ch)
        queue = await ch.declare_queue(name("single"), auto_delete=True, arguments={"x-single-active-consumer": True})
        first = await Inbox.open(queue, no_ack=True)
        second = await Inbox.open(await other.get_queue(queue.name), no_ack=True)
        await publish(ch, queue, *"123")
        assert await first.wait(3) == ["1", "2", "3"]
        assert await second.settle() == []
        await queue.cancel(first.tag)
        await publish(ch, queue, "4")
        assert await second.wait(1) == ["4"]


@scenario
async def delivery_limit():
    """A quorum queue counts returns and dead-letters after x-delivery-limit of them."""
    async with channel(confirms=True) as ch:
        dead = await private_queue(ch)
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2,
                     "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        async with durable_queue(ch, **arguments) as queue:
            await publish(ch, queue, "poison")
            inbox = await Inbox.open(queue)
            for returns in range(3):
                await inbox.wait(returns + 1)
                one = inbox.items[-1]
                assert one.headers.get("x-delivery-count", 0) == returns, one.headers
                await one.nack(requeue=True)
            await wait_depth(ch, dead, 1)
            assert (await get(dead)).headers["x-death"][0]["reason"] == "delivery_limit"


@scenario
async def quorum_queue_rules():
    """A quorum queue is durable and shared; it drops the head or refuses publishes."""
    async with channel(confirms=True) as ch:
        for prop, more in (("non-durable", {"durable": False}), ("exclusive-owner", {"durable": True, "exclusive": True})):
            queue, each = name("quorum"), await another(ch)
            text = f"PRECONDITION_FAILED - invalid property '{prop}' for queue '{queue}' in vhost '/'"
            async with closes_channel(each, 406, text):
                await each.declare_queue(queue, arguments={"x-queue-type": "quorum"}, **more)
        async with durable_queue(ch, **{"x-queue-type": "quorum", "x-max-length": 2}) as queue:
            await publish(ch, queue, *"abcd")
            assert await drain(queue) == ["c", "d"]


@scenario
async def direct_reply_to_rules():
    """A direct reply needs a consumer first, one that does not acknowledge."""
    async with channel() as ch:
        requests, reply_to = await private_queue(ch), "amq.rabbitmq.reply-to"
        each = await another(ch)
        async with closes_channel(each, 406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
            await publish(each, requests, "a question", reply_to=reply_to)
        each = await another(ch)
        async with closes_channel(each, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
            await Inbox.open(await each.get_queue(reply_to, ensure=False))
        answers = await Inbox.open(await ch.get_queue(reply_to, ensure=False), no_ack=True)
        await publish(ch, requests, "a question", reply_to=reply_to)
        await wait_depth(ch, requests, 1)
        address = (await get(requests)).reply_to
        assert address.startswith("amq.rabbitmq.reply-to."), address
        await publish(ch, address, "the answer")
        assert await answers.wait(1) == ["the answer"]


@scenario
async def refused_arguments():
    """A bad argument is refused in these words, and the queue stays what it was."""
    async with channel() as ch:
        for argument, value, why in (
                ("x-message-ttl", -1, "{value_negative,-1}"),
                ("x-message-ttl", "5", '"expected integer, got longstr"'),
                ("x-expires", 0, "{value_zero,0}"),
                ("x-overflow", "drop-tail", "invalid_overflow"),
                ("x-dead-letter-routing-key", "key", "routing_key_but_no_dlx_defined")):
            queue, each = name("refused"), await another(ch)
            text = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {why}"
            async with closes_channel(each, 406, text):
                await each.declare_queue(queue, arguments={argument: value})
            # No such queue has come into being.
            each = await another(ch)
            async with closes_channel(each, 404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
                await each.declare_queue(queue, passive=True)
        queue = await ch.declare_queue(name("unchanged"), arguments={"x-max-length": 2})
        await publish(ch, queue, *"12")
        await wait_depth(ch, queue, 2)
        each = await another(ch)
        text = ("PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue "
                f"'{queue.name}' in vhost '/': received '1' but current is '2'")
        async with closes_channel(each, 406, text):
            await each.declare_queue(queue.name, arguments={"x-max-length": 1})
        await publish(ch, queue, "3")

        async def newest():
            return await drain(queue) == ["2", "3"]

        await until(newest, "the limit to be what it was")
        await queue.delete()
