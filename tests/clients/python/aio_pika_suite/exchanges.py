"""aio-pika: the six tutorials and everything else about where a message goes."""

import asyncio

import aio_pika
from aio_pika.patterns import RPC, Master

from scenarios import name, scenario

from .client import (Inbox, another, channel, closes_channel, counts, drain, get, message, private_exchange,
                     private_queue, publish, until, wait_depth)


@scenario
async def hello_world():
    """One producer, one queue, one consumer, each on a connection of its own."""
    queue = name()
    async with channel() as sender:
        await sender.declare_queue(queue, auto_delete=True)
        await publish(sender, queue, "Hello World!")
    async with channel() as receiver:
        inbox = await Inbox.open(await receiver.declare_queue(queue, auto_delete=True), no_ack=True)
        assert await inbox.wait(1) == ["Hello World!"]
        (one,) = inbox.items
        assert (one.exchange, one.routing_key, one.redelivered, one.delivery_tag) == ("", queue, False, 1)


@scenario
async def work_queue():
    """Two workers with prefetch 1: the busy one is passed over, what a dead one held comes back."""
    async with channel() as boss, channel() as slow, channel() as quick:
        queue = await boss.declare_queue(name("work"))
        for worker in (slow, quick):
            await worker.set_qos(prefetch_count=1)
        held = await Inbox.open(await slow.get_queue(queue.name))
        await publish(boss, queue, "long")
        await held.wait(1)
        done = await Inbox.open(await quick.get_queue(queue.name))
        await publish(boss, queue, *[f"short {n}" for n in range(20)])
        for n in range(20):
            await done.wait(n + 1)
            await done.items[n].ack()
        assert done.texts() == [f"short {n}" for n in range(20)]
        assert held.texts() == ["long"], "a worker with prefetch 1 was given a second message"
        await slow.owner.close()
        assert (await done.wait(21))[20] == "long"
        assert done.items[20].redelivered
        await done.items[20].ack()
        await queue.delete(if_unused=False)


@scenario
async def publish_subscribe():
    """A fanout exchange copies to every queue bound to it, whatever the key, and to none before."""
    async with channel() as ch:
        exchange = await private_exchange(ch, "fanout")
        await exchange.publish(message("nobody listens yet"), "", mandatory=False)
        queues = [await private_queue(ch) for _ in range(5)]
        for queue in queues:
            await queue.bind(exchange)
        await exchange.publish(message("one"), "")
        await exchange.publish(message("two"), "any.key")
        for queue in queues:
            await wait_depth(ch, queue, 2)
            assert await drain(queue) == ["one", "two"]


@scenario
async def routing():
    """A direct exchange wants the key to be equal; several keys may lead to one queue, once."""
    async with channel() as ch:
        exchange = await private_exchange(ch, "direct")
        everything, errors = await private_queue(ch), await private_queue(ch)
        for key in ("info", "warning", "error"):
            await everything.bind(exchange, key)
        await errors.bind(exchange, "error")
        await errors.bind(exchange, "error")
        for key in ("info", "error", "debug", "Error"):
            await exchange.publish(message(key), key, mandatory=False)
        await wait_depth(ch, everything, 2)
        assert await drain(everything) == ["info", "error"]
        assert await drain(errors) == ["error"]
        await errors.unbind(exchange, "error")
        await exchange.publish(message("after unbind"), "error")
        await wait_depth(ch, everything, 1)
        assert await drain(errors) == []


@scenario
async def topics():
    """`*` is exactly one word, `#` none or more; a queue with two matching patterns gets one copy."""
    keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.pink.rabbit", "orange", "lazy", "a..b", ""]
    expected = {
        "*.orange.*": keys[:2], "*.*.rabbit": [keys[0], keys[2]], "lazy.#": [keys[1], keys[2], "lazy"],
        "#": keys, "*": ["orange", "lazy"], "a.*.b": ["a..b"], "#.rabbit.#": [keys[0], keys[2]], "lazy": ["lazy"],
    }
    async with channel() as ch:
        exchange = await private_exchange(ch, "topic")
        queues = {pattern: await private_queue(ch) for pattern in expected}
        for pattern, queue in queues.items():
            await queue.bind(exchange, pattern)
        await queues["*"].bind(exchange, "orange")
        for key in keys:
            await exchange.publish(message(key), key)
        await wait_depth(ch, queues["#"], len(keys))
        for pattern, queue in queues.items():
            got = await drain(queue)
            assert got == expected[pattern], (pattern, got)


