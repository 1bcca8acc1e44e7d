"""aio-pika: taking messages, settling them, and consumers coming and going."""

import asyncio

from aio_pika.exceptions import QueueEmpty

from scenarios import name, scenario

from .client import (Inbox, another, channel, closes_channel, closes_connection, connect, counts, drain, get,
                     private_queue, publish, until, wait_depth)


@scenario
async def get_and_get_empty():
    """basic.get takes one message and tells how many are left; an empty queue says so."""
    async with channel() as ch:
        queue = await private_queue(ch)
        try:
            await queue.get(timeout=5)
        except QueueEmpty:
            pass
        else:
            raise AssertionError("an empty queue gave something")
        await publish(ch, queue, "1", "2", "3")
        await wait_depth(ch, queue, 3)
        for n in (1, 2, 3):
            one = await get(queue)
            assert (one.body, one.delivery_tag, one.message_count) == (str(n).encode(), n, 3 - n)


@scenario
async def ack_multiple():
    """An ack for many covers all tags up to it, and nothing after."""
    async with channel() as ch:
        worker = await another(ch)
        queue = await ch.declare_queue(name("ack"))
        await publish(ch, queue, *"abcdef")
        inbox = await Inbox.open(await worker.get_queue(queue.name))
        await inbox.wait(6)
        await inbox.items[1].ack()
        await inbox.items[3].ack(multiple=True)
        await worker.close()
        await wait_depth(ch, queue, 2)
        assert await drain(queue) == ["e", "f"]
        await queue.delete()


@scenario
async def nack_reject_requeue_order():
    """Messages put back take their old places and are marked redelivered; refused ones are gone."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, *"abcdef")
        await wait_depth(ch, queue, 6)
        taken = [await get(queue) for _ in range(5)]
        await taken[3].reject(requeue=True)
        await taken[2].reject(requeue=False)
        await taken[1].nack(multiple=True, requeue=True)
        await wait_depth(ch, queue, 4)
        seen = [(one.body, one.redelivered) for one in [await get(queue) for _ in range(4)]]
        assert seen == [(b"a", True), (b"b", True), (b"d", True), (b"f", False)], seen


@scenario
async def process_context():
    """`async with message.process()` acks what went well and puts back, or drops, what did not."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, "good", "again", "bad")
        await wait_depth(ch, queue, 3)
        async with (await get(queue)).process():
            pass
        for requeue in (True, False):
            one = await get(queue)
            try:
                async with one.process(requeue=requeue):
                    raise ValueError("the handler failed")
            except ValueError:
                pass
            if requeue:
                again = await get(queue)
                assert (again.body, again.redelivered) == (b"again", True)
                await again.ack()
        assert await drain(queue) == []


@scenario
async def recover():
    """recover puts all unacked messages of the channel back; they come again, marked, in order."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, *"abc")
        inbox = await Inbox.open(queue)
        await inbox.wait(3)
        await inbox.items[1].ack()
        raw = await ch.get_underlay_channel()
        await raw.basic_recover(requeue=True)
        assert (await inbox.wait(5))[3:] == ["a", "c"]
        assert all(one.redelivered for one in inbox.items[3:])
        async with closes_connection(ch, 540, "NOT_IMPLEMENTED - requeue=false"):
            await raw.basic_recover(requeue=False)


@scenario
async def consumer_cancel():
    """After cancel nothing more is delivered; what was delivered can still be acknowledged."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await ch.set_qos(prefetch_count=1)
        inbox = await Inbox.open(queue)
        await publish(ch, queue, "1", "2")
        await inbox.wait(1)
        await queue.cancel(inbox.tag)
        await inbox.items[0].ack()
        assert await inbox.settle() == ["1"]
        assert await counts(ch, queue) == (1, 0)


