"""pika: opening, sharing and losing connections and channels."""

import time

import pika

from expected import WRONG_PASSWORD_TEXT
from scenarios import HOST, PASSWORD, PORT, USER, name, scenario

from .client import (Inbox, channel, closes_channel, connect, depth, parameters, private_queue, publish, wait_depth)


@scenario
def tune():
    """What the broker offers is what RabbitMQ offers, capabilities included."""
    connection = connect()
    server = connection._impl.server_properties  # pylint: disable=protected-access
    for capability in ("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
                       "connection.blocked", "consumer_priorities", "authentication_failure_close",
                       "per_consumer_qos", "direct_reply_to"):
        assert server["capabilities"][capability] is True, capability
    assert all(server[key] for key in ("product", "version", "platform", "cluster_name"))
    agreed = connection._impl.params  # pylint: disable=protected-access
    assert (agreed.frame_max, agreed.channel_max, agreed.heartbeat) == (131072, 2047, 60), agreed
    connection.close()


@scenario
def many_channels():
    """500 channels on one connection, each with its own queue and consumer."""
    connection = connect()
    inboxes = []
    for n in range(500):
        ch = connection.channel()
        queue = private_queue(ch)
        inboxes.append(Inbox(ch, queue))
        publish(ch, queue, f"for channel {n}")
    for n, inbox in enumerate(inboxes):
        assert inbox.wait(1) == [f"for channel {n}"]
        inbox.ack(0)
    for inbox in inboxes:
        inbox.ch.close()
    assert private_queue(connection.channel())
    connection.close()


@scenario
def channel_limit():
    """The agreed channel_max is held: the last one opens, a further one cannot."""
    connection = connect(channel_max=3)
    channels = [connection.channel() for _ in range(3)]
    try:
        connection.channel()
    except (pika.exceptions.NoFreeChannels, pika.exceptions.AMQPConnectionError):
        pass
    else:
        raise AssertionError("a fourth channel was opened")
    if connection.is_open:
        channels[0].close()
        private_queue(connection.channel())
        connection.close()


@scenario
def channel_number_again():
    """The number of a channel the broker closed can be used again, and starts afresh."""
    with channel() as ch:
        queue = private_queue(ch)
        number = ch.channel_number
        Inbox(ch, queue)
        with closes_channel(404, "NOT_FOUND - no queue 'missing' in vhost '/'"):
            ch.queue_declare("missing", passive=True)
        again = ch.connection.channel(number)
        publish(again, queue, "m")
        wait_depth(again, queue, 1)
        assert again.basic_get(queue)[0].delivery_tag == 1


@scenario
def many_connections():
    """A hundred connections at once, all of them working."""
    connections = [connect() for _ in range(100)]
    queue = name("shared")
    connections[0].channel().queue_declare(queue)
    for connection in connections:
        ch = connection.channel()
        ch.confirm_delivery()
        publish(ch, queue, "m")
    ch = connections[0].channel()
    assert depth(ch, queue) == 100
    ch.queue_delete(queue)
    for connection in connections:
        connection.close()


@scenario
def heartbeat_idle():
    """With a heartbeat of 2 s a client that is idle for 6 s, but answers, stays connected."""
    with channel(heartbeat=2) as ch:
        queue = private_queue(ch)
        end = time.monotonic() + 6
        while time.monotonic() < end:
            ch.connection.process_data_events(0.5)
        publish(ch, queue, "m")
        wait_depth(ch, queue, 1)


@scenario
def heartbeat_missing():
    """A client that stops answering heartbeats is dropped; what it held comes back."""
    queue = name("silent")
    with channel() as ch, channel(heartbeat=1) as silent:
        ch.queue_declare(queue)
        publish(ch, queue, "m")
        Inbox(silent, queue).wait(1)
        end = time.monotonic() + 8
        while time.monotonic() < end and not depth(ch, queue):
            time.sleep(0.2)
        assert depth(ch, queue) == 1, "the silent client still holds the message"
        ch.queue_delete(queue)
        try:
            silent.connection.process_data_events(1)
        except pika.exceptions.AMQPConnectionError:
            pass


@scenario
def never_blocked_without_alarm():
    """30 MB in a hurry do not make the broker tell its publishers to stop."""
    blocked = []
    with channel() as ch:
        ch.connection.add_on_connection_blocked_callback(lambda *event: blocked.append(event))
        queue = private_queue(ch)
        Inbox(ch, queue, auto_ack=True)
        for _ in range(300):
            ch.basic_publish("", queue, b"x" * 100_000)
            ch.connection.process_data_events(0)
        ch.connection.sleep(0.5)
    assert not blocked, blocked


@scenario
def wrong_password():
    """A wrong password, or user, is refused with 403 and a text that does not tell which."""
    for user, password in ((USER, "wrong"), ("nobody", PASSWORD), (USER, "")):
        try:
            connect(credentials=pika.PlainCredentials(user, password))
        except pika.exceptions.ProbableAuthenticationError as error:
            assert f"(403) {WRONG_PASSWORD_TEXT!r}" in repr(error), error
        else:
            raise AssertionError(f"{user} got in")


@scenario
def missing_vhost():
    """A vhost that does not exist is refused with 530."""
    try:
        connect(virtual_host="nope")
    except pika.exceptions.ConnectionClosedByBroker as error:
        assert error.reply_code == 530 and "vhost nope not found" in error.reply_text, error
    except pika.exceptions.AMQPConnectionError as error:
        assert "530" in repr(error) and "vhost nope not found" in repr(error), error
    else:
        raise AssertionError("the vhost was opened")


@scenario
def url_parameters():
    """An amqp:// address with an encoded vhost."""
    connection = pika.BlockingConnection(pika.URLParameters(f"amqp://{USER}:{PASSWORD}@{HOST}:{PORT}/%2F"))
    private_queue(connection.channel())
    connection.close()


@scenario
def small_frames():
    """The smallest frame size AMQP allows is accepted, and respected both ways."""
    with channel(frame_max=4096) as ch:
        queue = private_queue(ch)
        ch.basic_publish("", queue, b"x" * 100_000, pika.BasicProperties(headers={"h": "y" * 3000}))
        wait_depth(ch, queue, 1)
        assert ch.basic_get(queue)[2] == b"x" * 100_000


@scenario
def close_with_work_in_flight():
    """Closing a connection in the middle of deliveries is orderly, and loses nothing."""
    queue = name("busy")
    with channel() as ch:
        ch.queue_declare(queue)
        ch.confirm_delivery()
        publish(ch, queue, *[str(n) for n in range(500)])
        for _ in range(5):
            with channel() as brief:
                Inbox(brief, queue).wait(1)
        wait_depth(ch, queue, 500)
        ch.queue_delete(queue)


@scenario
def connection_name():
    """A connection may carry a name and other properties of the client's."""
    connection = pika.BlockingConnection(parameters(client_properties={"connection_name": "pika suite"}))
    private_queue(connection.channel())
    connection.close()
