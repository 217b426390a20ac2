//! The desktop's database: mailbox, call log, outbox, cursor.
