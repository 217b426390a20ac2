//! The desktop's call control, sans-IO.
