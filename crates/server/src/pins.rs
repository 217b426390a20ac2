//! Who opens a mailbox by its PIN, and how often that may be tried.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use aftertone_model::{Now, Subscriber, Timestamp};
use aftertone_server_store::{HashedPassword, Store, StoreError};
use aftertone_voicemail::{GuessChanges, Guesser, Guesses, Pin};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

/// The PINs of an account, as the phone menu and the API see them.
#[derive(Debug)]
pub(crate) struct Pins {
    guesses: Mutex<Guesses>,
    /// Whoever writes counts down has this, so that none is overwritten by an earlier one.
    writing: AsyncMutex<()>,
    /// Argon2 takes a core and many megabytes for a while: few at once.
    hashing: Semaphore,
}

/// What became of a try.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It was right.
    Right(Subscriber),
    /// Mailbox or PIN is wrong.
    Wrong,
    /// It was not looked at: there were too many wrong ones.
    TooMany,
}

impl Default for Pins {
    fn default() -> Self {
        Self { guesses: Mutex::default(), writing: AsyncMutex::default(), hashing: Semaphore::new(2) }
    }
}

impl Pins {
    /// With what was counted before the server was started.
    pub(crate) async fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let guesses = Guesses::restored(store.wrong_pins().await?, now());
        Ok(Self { guesses: Mutex::new(guesses), ..Self::default() })
    }

    /// Looks at a PIN. A mailbox that doesn't exist takes as long as a wrong PIN, and is counted alike.
    pub(crate) async fn check(
        &self,
        store: &dyn Store,
        mailbox: &str,
        caller: &Guesser,
        pin: &Pin,
    ) -> Result<Checked, StoreError> {
        let booked = self.guesses().try_now(mailbox, caller, Instant::now());
        if let Err(wait) = booked {
            tracing::info!(?wait, "a PIN is not looked at after too many wrong ones");
            return Ok(Checked::TooMany);
        }
        // Before it is looked at: a crash meanwhile forgives nothing.
        self.write(store).await;
        // The semaphore is never closed.
        let _turn = self.hashing.acquire().await;
        let Some(subscriber) = store.check_pin(mailbox, pin.expose()).await? else { return Ok(Checked::Wrong) };
        self.guesses().forgive(mailbox, caller);
        self.write(store).await;
        Ok(Checked::Right(subscriber))
    }

    /// Sets or takes away somebody's PIN; who was kept waiting for wrong ones is not any more.
    pub(crate) async fn set(&self, store: &dyn Store, owner: &Subscriber, pin: Option<Pin>) -> anyhow::Result<()> {
        let hashed = match pin {
            Some(pin) => {
                let _turn = self.hashing.acquire().await;
                Some(tokio::task::spawn_blocking(move || HashedPassword::of_pin(pin.expose())).await??)
            }
            None => None,
        };
        store.set_pin(owner.id, hashed).await?;
        self.guesses().clear(owner.extension.as_str());
        self.write(store).await;
        Ok(())
    }

    /// Where that fails it is still counted, until the server stops: a full disk keeps nobody out who wants to delete messages.
    async fn write(&self, store: &dyn Store) {
        let _turn = self.writing.lock().await;
        let GuessChanges { kept, forgotten } = self.guesses().take_changes(now());
        if kept.is_empty() && forgotten.is_empty() {
            return;
        }
        if let Err(error) = store.put_wrong_pins(kept, forgotten).await {
            tracing::error!(%error, "wrong PINs are counted, but not written down");
        }
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Now {
    Now { mono: Instant::now(), wall: Timestamp::now() }
}
