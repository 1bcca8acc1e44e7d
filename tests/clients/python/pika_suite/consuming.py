"""pika: taking messages, settling them, and consumers coming and going."""

import socket

import pika

from scenarios import name, scenario

from .client import (Inbox, channel, closes_channel, closes_connection, connect, depth, drain, get,
                     private_queue, publish, wait_depth)


@scenario
def get_and_get_empty():
    """basic.get takes one message and tells how many are left; an empty queue says so."""
    with channel() as ch:
        queue = private_queue(ch)
        assert ch.basic_get(queue) == (None, None, None)
        publish(ch, queue, "1", "2", "3")
        wait_depth(ch, queue, 3)
        for n in (1, 2, 3):
            method, _, text = get(ch, queue)
            assert (text, method.delivery_tag, method.message_count) == (str(n), n, 3 - n)
            assert (method.exchange, method.routing_key, method.redelivered) == ("", queue, False)
        assert ch.basic_get(queue)[0] is None


@scenario
def ack_multiple():
    """An ack for many covers all tags up to it, and nothing after."""
    queue = name("ack")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, *"abcdef")
        inbox = Inbox(ch, queue)
        inbox.wait(6)
        inbox.ack(1)
        inbox.ack(3, multiple=True)
        ch.close()
        again = ch.connection.channel()
        wait_depth(again, queue, 2)
        assert drain(again, queue) == ["e", "f"]
        again.queue_delete(queue)


@scenario
def ack_everything():
    """Tag 0 with multiple means all; with none outstanding it is no error."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, *"abc")
        inbox = Inbox(ch, queue)
        inbox.wait(3)
        ch.basic_ack(0, multiple=True)
        ch.basic_ack(0, multiple=True)
        ch.basic_cancel(inbox.tag)
        ch.basic_recover(requeue=True)
        assert depth(ch, queue) == 0


@scenario
def nack_reject_requeue_order():
    """Messages put back take their old places and are marked redelivered; refused ones are gone."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, *"abcdef")
        wait_depth(ch, queue, 6)
        taken = [get(ch, queue)[0].delivery_tag for _ in range(5)]
        ch.basic_reject(taken[3], requeue=True)
        ch.basic_reject(taken[2], requeue=False)
        ch.basic_nack(taken[1], multiple=True, requeue=True)
        wait_depth(ch, queue, 4)
        seen = [(text, method.redelivered) for method, _, text in (get(ch, queue) for _ in range(4))]
        assert seen == [("a", True), ("b", True), ("d", True), ("f", False)], seen
        ch.basic_nack(0, multiple=True, requeue=False)
        assert depth(ch, queue) == 0


@scenario
def requeue_goes_to_another_consumer():
    """A message one consumer puts back can be had by the other, in its old place."""
    with channel() as ch, channel() as other:
        queue = name("shared")
        ch.queue_declare(queue)
        publish(ch, queue, *"abc")
        wait_depth(ch, queue, 3)
        method, _, _ = get(ch, queue)
        ch.basic_reject(method.delivery_tag, requeue=True)
        wait_depth(ch, queue, 3)
        inbox = Inbox(other, queue, auto_ack=True)
        assert inbox.wait(3) == ["a", "b", "c"]
        assert [item[1].redelivered for item in inbox.items] == [True, False, False]
        ch.queue_delete(queue)


