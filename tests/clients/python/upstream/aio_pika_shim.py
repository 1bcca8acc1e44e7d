"""pytest plugin for aio-pika: lets its test files run side by side.

They all declare auto-delete exchanges called `direct` and `test`, so that one would lose its
exchange when another is done with it. Here each process has its own.
"""

import os

import aio_pika

_SHARED = {"direct", "test"}
_declare = aio_pika.Channel.declare_exchange


def _declare_own(self, name, *args, **kwargs):
    return _declare(self, f"{name}.{os.getpid()}" if name in _SHARED else name, *args, **kwargs)


aio_pika.Channel.declare_exchange = _declare_own
