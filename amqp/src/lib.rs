//! The wire: AMQP 0-9-1 frames, methods, tables, properties and reply codes as values, without I/O.
