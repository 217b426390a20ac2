//! The exchange, sans-IO: bindings, routing, call legs, forking, diversion.
