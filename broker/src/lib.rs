//! The engine: vhosts, queues, consumers, users, permissions, dead-lettering, alarms. Knows no socket and no HTTP.
