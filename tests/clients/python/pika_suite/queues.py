"""pika: declaring queues, who may use them, and when they go."""

from scenarios import name, scenario, wait_for

from .client import (Inbox, channel, closes_channel, depth, drain, get, private_queue, publish,
                     wait_depth)


@scenario
def server_named_queue():
    """An empty name asks for a fresh one, and later means the queue declared last."""
    with channel() as ch:
        first, second = private_queue(ch), private_queue(ch)
        assert first != second
        assert first.startswith("amq.gen-") and len(first) == len("amq.gen-") + 22, first
        publish(ch, second, "m")
        wait_depth(ch, second, 1)
        ch.queue_bind("", "amq.direct")
        ch.basic_publish("amq.direct", second, b"bound under its own name")
        wait_depth(ch, second, 2)
        assert ch.basic_get("")[2] == b"m"
        assert ch.queue_purge("").method.message_count == 1


@scenario
def no_previously_declared_queue():
    """An empty name where no queue was declared before is an error."""
    with channel() as ch:
        with closes_channel(404, "NOT_FOUND - no previously declared queue"):
            ch.queue_purge("")


@scenario
def reserved_names():
    """Names that begin with amq. are the broker's."""
    with channel() as ch:
        with closes_channel(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
            ch.queue_declare("amq.mine")
        ch = ch.connection.channel()
        with closes_channel(403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"):
            ch.exchange_declare("amq.mine", "direct")


@scenario
def exclusive_queue():
    """Only the connection that declared it may use an exclusive queue, and it goes with it."""
    with channel() as owner, channel() as other:
        queue = name("exclusive")
        owner.queue_declare(queue, exclusive=True)
        publish(other, queue, "anyone may publish")
        wait_depth(owner, queue, 1)
        text = (f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. "
                "It could be originally declared on another connection or the exclusive property value does "
                "not match that of the original declaration.")
        for attempt in (
                lambda ch: ch.queue_declare(queue, exclusive=True),
                lambda ch: ch.queue_declare(queue, passive=True),
                lambda ch: Inbox(ch, queue),
                lambda ch: ch.basic_get(queue),
                lambda ch: ch.queue_purge(queue),
                lambda ch: ch.queue_bind(queue, "amq.fanout"),
                lambda ch: ch.queue_delete(queue)):
            with closes_channel(405, text):
                attempt(other.connection.channel())
        owner.connection.close()
        with closes_channel(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
            other.queue_declare(queue, passive=True)


@scenario
def auto_delete_queue():
    """An auto-delete queue goes with its last consumer, but not before it had one."""
    with channel() as ch:
        queue = name("auto")
        ch.queue_declare(queue, auto_delete=True)
        publish(ch, queue, "m")
        wait_depth(ch, queue, 1)
        method, _, _ = get(ch, queue)
        ch.basic_reject(method.delivery_tag, requeue=True)
        first, second = Inbox(ch, queue, auto_ack=True), Inbox(ch, queue, auto_ack=True)
        ch.basic_cancel(first.tag)
        ch.queue_declare(queue, passive=True)
        ch.basic_cancel(second.tag)
        with closes_channel(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
            ch.queue_declare(queue, passive=True)


@scenario
def auto_delete_queue_with_its_channel():
    """Closing the channel of the last consumer counts as cancelling it."""
    with channel() as ch:
        queue = name("auto")
        consumer = ch.connection.channel()
        ch.queue_declare(queue, auto_delete=True)
        Inbox(consumer, queue)
        consumer.close()
        with closes_channel(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
            for _ in range(100):
                ch.queue_declare(queue, passive=True)
                ch.connection.sleep(0.02)


@scenario
def auto_delete_exchange():
    """An auto-delete exchange goes with its last binding."""
    with channel() as ch:
        exchange, queue = name("auto"), private_queue(ch)
        ch.exchange_declare(exchange, "direct", auto_delete=True)
        ch.exchange_declare(exchange, passive=True)
        ch.queue_bind(queue, exchange, "k")
        ch.queue_unbind(queue, exchange, "k")
        with closes_channel(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
            ch.exchange_declare(exchange, passive=True)


@scenario
def passive_declares():
    """A passive declare finds out whether something is there, and how full, and creates nothing."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, "1", "2", "3")
        wait_depth(ch, queue, 3)
        inbox = Inbox(ch, queue)
        inbox.wait(3)
        ok = ch.queue_declare(queue, passive=True, durable=True, auto_delete=True).method
        assert (ok.queue, ok.message_count, ok.consumer_count) == (queue, 0, 1)
        ch.exchange_declare("amq.topic", passive=True)
        for kind, declare in {"queue": ch.queue_declare, "exchange": ch.exchange_declare}.items():
            missing = name("missing")
            declare = getattr(ch.connection.channel(), declare.__name__)
            with closes_channel(404, f"NOT_FOUND - no {kind} '{missing}' in vhost '/'"):
                declare(missing, passive=True)


@scenario
def inequivalent_queue():
    """Declaring again with the same arguments is fine; any difference is named and refused."""
    with channel() as ch:
        queue = name("same")
        ch.queue_declare(queue, durable=True, arguments={"x-max-length": 5})
        ch.queue_declare(queue, durable=True, arguments={"x-max-length": 5})
        where = f"for queue '{queue}' in vhost '/': received"
        for more, text in (
                ({"durable": False}, f"'durable' {where} 'false' but current is 'true'"),
                ({"durable": True, "auto_delete": True}, f"'auto_delete' {where} 'true' but current is 'false'"),
                ({"durable": True, "arguments": {}},
                 f"'x-max-length' {where} none but current is the value '5' of type 'signedint'"),
                ({"durable": True, "arguments": {"x-max-length": 6}},
                 f"'x-max-length' {where} '6' but current is '5'"),
                ({"durable": True, "arguments": {"x-max-length": 5, "x-message-ttl": 9}},
                 f"'x-message-ttl' {where} the value '9' of type 'signedint' but current is none")):
            with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg {text}"):
                ch.connection.channel().queue_declare(queue, **more)
        ch.queue_delete(queue)


@scenario
def inequivalent_exchange():
    """The same for exchanges."""
    with channel() as ch:
        exchange = name("same")
        ch.exchange_declare(exchange, "topic")
        ch.exchange_declare(exchange, "topic")
        where = f"for exchange '{exchange}' in vhost '/': received"
        for more, text in (
                ({"exchange_type": "direct"}, f"'type' {where} 'direct' but current is 'topic'"),
                ({"exchange_type": "topic", "durable": True}, f"'durable' {where} 'true' but current is 'false'"),
                ({"exchange_type": "topic", "internal": True}, f"'internal' {where} 'true' but current is 'false'")):
            with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg {text}"):
                ch.connection.channel().exchange_declare(exchange, **more)
        ch.exchange_delete(exchange)


@scenario
def bad_arguments():
    """Queue arguments are checked when declaring; what is refused in these words leaves nothing behind."""
    with channel() as ch:
        for argument, value, why in (
                ("x-message-ttl", -1, "{value_negative,-1}"), ("x-expires", 0, "{value_zero,0}"),
                ("x-message-ttl", "soon", '"expected integer, got longstr"'),
                ("x-max-length", -1, "{value_negative,-1}"), ("x-overflow", "spill", "invalid_overflow"),
                ("x-dead-letter-routing-key", "no exchange", "routing_key_but_no_dlx_defined")):
            queue = name()
            with closes_channel(406, f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {why}"):
                ch.connection.channel().queue_declare(queue, arguments={argument: value})
            with closes_channel(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
                ch.connection.channel().queue_declare(queue, passive=True)


@scenario
def delete_conditions():
    """delete can insist on the queue being empty or unused; deleting nothing is no error."""
    with channel() as ch:
        queue = name("delete")
        ch.queue_declare(queue)
        publish(ch, queue, "1", "2")
        wait_depth(ch, queue, 2)
        with closes_channel(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
            ch.connection.channel().queue_delete(queue, if_empty=True)
        inbox = Inbox(ch, queue, auto_ack=True)
        inbox.wait(2)
        with closes_channel(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
            ch.connection.channel().queue_delete(queue, if_unused=True)
        ch.basic_cancel(inbox.tag)
        publish(ch, queue, "3")
        wait_depth(ch, queue, 1)
        assert ch.queue_delete(queue).method.message_count == 1
        assert ch.queue_delete(queue).method.message_count == 0
        exchange = name("delete")
        ch.exchange_declare(exchange, "fanout")
        ch.queue_bind(private_queue(ch), exchange)
        with closes_channel(406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"):
            ch.connection.channel().exchange_delete(exchange, if_unused=True)
        ch.exchange_delete(exchange)
        ch.exchange_delete(exchange)


@scenario
def purge():
    """Purging takes what is ready and leaves what somebody holds."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, *"abc")
        wait_depth(ch, queue, 3)
        method, _, _ = get(ch, queue)
        assert ch.queue_purge(queue).method.message_count == 2
        ch.basic_reject(method.delivery_tag, requeue=True)
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["a"]


@scenario
def unbind_and_delete_clean_up():
    """Deleting a queue takes its bindings along; one that is made again starts without."""
    with channel() as ch:
        queue, exchange = name("again"), name("fan")
        ch.exchange_declare(exchange, "fanout")
        ch.queue_declare(queue)
        ch.queue_bind(queue, exchange)
        ch.queue_delete(queue)
        ch.queue_declare(queue)
        ch.basic_publish(exchange, "", b"for nobody")
        publish(ch, queue, "m")
        wait_depth(ch, queue, 1)
        assert drain(ch, queue) == ["m"]
        ch.queue_unbind(queue, exchange)
        ch.queue_delete(queue)
        ch.exchange_delete(exchange)


@scenario
def queue_expires():
    """A queue nobody uses for x-expires milliseconds is deleted; a consumer keeps it."""
    with channel() as ch:
        queue = name("expires")
        ch.queue_declare(queue, arguments={"x-expires": 400})
        inbox = Inbox(ch, queue)
        ch.connection.sleep(1.0)
        publish(ch, queue, "still here")
        assert inbox.wait(1) == ["still here"]
        ch.basic_cancel(inbox.tag)

        def gone():
            try:
                probe.basic_publish("", queue, b"?", mandatory=True)
            except Exception as error:  # pylint: disable=broad-except
                return type(error).__name__ == "UnroutableError"
            return False

        probe = ch.connection.channel()
        probe.confirm_delivery()
        wait_for(gone, "the queue to expire", turn=ch.connection.sleep)


@scenario
def unknown_exchange_type():
    """A type nobody provides is refused, on the channel or, by older RabbitMQ, the connection."""
    with channel() as ch:
        try:
            ch.exchange_declare(name("odd"), "no-such-type")
        except Exception as error:  # pylint: disable=broad-except
            assert error.args[0] in (406, 503), error
            assert "unknown exchange type 'no-such-type'" in error.args[1], error
        else:
            raise AssertionError("the type was taken")


@scenario
def default_exchange_is_closed():
    """The default exchange can be neither deleted nor declared otherwise."""
    with channel() as ch:
        text = "ACCESS_REFUSED - operation not permitted on the default exchange"
        with closes_channel(403, text):
            ch.connection.channel().exchange_delete("")
        with closes_channel(403, text):
            ch.connection.channel().exchange_declare("", "fanout")
        assert depth(ch, private_queue(ch)) == 0
