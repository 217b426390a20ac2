//! SIP, sans-IO: grammar, messages, transactions, dialogs, digest, registration, subscriptions.
