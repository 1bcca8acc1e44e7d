"""pika, the blocking adapter: the library most Python programs use."""
