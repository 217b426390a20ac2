//! Sound devices.
