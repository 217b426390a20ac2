//! The plane over real sockets on loopback: phones that send real speech, deposits, bridges.

mod bridge;
mod deposit;
mod desktop;
mod plane;
mod webrtc;
