"""pika against brokers of its own: alarms, acknowledgement timeouts."""

from own_broker import own_broker
from scenarios import name, scenario, wait_for

from .client import connect, depth, get, private_queue, publish


@scenario(limit_s=90)
def blocked():
    """During an alarm a publisher is told that it is blocked, and why; who only consumes goes on."""
    with own_broker("disk_free_limit.absolute = 1000000GB\n") as port:
        reasons = []
        connection = connect(port=port)
        connection.add_on_connection_blocked_callback(lambda _, frame: reasons.append(frame.method.reason))
        ch = connection.channel()
        publish(ch, private_queue(ch), "m")
        wait_for(lambda: reasons, "connection.blocked", turn=connection.process_data_events)
        assert "low on disk" in reasons[0], reasons
        other = connect(port=port)
        private_queue(other.channel())
        other.close()


@scenario(limit_s=120)
def consumer_timeout():
    """A delivery that is not acknowledged in time closes its channel, and comes back."""
    with own_broker("consumer_timeout = 1500\n") as port:
        connection, queue = connect(port=port), name("timeout")
        ch, other = connection.channel(), connection.channel()
        ch.queue_declare(queue)
        publish(ch, queue, "m")
        wait_for(lambda: depth(ch, queue) == 1, "the message")
        get(ch, queue)
        # RabbitMQ looks once a minute.
        wait_for(lambda: depth(other, queue) == 1, "the message to come back", 100, 0.2)
        assert get(other, queue)[0].redelivered
        wait_for(lambda: not ch.is_open, "the channel to be closed", turn=connection.process_data_events)
        connection.close()
