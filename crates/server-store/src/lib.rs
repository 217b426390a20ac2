//! The hosted account's storage: SQL, blobs, feed, spool.
