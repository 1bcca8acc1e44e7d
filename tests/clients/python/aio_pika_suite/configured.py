"""aio-pika against brokers of its own: alarms, acknowledgement timeouts, TLS."""

import asyncio
import os
import ssl

import aio_pika
from aiormq import exceptions

from own_broker import own_broker, tls_broker
from scenarios import name, scenario

from .client import another, channel, closes_channel, drain, get, private_queue, publish, wait_depth


@scenario(limit_s=90)
async def blocked():
    """During an alarm a publisher's confirms wait until the alarm ends; who only consumes goes on."""
    with own_broker("disk_free_limit.absolute = 1000000GB\n") as port:
        async with channel(confirms=True, port=port) as ch:
            queue = await private_queue(ch)
            # The first is what shows that it publishes: it may get through.
            waits = asyncio.create_task(publish(ch, queue, "first", "second"))
            async with channel(port=port) as other:
                await private_queue(other)
            await asyncio.sleep(0.5)
            assert not waits.done()
            waits.cancel()


@scenario(limit_s=120)
async def consumer_timeout():
    """A delivery that is not acknowledged in time closes its channel, and comes back."""
    with own_broker("consumer_timeout = 1500\n") as port:
        async with channel(port=port) as ch:
            other, queue = await another(ch), await ch.declare_queue(name("timeout"))
            await publish(ch, queue, "m")
            await wait_depth(ch, queue, 1)
            await get(queue)
            # RabbitMQ looks once a minute.
            await asyncio.wait([(await ch.get_underlay_channel()).closing], timeout=100)
            text = ("PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: "
                    "1500 ms. This timeout value can be configured, see consumers doc guide to learn more")
            async with closes_channel(ch, 406, text):
                pass
            await wait_depth(other, queue, 1)
            assert (await get(await other.get_queue(queue.name))).redelivered


async def round_trip(folder, port, identity=None, **more):
    """Messages go there and back over TLS, a large one too."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    if identity:
        context.load_cert_chain(os.path.join(folder, f"{identity}.pem"), os.path.join(folder, f"{identity}.key"))
    connection = await aio_pika.connect(host="localhost", port=port, ssl=True, ssl_context=context, **more)
    async with connection:
        ch = await connection.channel()
        queue, big = await private_queue(ch), "x" * 1_000_000
        await publish(ch, queue, "small", big)
        assert await drain(queue) == ["small", big]


@scenario(limit_s=60)
async def tls():
    """amqps with a password, and EXTERNAL: the client certificate says who it is."""
    with tls_broker() as (folder, port):
        await round_trip(folder, port)
        await round_trip(folder, port, "ann", auth="external")
        try:
            await round_trip(folder, port, auth="external")
        except exceptions.AMQPError:
            pass
        else:
            raise AssertionError("somebody without a certificate was let in")
