"""pika over TLS, against a broker of its own."""

import os
import ssl

import pika

from own_broker import tls_broker
from scenarios import scenario

from .client import drain, private_queue, publish


def connect(folder, port, identity=None, **more):
    """A connection that checks the broker's certificate, and shows its own if it has one."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    if identity:
        context.load_cert_chain(os.path.join(folder, f"{identity}.pem"), os.path.join(folder, f"{identity}.key"))
    options = pika.SSLOptions(context, "localhost")
    return pika.BlockingConnection(pika.ConnectionParameters(host="127.0.0.1", port=port, ssl_options=options, **more))


def round_trip(connection):
    """Messages go there and back, a large one too."""
    ch = connection.channel()
    queue = private_queue(ch)
    ch.confirm_delivery()
    big = "x" * 1_000_000
    publish(ch, queue, "small", big)
    assert drain(ch, queue) == ["small", big]
    connection.close()


@scenario(limit_s=60)
def tls_with_password_and_with_certificate():
    """PLAIN over TLS, and EXTERNAL: the client certificate says who it is."""
    with tls_broker() as (folder, port):
        round_trip(connect(folder, port))
        external = pika.credentials.ExternalCredentials()
        round_trip(connect(folder, port, "ann", credentials=external))
        # Without a certificate there is nobody.
        try:
            connect(folder, port, credentials=external)
        except pika.exceptions.AMQPConnectionError:
            pass
        else:
            raise AssertionError("somebody without a certificate was let in")
