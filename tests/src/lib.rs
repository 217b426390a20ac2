//! Scenarios across crates, with real peers and real daemons.