# Binding arguments, then the headers that match and the headers that do not.
HEADERS = (
    ({"x-match": "all", "a": 1, "b": "two"}, [{"a": 1, "b": "two", "c": 0}], [{"a": 1}, {"a": "1", "b": "two"}]),
    ({"a": 1, "b": "two"}, [{"a": 1, "b": "two"}], [{"a": 1}]),
    ({"x-match": "any", "a": 1, "b": "two"}, [{"a": 1}, {"b": "two", "a": 9}], [{"n": 0}, {"a": 2}]),
    ({"x-match": "all", "a": 1, "x-b": 2}, [{"a": 1}], [{"x-b": 2}]),
    ({"x-match": "any", "a": 1, "x-b": 2}, [{"a": 1}], [{"x-b": 2}]),
    ({"x-match": "all-with-x", "a": 1, "x-b": 2}, [{"a": 1, "x-b": 2}], [{"a": 1}, {"x-b": 2}]),
    ({"x-match": "any-with-x", "a": 1, "x-b": 2}, [{"a": 1}, {"x-b": 2}], [{"x-b": 3}]),
    ({"x-match": "all"}, [{"a": 1}], []),
    ({"x-match": "any"}, [], [{"a": 1}]),
    ({"x-match": "all", "a": None}, [{"a": 1}, {"a": "any value"}], [{"b": 1}]),
)


@scenario
async def headers_exchange():
    """All four x-match forms and their default, x- names, empty arguments, presence."""
    async with channel(confirms=True) as ch:
        exchange = await private_exchange(ch, "headers")
        await (await private_queue(ch)).bind(exchange, arguments={"x-match": "any"})
        for arguments, matching, others in HEADERS:
            queue = await private_queue(ch)
            await queue.bind(exchange, "the key is ignored", arguments=arguments)
            for headers in matching + others:
                await exchange.publish(message(repr(headers), headers=headers), "k", mandatory=False)
            got = await drain(queue)
            assert got == [repr(headers) for headers in matching], (arguments, got)
            await queue.delete()


async def _rpc(reply_to):
    """Asks a server three questions, and checks that the answers match."""
    async with channel() as ch, channel() as server:
        requests = await server.declare_queue(name("rpc"), auto_delete=True)

        async def answer(request):
            async with request.process():
                text = str(int(request.body) ** 2)
                await publish(server, request.reply_to, text, correlation_id=request.correlation_id)

        await requests.consume(answer)
        replies = await ch.get_queue(reply_to, ensure=False) if reply_to else await private_queue(ch)
        inbox = await Inbox.open(replies, no_ack=True)
        for n in range(3):
            await publish(ch, requests, str(n + 10), reply_to=replies.name, correlation_id=f"id {n}")
        assert await inbox.wait(3) == ["100", "121", "144"]
        assert [one.correlation_id for one in inbox.items] == ["id 0", "id 1", "id 2"]


@scenario
async def rpc_reply_queue():
    """Request and reply through a queue of the client's own, told apart by correlation ids."""
    await _rpc(None)


@scenario
async def rpc_direct_reply_to():
    """Request and reply without a reply queue: amq.rabbitmq.reply-to."""
    await _rpc("amq.rabbitmq.reply-to")


