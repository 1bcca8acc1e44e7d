//! The HTTP face: management API and Prometheus text over the broker's own API.
