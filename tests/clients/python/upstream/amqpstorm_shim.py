"""pytest plugin for AMQPStorm's functional tests: our port, and cleaning up without HTTP.

The tests connect to port 5672 and remove their queues through RabbitMQ's management API.
"""

import os

import amqpstorm
from amqpstorm.tests.functional import utility

HOST, PORT = os.environ["AMQP_HOST"], int(os.environ["AMQP_PORT"])
_init = amqpstorm.Connection.__init__


def _init_with_port(self, hostname, username, password, port=PORT, **kwargs):
    _init(self, hostname, username, password, port, **kwargs)


def _clean(names, queue=False, exchange=False):
    with amqpstorm.Connection(HOST, "guest", "guest") as connection, connection.channel() as channel:
        for name in names:
            if queue:
                channel.queue.delete(name)
            if exchange:
                channel.exchange.delete(name)


amqpstorm.Connection.__init__ = _init_with_port
utility.clean = _clean
