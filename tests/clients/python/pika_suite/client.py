"""Connections, and the few things nearly every pika scenario does."""

import contextlib

import pika

from scenarios import HOST, PASSWORD, PORT, USER, name, wait_for


def parameters(**more):
    """How to reach the broker; `more` are pika.ConnectionParameters' own."""
    more = {"host": HOST, "port": PORT, "credentials": pika.PlainCredentials(USER, PASSWORD), **more}
    return pika.ConnectionParameters(**more)


def connect(**more):
    """A new connection."""
    return pika.BlockingConnection(parameters(**more))


@contextlib.contextmanager
def channel(**more):
    """A channel on a connection of its own; both are closed at the end if still open."""
    connection = connect(**more)
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def private_queue(ch, **more):
    """Declares a server-named queue that goes with the connection; returns its name."""
    return ch.queue_declare("", exclusive=True, **more).method.queue


def private_exchange(ch, kind, **more):
    """Declares an exchange that goes with its last binding; returns its name."""
    exchange = name(kind)
    ch.exchange_declare(exchange, kind, auto_delete=True, **more)
    return exchange


def publish(ch, queue, *bodies, **properties):
    """Publishes texts to a queue through the default exchange."""
    for body in bodies:
        ch.basic_publish("", queue, body.encode(), pika.BasicProperties(**properties))


def depth(ch, queue):
    """How many messages are ready in the queue."""
    return ch.queue_declare(queue, passive=True).method.message_count


def wait_depth(ch, queue, n_messages):
    """Waits until the queue has that many ready messages."""
    wait_for(lambda: depth(ch, queue) == n_messages, f"{n_messages} messages in {queue}")


def get(ch, queue):
    """Takes one message, unacknowledged: (method, properties, text); the queue must have one."""
    method, properties, body = ch.basic_get(queue)
    assert method, f"{queue} is empty"
    return method, properties, body.decode()


def drain(ch, queue):
    """Takes and acknowledges all the queue has; returns the texts in order."""
    texts = []
    while True:
        method, _, body = ch.basic_get(queue, auto_ack=True)
        if not method:
            return texts
        texts.append(body.decode())


class Inbox:
    """A consumer that keeps what it is given: `items` are (channel, method, properties, text)."""

    def __init__(self, ch, queue, auto_ack=False, **more):
        self.ch = ch
        self.items = []
        self.tag = ch.basic_consume(queue, self._deliver, auto_ack=auto_ack, **more)

    def _deliver(self, ch, method, properties, body):
        self.items.append((ch, method, properties, body.decode()))

    def wait(self, n_items):
        """Waits until at least that many have come; returns the texts."""
        turn = self.ch.connection.process_data_events
        wait_for(lambda: len(self.items) >= n_items, f"{n_items} deliveries", turn=turn)
        return self.texts()

    def settle(self, seconds=0.3):
        """Gives deliveries that should not come the time to come; returns the texts."""
        self.ch.connection.process_data_events(seconds)
        self.ch.connection.sleep(seconds)
        return self.texts()

    def texts(self):
        """The bodies, in order of arrival."""
        return [item[3] for item in self.items]

    def ack(self, index, multiple=False):
        """Acknowledges the delivery at that place."""
        ch, method, _, _ = self.items[index]
        ch.basic_ack(method.delivery_tag, multiple)


@contextlib.contextmanager
def closes_channel(code, text):
    """The block must end with the broker closing the channel for exactly this reason."""
    try:
        yield
    except pika.exceptions.ChannelClosedByBroker as closed:
        assert (closed.reply_code, closed.reply_text) == (code, text), closed
    else:
        raise AssertionError(f"the channel was not closed with {code}")


@contextlib.contextmanager
def closes_connection(code, text):
    """The block must end with the broker closing the connection for exactly this reason."""
    try:
        yield
    except pika.exceptions.ConnectionClosedByBroker as closed:
        assert (closed.reply_code, closed.reply_text) == (code, text), closed
    else:
        raise AssertionError(f"the connection was not closed with {code}")
