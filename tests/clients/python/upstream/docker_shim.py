"""pytest plugin for aio-pika and aiormq, whose tests start RabbitMQ in Docker: gives them our broker.

Stands in for their `tests/docker_client.py`. It also switches off their hunt for memory leaks in
the client, which takes most of the suites' time and is no business of a broker's.
"""

import os
import sys
import tracemalloc
import types
import warnings

import pytest
from yarl import URL

CLOSED_PORT = 1


class ContainerInfo:
    """What their fixtures want to know about the container."""

    id = "the broker under test"
    host = os.environ["AMQP_HOST"]
    ports = {"5672/tcp": int(os.environ["AMQP_PORT"]), "5671/tcp": CLOSED_PORT}


class DockerClient:
    """Starts nothing."""

    def __init__(self, *_):
        pass

    def run(self, *_, **__):
        """Says where the broker is."""
        return ContainerInfo()

    def kill(self, *_):
        """Leaves the broker alone."""

    remove = stop = kill


class NoSnapshot:
    """A memory snapshot in which nothing is ever different."""

    def filter_traces(self, *_):
        """Nothing to filter."""
        return self

    def compare_to(self, *_, **__):
        """No differences."""
        return []


_module = types.ModuleType("tests.docker_client")
_module.ContainerInfo = ContainerInfo
_module.DockerClient = DockerClient
_module.DockerHostInfo = object
_module.DockerNotAvailableError = type("DockerNotAvailableError", (Exception,), {})
_module.check_docker_available = lambda: None
sys.modules["tests.docker_client"] = _module

tracemalloc.start = tracemalloc.stop = tracemalloc.clear_traces = lambda *_: None
tracemalloc.take_snapshot = NoSnapshot
warnings.simplefilter("ignore")


@pytest.fixture(scope="session")
def rabbitmq_container():
    """The container aiormq's tests expect; aio-pika's make their own from the client above."""
    return ContainerInfo()


@pytest.fixture(scope="session")
def amqp_direct_url():
    """The address aiormq's tests expect."""
    return URL.build(scheme="amqp", user="guest", password="guest", path="//",
                     host=ContainerInfo.host, port=ContainerInfo.ports["5672/tcp"])
