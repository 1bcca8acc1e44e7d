//! Tests of the command log as a whole.
