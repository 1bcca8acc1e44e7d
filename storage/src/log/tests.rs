//! Tests of the message log as a whole.
