//! The stored mailbox, as the rest of the phone sees it.

pub(crate) use aftertone_client_store::{Applied, Mailbox, StoreError};