@scenario
def recover():
    """recover puts all unacked messages of the channel back; they come again, marked, in order."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, *"abc")
        inbox = Inbox(ch, queue)
        inbox.wait(3)
        inbox.ack(1)
        ch.basic_recover(requeue=True)
        assert inbox.wait(5)[3:] == ["a", "c"]
        assert [item[1].delivery_tag for item in inbox.items[3:]] == [4, 5]
        assert all(item[1].redelivered for item in inbox.items[3:])


@scenario
def recover_without_requeue():
    """Recovering to the same consumer only is not implemented."""
    with channel() as ch:
        with closes_connection(540, "NOT_IMPLEMENTED - requeue=false"):
            ch.basic_recover(requeue=False)


@scenario
def lost_connection_redelivers():
    """What a consumer held when its connection broke comes back in order, marked redelivered."""
    queue = name("lost")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, *"abcd")
        doomed = connect()
        inbox = Inbox(doomed.channel(), queue)
        inbox.wait(4)
        inbox.ack(0)
        doomed.process_data_events(0)
        doomed._impl._transport._sock.shutdown(socket.SHUT_RDWR)  # pylint: disable=protected-access
        wait_depth(ch, queue, 3)
        seen = [(text, method.redelivered) for method, _, text in (get(ch, queue) for _ in range(3))]
        assert seen == [("b", True), ("c", True), ("d", True)], seen
        ch.queue_delete(queue)


@scenario
def consumer_cancel():
    """After cancel nothing more is delivered; what was delivered can still be acknowledged."""
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_qos(prefetch_count=1)
        inbox = Inbox(ch, queue)
        publish(ch, queue, "1", "2")
        inbox.wait(1)
        ch.basic_cancel(inbox.tag)
        inbox.ack(0)
        assert inbox.settle() == ["1"]
        assert depth(ch, queue) == 1
        assert ch.queue_declare(queue, passive=True).method.consumer_count == 0
        again = Inbox(ch, queue, consumer_tag=inbox.tag)
        assert again.wait(1) == ["2"]


@scenario
def cancel_notification():
    """A consumer whose queue is deleted is told so by basic.cancel."""
    with channel() as ch, channel() as other:
        queue = name("cancelled")
        other.queue_declare(queue)
        cancelled = []
        ch.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        inbox = Inbox(ch, queue)
        other.queue_delete(queue)
        for _ in range(50):
            ch.connection.process_data_events(0.1)
            if cancelled:
                break
        assert cancelled == [inbox.tag]
        private_queue(ch)


@scenario
def consumer_tags():
    """The broker makes up a tag when asked to; a tag in use closes the connection."""
    with channel() as ch:
        queue = private_queue(ch)
        ch._impl._send_method(  # pylint: disable=protected-access
            pika.spec.Basic.Consume(queue=queue, consumer_tag="twice", nowait=True))
        ch._impl._send_method(  # pylint: disable=protected-access
            pika.spec.Basic.Consume(queue=queue, consumer_tag="twice", nowait=True))
        with closes_connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"):
            ch.queue_declare(queue, passive=True)


@scenario
def unknown_delivery_tag():
    """Settling a tag twice, or one never given, closes the channel; the others are given back."""
    queue = name("tags")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, "1", "2")
        inbox = Inbox(ch, queue)
        inbox.wait(2)
        inbox.ack(0)
        inbox.ack(0)
        with closes_channel(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
            ch.queue_declare(queue, passive=True)
        again = ch.connection.channel()
        wait_depth(again, queue, 1)
        method, _, text = get(again, queue)
        assert (text, method.redelivered) == ("2", True)
        again.basic_nack(99)
        with closes_channel(406, "PRECONDITION_FAILED - unknown delivery tag 99"):
            again.queue_declare(queue, passive=True)
        ch.connection.channel().queue_delete(queue)


@scenario
def exclusive_consumer():
    """An exclusive consumer keeps others out, and is kept out by others."""
    with channel() as ch:
        queue = private_queue(ch)
        inbox = Inbox(ch, queue, exclusive=True)
        text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
        with closes_channel(403, text):
            Inbox(ch.connection.channel(), queue)
        ch.basic_cancel(inbox.tag)
        Inbox(ch, queue)
        with closes_channel(403, text):
            Inbox(ch.connection.channel(), queue, exclusive=True)


@scenario
def consumer_priority():
    """While it has room, the consumer with the higher priority gets everything."""
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_qos(prefetch_count=3)
        low = Inbox(ch, queue, arguments={"x-priority": -5})
        high = Inbox(ch, queue, arguments={"x-priority": 10})
        publish(ch, queue, *"abcd")
        assert high.wait(3) == ["a", "b", "c"]
        assert low.wait(1) == ["d"]


@scenario
def single_active_consumer():
    """Of several consumers one is served; when it goes, the next takes over."""
    with channel() as ch:
        queue = private_queue(ch, arguments={"x-single-active-consumer": True})
        first, second = Inbox(ch, queue, auto_ack=True), Inbox(ch, queue, auto_ack=True)
        publish(ch, queue, *"abc")
        assert first.wait(3) == ["a", "b", "c"]
        ch.basic_cancel(first.tag)
        publish(ch, queue, "d")
        assert second.wait(1) == ["d"]


@scenario
def prefetch_per_consumer():
    """A prefetch holds for each consumer started after it; every ack lets one more through."""
    with channel() as ch:
        queue = private_queue(ch)
        publish(ch, queue, *[str(n) for n in range(20)])
        ch.basic_qos(prefetch_count=3)
        inbox = Inbox(ch, queue)
        assert inbox.wait(3) and inbox.settle() == ["0", "1", "2"]
        inbox.ack(1)
        assert inbox.wait(4) and inbox.settle() == ["0", "1", "2", "3"]
        inbox.ack(3, multiple=True)
        assert inbox.wait(7) and inbox.settle() == [str(n) for n in range(7)]
        second = Inbox(ch, queue)
        assert second.wait(3) and second.settle() == ["7", "8", "9"]
        assert get(ch, queue)[2] == "10", "basic.get is not limited by prefetch"


@scenario
def prefetch_per_channel():
    """A global prefetch is shared by all consumers of the channel, and holds at once."""
    with channel() as ch:
        queue = private_queue(ch)
        ch.basic_qos(prefetch_count=4, global_qos=True)
        inboxes = [Inbox(ch, queue), Inbox(ch, queue)]
        publish(ch, queue, *[str(n) for n in range(20)])
        wait_depth(ch, queue, 16)
        inboxes[0].settle()
        assert sum(len(inbox.items) for inbox in inboxes) == 4
        ch.basic_ack(0, multiple=True)
        wait_depth(ch, queue, 12)


@scenario
def prefetch_size():
    """A limit in bytes is not implemented."""
    with channel() as ch:
        with closes_connection(540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)"):
            ch.basic_qos(prefetch_size=10)


@scenario
def no_ack_consumer():
    """Without acks a delivery is the end of it: nothing comes back."""
    queue = name("noack")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, "1", "2")
        Inbox(ch, queue, auto_ack=True).wait(2)
        ch.close()
        again = ch.connection.channel()
        assert depth(again, queue) == 0
        again.queue_delete(queue)


@scenario
def consume_generator():
    """pika's generator: messages one by one, and the rest goes back when it is cancelled."""
    queue = name("generator")
    with channel() as ch:
        ch.queue_declare(queue)
        publish(ch, queue, *[str(n) for n in range(10)])
        got = []
        for method, _, body in ch.consume(queue, inactivity_timeout=5):
            got.append(body.decode())
            ch.basic_ack(method.delivery_tag)
            if len(got) == 4:
                break
        ch.cancel()
        wait_depth(ch, queue, 6)
        assert got + drain(ch, queue) == [str(n) for n in range(10)]
        ch.queue_delete(queue)
