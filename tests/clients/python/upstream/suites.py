"""Which client suites there are, where they come from, and what of them cannot run here.

A suite is taken from the source package of exactly the version that `requirements.txt` pins.
"""

import dataclasses
import os

HOST, PORT = os.environ.get("AMQP_HOST", "127.0.0.1"), os.environ.get("AMQP_PORT", "5672")

TLS = "needs a TLS listener"
RACE = "a race in the client, which loses it against RabbitMQ too"
RESTARTS = "restarts RabbitMQ in its container"
HTTP = "needs RabbitMQ's management API"


@dataclasses.dataclass
class Suite:
    """One client's own tests."""

    # The package on PyPI, as in requirements.txt.
    package: str
    # What pytest is given; several lists are run side by side, each by a process of its own.
    shards: list
    # Plugins of ours, modules of this folder.
    plugins: list = dataclasses.field(default_factory=list)
    # Environment the tests read.
    environment: dict = dataclasses.field(default_factory=dict)
    # Part of a test's id -> why it is not run.
    skips: dict = dataclasses.field(default_factory=dict)
    # Parts of the ids of tests with limits of fractions of a second, which a busy machine breaks:
    # they get three tries.
    hurried: list = dataclasses.field(default_factory=list)


def split(*files):
    """Shards: each of the files of `tests`, and all the rest."""
    paths = [f"tests/{file}" for file in files]
    return [[path] for path in paths] + [["tests", *[f"--ignore={path}" for path in paths]]]


SUITES = {
    "py-amqp": Suite(
        package="amqp",
        shards=[["t/integration"]],
        environment={"RABBITMQ_HOST": HOST, "RABBITMQ_5672_TCP": PORT},
        skips={
            "[tls": TLS,
            "-tls": TLS,
            "test_tls_": "talks to badssl.com, or needs a TLS listener",
        },
    ),
    "kombu": Suite(
        package="kombu",
        shards=[["t/integration/test_py_amqp.py"]],
        environment={"RABBITMQ_HOST": HOST, "RABBITMQ_5672_TCP": PORT},
    ),
    "amqpstorm": Suite(
        package="AMQPStorm",
        shards=[["amqpstorm/tests/functional"]],
        plugins=["upstream.amqpstorm_shim"],
        environment={
            "AMQP_USERNAME": "guest", "AMQP_PASSWORD": "guest", "AMQP_URI": f"amqp://guest:guest@{HOST}:{PORT}/%2F",
        },
        skips={
            "functional/management/": HTTP,
            "functional/test_web_based.py": HTTP,
            "functional/ssl/": TLS,
        },
    ),
    "aiormq": Suite(
        package="aiormq",
        shards=split("test_connection.py"),
        plugins=["upstream.docker_shim"],
        hurried=["test_channel.py::test_confirm_multiple"],
        skips={
            "[amqps": TLS,
            "-amqps": TLS,
            "test_ssl_verification_fails_without_trusted_ca": TLS,
            "test_ssl_context": TLS,
            "test_closing_waiter_cancellation": RACE,
            "test_connection_close_during_publish_drain": "counts on when the client's garbage is collected",
        },
    ),
    "aio-pika": Suite(
        package="aio-pika",
        shards=split("test_amqp.py", "test_amqp_robust.py", "test_amqp_robust_proxy.py", "test_pool.py"),
        plugins=["upstream.docker_shim", "upstream.aio_pika_shim"],
        skips={
            "tests/test_amqps.py": TLS,
            "tests/test_memory_leak.py": "looks for leaks in the client",
            "test_create_channels_during_reconnect": RACE,
            "test_restore_topology_and_consumers[stop_app": RESTARTS,
            "test_restore_topology_and_consumers[kill": RESTARTS,
            "test_pool_consumer_survives_broker_restart": RESTARTS,
        },
    ),
}
