//! Transports: UDP, TCP and WebSocket; bytes only.
