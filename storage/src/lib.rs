//! What outlives the process: the commit log (messages), the command log and its indexed view (definitions).
