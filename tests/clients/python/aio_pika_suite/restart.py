"""aio-pika: what is still there after the broker was stopped, or killed."""

import asyncio

import aio_pika

from scenarios import broker, name, scenario

from .client import Inbox, channel, connect, get, message, publish, until, wait_depth


async def _restart(stop):
    queue, topic = name("restart"), name("restart")
    async with channel(confirms=True) as ch:
        exchange = await ch.declare_exchange(topic, "topic", durable=True)
        durable = await ch.declare_queue(queue, durable=True)
        await durable.bind(exchange, "a.#")
        for n in range(20):
            await exchange.publish(message(str(n), delivery_mode=2, headers={"n": n}), "a.b")
        await publish(ch, durable, "transient")
        held = [await get(durable) for _ in range(5)]
        await held[2].ack()
        await wait_depth(ch, durable, 16)
        await asyncio.sleep(0.5)
        broker(stop)
        broker("start")
    async with channel() as ch:
        durable = await ch.declare_queue(queue, durable=True)
        await wait_depth(ch, durable, 19)
        for n in (n for n in range(20) if n != 2):
            one = await get(durable)
            assert (one.body.decode(), one.headers) == (str(n), {"n": n}), (n, one.body)
            assert one.redelivered or n >= 5, f"{n} was delivered before and is not marked"
            await one.ack()
        exchange = await ch.get_exchange(topic)
        await exchange.publish(message("the bindings are back"), "a.x", mandatory=False)
        await wait_depth(ch, durable, 1)
        await durable.delete(if_empty=False)
        await exchange.delete()


@scenario(limit_s=120)
async def restart_after_sigterm():
    """Durable definitions, persistent messages, their order and redelivered flags survive a stop."""
    await _restart("stop")


@scenario(limit_s=120)
async def restart_after_kill():
    """The same when the broker is killed: what was confirmed is there."""
    await _restart("kill")


@scenario(limit_s=120)
async def robust_consumer_outlives_the_broker():
    """A robust connection's consumer goes on after the broker was restarted."""
    connection = await connect(robust=True, reconnect_interval=0.2)
    ch = await connection.channel(publisher_confirms=True)
    queue = await ch.declare_queue(name("robust"), durable=True)
    inbox = await Inbox.open(queue)
    await ch.default_exchange.publish(message("before", delivery_mode=2), queue.name)
    await inbox.wait(1)
    await asyncio.to_thread(broker, "stop")
    await asyncio.to_thread(broker, "start")

    async def arrives():
        try:
            await asyncio.wait_for(ch.default_exchange.publish(message("after"), queue.name), 2)
        except (aio_pika.exceptions.AMQPError, RuntimeError, asyncio.TimeoutError, OSError):
            pass
        return "after" in inbox.texts()

    await until(arrives, "a delivery after the restart", limit_s=30)
    assert inbox.items[1].body == b"before" and inbox.items[1].redelivered
    await queue.delete(if_unused=False, if_empty=False)
    await connection.close()
