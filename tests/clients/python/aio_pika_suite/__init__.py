"""aio-pika over aiormq: an asyncio client with its own codec (pamqp) and connection machinery."""
