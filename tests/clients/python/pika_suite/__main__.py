"""Runs the pika scenarios: `python -m pika_suite [name ...]`."""

import scenarios

scenarios.main(
    "pika",
    [
        "pika_suite.exchanges",
        "pika_suite.publishing",
        "pika_suite.consuming",
        "pika_suite.queues",
        "pika_suite.limits",
        "pika_suite.connections",
        "pika_suite.features",
        "pika_suite.configured",
        "pika_suite.tls",
        "pika_suite.restart",
    ],
)