@scenario
async def rpc_pattern():
    """aio-pika's own RPC: calls, answers, errors that travel, and a method nobody offers."""
    async with channel(confirms=True) as ch:
        rpc = await RPC.create(ch)

        async def multiply(*, x, y):
            return x * y

        async def fail():
            raise ValueError("it went wrong")

        method, bad = name("multiply"), name("fail")
        await rpc.register(method, multiply, auto_delete=True)
        await rpc.register(bad, fail, auto_delete=True)
        answers = await asyncio.gather(*[rpc.call(method, {"x": n, "y": 2}) for n in range(100)])
        assert answers == [n * 2 for n in range(100)]
        try:
            await rpc.call(bad)
        except ValueError as error:
            assert "it went wrong" in str(error)
        else:
            raise AssertionError("the error did not travel")
        try:
            await rpc.call(name("unknown"))
        except aio_pika.exceptions.MessageProcessError:
            pass
        else:
            raise AssertionError("calling an unknown method did not fail")
        await rpc.close()


@scenario
async def master_worker_pattern():
    """aio-pika's own work queue: every task is done once."""
    async with channel(confirms=True) as ch:
        master, done, task = Master(ch), [], name("task")

        async def work(*, n):
            done.append(n)

        worker = await master.create_worker(task, work, auto_delete=True)
        for n in range(50):
            await master.create_task(task, {"n": n})
        await until(lambda: len(done) >= 50, "50 tasks")
        assert sorted(done) == list(range(50))
        await worker.close()


@scenario
async def exchange_to_exchange():
    """Exchanges bind to exchanges; a message arriving by two ways is put in a queue once."""
    async with channel() as ch:
        source, middle, other = [await private_exchange(ch, kind) for kind in ("topic", "fanout", "direct")]
        queue = await private_queue(ch)
        await middle.bind(source, "log.#")
        await other.bind(source, "log.*")
        await queue.bind(middle)
        await queue.bind(other, "log.both")
        for key in ("log.both", "log.one.way", "no"):
            await source.publish(message(key), key, mandatory=False)
        await wait_depth(ch, queue, 2)
        assert await drain(queue) == ["log.both", "log.one.way"]
        await middle.unbind(source, "log.#")
        await source.publish(message("unbound"), "log.x.y", mandatory=False)
        await source.publish(message("bound"), "log.both", mandatory=False)
        await wait_depth(ch, queue, 1)
        assert await drain(queue) == ["bound"]


@scenario
async def alternate_exchange():
    """What an exchange cannot route goes to its alternate, and then counts as routed."""
    async with channel(confirms=True) as ch:
        lost = await private_exchange(ch, "fanout")
        exchange = await private_exchange(ch, "direct", arguments={"alternate-exchange": lost.name})
        queue, strays = await private_queue(ch), await private_queue(ch)
        await queue.bind(exchange, "known")
        await strays.bind(lost)
        for key in ("known", "unknown"):
            await exchange.publish(message(key), key, mandatory=True)
        one = await get(strays)
        assert (one.body, one.exchange, one.routing_key) == (b"unknown", exchange.name, "unknown")
        assert await drain(queue) == ["known"]


@scenario
async def carbon_copies():
    """CC and BCC headers add routing keys; BCC is taken off before delivery."""
    async with channel() as ch:
        to, copy, blind = [await private_queue(ch) for _ in range(3)]
        await publish(ch, to, "letter", headers={"CC": [copy.name], "BCC": [blind.name]})
        for queue in (to, copy, blind):
            await wait_depth(ch, queue, 1)
            one = await get(queue)
            assert one.headers == {"CC": [copy.name]}, one.headers
            assert one.routing_key == to.name


@scenario
async def default_exchange_and_internal():
    """The default exchange cannot be bound; an internal one not be published to."""
    async with channel() as ch:
        queue = await private_queue(ch)
        more = await another(ch)
        async with closes_channel(more, 403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
            await (await more.get_queue(queue.name)).bind("", "key")
        inner = await ch.declare_exchange(name("inner"), "fanout", internal=True, auto_delete=True)
        await queue.bind(inner)
        text = f"ACCESS_REFUSED - cannot publish to internal exchange '{inner.name}' in vhost '/'"
        async with closes_channel(ch, 403, text):
            raw = await ch.get_underlay_channel()
            await raw.basic_publish(b"", exchange=inner.name)
        assert (await counts(await another(ch), queue))[0] == 0
