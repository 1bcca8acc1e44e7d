"""Runs the aio-pika scenarios: `python -m aio_pika_suite [name ...]`."""

import logging

import scenarios

# aiormq logs every close it is told about; the scenarios provoke many.
logging.disable(logging.CRITICAL)

scenarios.main(
    "aio-pika",
    [
        "aio_pika_suite.exchanges",
        "aio_pika_suite.publishing",
        "aio_pika_suite.consuming",
        "aio_pika_suite.queues",
        "aio_pika_suite.limits",
        "aio_pika_suite.features",
        "aio_pika_suite.policies",
        "aio_pika_suite.plugin_exchanges",
        "aio_pika_suite.connections",
        "aio_pika_suite.configured",
        "aio_pika_suite.restart",
    ],
)
