"""aio-pika: declaring queues, who may use them, and when they go."""

from scenarios import name, scenario

from .client import (Inbox, another, channel, closes_channel, closes_connection, counts, drain, get, message,
                     private_queue, publish, until, wait_depth)


async def missing(ch, queue):
    """The queue must not be there (any more)."""
    each = await another(ch)
    async with closes_channel(each, 404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        await counts(each, queue)


@scenario
async def server_named_queue():
    """An empty name asks for a fresh one, and later means the queue declared last."""
    async with channel() as ch:
        first, second = await private_queue(ch), await private_queue(ch)
        assert first.name != second.name and second.name.startswith("amq.gen-")
        await publish(ch, second, "m")
        await wait_depth(ch, second, 1)
        raw = await ch.get_underlay_channel()
        assert (await raw.basic_get("", no_ack=True)).body == b"m"
        each = await another(ch)
        async with closes_channel(each, 404, "NOT_FOUND - no previously declared queue"):
            await (await each.get_underlay_channel()).queue_purge("")


@scenario
async def exclusive_queue():
    """Only the connection that declared it may use an exclusive queue, and it goes with it."""
    async with channel() as owner, channel() as other:
        queue = await owner.declare_queue(name("exclusive"), exclusive=True)
        await publish(other, queue, "anyone may publish")
        await wait_depth(owner, queue, 1)
        text = (f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}' in vhost '/'. "
                "It could be originally declared on another connection or the exclusive property value does "
                "not match that of the original declaration.")
        for attempt in (
                lambda ch: ch.declare_queue(queue.name, exclusive=True),
                lambda ch: ch.declare_queue(queue.name, passive=True),
                lambda ch: ch.queue_delete(queue.name)):
            each = await another(other)
            async with closes_channel(each, 405, text):
                await attempt(each)
        await owner.owner.close()
        await missing(other, queue.name)


@scenario
async def auto_delete():
    """An auto-delete queue goes with its last consumer, an auto-delete exchange with its last binding."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("auto"), auto_delete=True)
        exchange = await ch.declare_exchange(name("auto"), "direct", auto_delete=True)
        await queue.bind(exchange, "k")
        first, second = await Inbox.open(queue), await Inbox.open(queue)
        await queue.cancel(first.tag)
        assert await counts(ch, queue) == (0, 1)
        await queue.cancel(second.tag)
        await missing(ch, queue.name)
        async with closes_channel(ch, 404, f"NOT_FOUND - no exchange '{exchange.name}' in vhost '/'"):
            await ch.declare_exchange(exchange.name, passive=True)


@scenario
async def passive_declares():
    """A passive declare finds out whether something is there, and creates nothing."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, "1", "2")
        await wait_depth(ch, queue, 2)
        again = await ch.declare_queue(queue.name, passive=True, durable=True)
        assert again.declaration_result.message_count == 2
        assert again.declaration_result.consumer_count == 0
        await ch.get_exchange("amq.topic", ensure=True)
        await missing(ch, name("missing"))


@scenario
async def inequivalent_declares():
    """Declaring again with the same arguments is fine; any difference is named and refused."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("same"), durable=True, arguments={"x-max-length": 5})
        await ch.declare_queue(queue.name, durable=True, arguments={"x-max-length": 5})
        where = f"for queue '{queue.name}' in vhost '/': received"
        for more, text in (
                ({"durable": False}, f"'durable' {where} 'false' but current is 'true'"),
                ({"durable": True, "auto_delete": True}, f"'auto_delete' {where} 'true' but current is 'false'"),
                ({"durable": True, "arguments": {"x-max-length": 6}},
                 f"'x-max-length' {where} '6' but current is '5'")):
            each = await another(ch)
            async with closes_channel(each, 406, f"PRECONDITION_FAILED - inequivalent arg {text}"):
                await each.declare_queue(queue.name, **more)
        exchange = await ch.declare_exchange(name("same"), "topic")
        each = await another(ch)
        text = (f"PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{exchange.name}' in vhost '/': "
                "received 'direct' but current is 'topic'")
        async with closes_channel(each, 406, text):
            await each.declare_exchange(exchange.name, "direct")
        await queue.delete()
        await exchange.delete()


@scenario
async def delete_conditions_and_purge():
    """delete can insist on the queue being empty or unused; purge leaves what somebody holds."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("delete"))
        await publish(ch, queue, *"abc")
        await wait_depth(ch, queue, 3)
        where = f"PRECONDITION_FAILED - queue '{queue.name}' in vhost '/'"
        each = await another(ch)
        async with closes_channel(each, 406, f"{where} not empty"):
            await each.queue_delete(queue.name, if_empty=True)
        held = await get(queue)
        assert (await queue.purge()).message_count == 2
        await held.reject(requeue=True)
        await wait_depth(ch, queue, 1)
        inbox = await Inbox.open(queue, no_ack=True)
        assert await inbox.wait(1) == ["a"]
        each = await another(ch)
        async with closes_channel(each, 406, f"{where} in use"):
            await each.queue_delete(queue.name, if_unused=True)
        assert (await ch.queue_delete(queue.name)).message_count == 0
        assert (await ch.queue_delete(queue.name)).message_count == 0


@scenario
async def queue_expires():
    """A queue nobody uses for x-expires milliseconds is deleted."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("expires"), arguments={"x-expires": 300})
        checked = await ch.owner.channel(publisher_confirms=True)

        async def gone():
            # Asking for the queue would count as use: see whether a message can be routed to it.
            result = await checked.default_exchange.publish(message("?"), queue.name, mandatory=True)
            return hasattr(result, "delivery")

        await until(gone, "the queue to expire")


@scenario
async def nowait():
    """Declare, bind, consume and delete without waiting for an answer."""
    async with channel() as ch:
        raw, queue = await ch.get_underlay_channel(), name("nowait")
        await raw.queue_declare(queue, exclusive=True, nowait=True)
        await raw.queue_bind(queue, "amq.fanout", nowait=True)
        await raw.basic_publish(b"m", exchange="amq.fanout")
        await wait_depth(ch, queue, 1)
        assert await drain(await ch.get_queue(queue)) == ["m"]
        await raw.queue_purge(queue, nowait=True)
        await raw.queue_delete(queue, nowait=True)
        await private_queue(ch)  # Answered in order: the queue is gone when this one is there.
        await missing(ch, queue)


@scenario
async def bad_names_and_types():
    """Reserved names and unknown types are refused."""
    async with channel() as ch:
        each = await another(ch)
        text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
        async with closes_channel(each, 403, text):
            await each.declare_queue("amq.mine")
        queue = await private_queue(ch)
        await queue.consume(lambda _: None, consumer_tag="twice")
        async with closes_connection(ch, 530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"):
            raw = await ch.get_underlay_channel()
            raw.consumers.pop("twice")
            await raw.basic_consume(queue.name, lambda _: None, consumer_tag="twice")
