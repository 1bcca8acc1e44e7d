"""Celery over kombu and py-amqp: real worker processes doing tasks."""
