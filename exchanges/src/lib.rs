//! Routing: exchange types, bindings and matchers over opaque queue handles, without I/O.