@scenario
async def queue_iterator():
    """`async for` over a queue, left early: what was not taken is still there, in order."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("iterator"))
        await publish(ch, queue, *[str(n) for n in range(10)])
        got = []
        await ch.set_qos(prefetch_count=3)
        async with queue.iterator() as iterator:
            async for one in iterator:
                async with one.process():
                    got.append(one.body.decode())
                if len(got) == 4:
                    break
        await wait_depth(ch, queue, 6)
        assert got + await drain(queue) == [str(n) for n in range(10)]
        await queue.delete()


@scenario
async def cancel_notification():
    """A consumer whose queue is deleted is told so by basic.cancel."""
    async with channel() as ch, channel() as other:
        queue = await other.declare_queue(name("cancelled"))
        raw, cancelled = await ch.get_underlay_channel(), []
        raw.on_consumer_cancel_callbacks.add(lambda frame: cancelled.append(frame.consumer_tag))
        inbox = await Inbox.open(await ch.get_queue(queue.name))
        await queue.delete(if_unused=False)
        await until(lambda: cancelled, "basic.cancel")
        assert cancelled == [inbox.tag]
        await private_queue(ch)


@scenario
async def unknown_delivery_tag():
    """Settling a tag twice closes the channel; what it held is given back."""
    async with channel() as ch:
        worker = await another(ch)
        queue = await ch.declare_queue(name("tags"))
        await publish(ch, queue, "1", "2")
        inbox = await Inbox.open(await worker.get_queue(queue.name))
        await inbox.wait(2)
        raw = await worker.get_underlay_channel()
        async with closes_channel(worker, 406, "PRECONDITION_FAILED - unknown delivery tag 1"):
            await raw.basic_ack(1)
            await raw.basic_ack(1)
        await wait_depth(ch, queue, 1)
        one = await get(queue)
        assert (one.body, one.redelivered) == (b"2", True)
        await queue.delete(if_empty=False)


@scenario
async def exclusive_consumer():
    """An exclusive consumer keeps others out, and is kept out by others."""
    async with channel() as ch:
        queue = await private_queue(ch)
        text = f"ACCESS_REFUSED - queue '{queue.name}' in vhost '/' in exclusive use"
        inbox = await Inbox.open(queue, exclusive=True)
        for exclusive in (False, True):
            each = await another(ch)
            async with closes_channel(each, 403, text):
                await Inbox.open(await each.get_queue(queue.name), exclusive=exclusive)
            if not exclusive:
                await queue.cancel(inbox.tag)
                await Inbox.open(queue)


@scenario
async def consumer_priority():
    """While it has room, the consumer with the higher priority gets everything."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await ch.set_qos(prefetch_count=3)
        low = await Inbox.open(queue, arguments={"x-priority": -5})
        high = await Inbox.open(queue, arguments={"x-priority": 10})
        await publish(ch, queue, *"abcd")
        assert await high.wait(3) == ["a", "b", "c"]
        assert await low.wait(1) == ["d"]


@scenario
async def prefetch():
    """Per consumer, then shared by the channel; every ack lets one more through."""
    async with channel() as ch:
        queue = await private_queue(ch)
        await publish(ch, queue, *[str(n) for n in range(20)])
        await ch.set_qos(prefetch_count=3)
        inbox = await Inbox.open(queue)
        assert await inbox.wait(3) and await inbox.settle() == ["0", "1", "2"]
        await inbox.items[1].ack()
        assert await inbox.wait(4) and await inbox.settle() == ["0", "1", "2", "3"]
        shared = await another(ch)
        raw = await shared.get_underlay_channel()
        await raw.basic_qos(prefetch_count=4, global_=True)
        view = await shared.get_queue(queue.name)
        inboxes = [await Inbox.open(view), await Inbox.open(view)]
        await wait_depth(ch, queue, 12)
        await inboxes[0].settle()
        assert sum(len(each.items) for each in inboxes) == 4
        await raw.basic_ack(0, multiple=True)
        await wait_depth(ch, queue, 8)


@scenario
async def lost_connection_redelivers():
    """What a consumer held when its connection broke comes back in order, marked redelivered."""
    async with channel() as ch:
        queue = await ch.declare_queue(name("lost"))
        await publish(ch, queue, *"abc")
        async with channel() as doomed:
            inbox = await Inbox.open(await doomed.get_queue(queue.name))
            await inbox.wait(3)
        await wait_depth(ch, queue, 3)
        seen = [(one.body, one.redelivered) for one in [await get(queue) for _ in range(3)]]
        assert seen == [(b"a", True), (b"b", True), (b"c", True)], seen
        await queue.delete(if_empty=False)


@scenario
async def many_consumers_share():
    """Ten consumers on ten connections share 1,000 messages: each is done once."""
    connections = [await connect() for _ in range(10)]
    done = []
    try:
        first = await connections[0].channel(publisher_confirms=False)
        queue = await first.declare_queue(name("many"), auto_delete=True)

        async def work(one):
            await asyncio.sleep(0)
            done.append(int(one.body))
            await one.ack()

        for connection in connections:
            ch = await connection.channel(publisher_confirms=False)
            await ch.set_qos(prefetch_count=5)
            await (await ch.get_queue(queue.name)).consume(work)
        await publish(first, queue, *[str(n) for n in range(1000)])
        await until(lambda: len(done) >= 1000, "1,000 messages")
        assert sorted(done) == list(range(1000))
    finally:
        for connection in connections:
            await connection.close()
