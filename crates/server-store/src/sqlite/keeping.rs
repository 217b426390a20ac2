use aftertone_model::{Fullness, Keeping, OwnKeeping, SubscriberId, Timestamp};
use aftertone_sync::MailboxRoom;
use async_trait::async_trait;

use super::SqliteStore;
use crate::{Audited, Held, MailboxKeeping, Retained, StoreError, Withheld, holds, keeping, users};

#[async_trait]
impl MailboxKeeping for SqliteStore {
    async fn put_account_keeping(&self, keeping: Keeping) -> Result<Vec<SubscriberId>, StoreError> {
        let mut tx = self.begin().await?;
        let told = keeping::put_account(&mut tx, keeping).await?;
        tx.commit().await?;
        Ok(told)
    }

    async fn keeping(&self, mailbox: SubscriberId) -> Result<Keeping, StoreError> {
        keeping::of(&mut *self.readers.begin().await?, mailbox).await
    }

    async fn own_keeping(&self, mailbox: SubscriberId) -> Result<OwnKeeping, StoreError> {
        keeping::own(&self.readers, mailbox).await
    }

    async fn put_own_keeping(&self, mailbox: SubscriberId, own: OwnKeeping, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        keeping::put_own(&mut tx, mailbox, own, now).await?;
        Ok(tx.commit().await?)
    }

    async fn fullness(&self, mailbox: SubscriberId) -> Result<Fullness, StoreError> {
        keeping::fullness(&mut *self.readers.begin().await?, mailbox).await
    }

    async fn room(&self, mailbox: SubscriberId) -> Result<MailboxRoom, StoreError> {
        keeping::room(&mut *self.readers.begin().await?, mailbox).await
    }

    async fn retain(&self, now: Timestamp) -> Result<Retained, StoreError> {
        let mut all = Retained::default();
        for person in users::all(&self.readers).await? {
            let mut tx = self.begin().await?;
            let done = keeping::retain(&mut tx, person.id, now).await?;
            tx.commit().await?;
            all.expunged += done.expunged;
            all.trashed += done.trashed;
            all.mailboxes.extend(done.mailboxes);
            all.more |= done.more;
        }
        if all.expunged > 0 {
            self.unlink_soon().await;
        }
        Ok(all)
    }

    async fn hold(&self, mailbox: SubscriberId, held: Held, on: bool, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done =
            if on { holds::place(&mut tx, mailbox, held, now).await? } else { holds::lift(&mut tx, mailbox, held, now).await? };
        tx.commit().await?;
        self.unlink_soon().await;
        Ok(done)
    }

    async fn holds(&self, mailbox: SubscriberId) -> Result<Vec<Held>, StoreError> {
        holds::of(&self.readers, mailbox).await
    }

    async fn withheld(&self, mailbox: SubscriberId) -> Result<Vec<Withheld>, StoreError> {
        holds::withheld(&self.readers, mailbox).await
    }

    async fn audit(&self, since: i64) -> Result<Vec<Audited>, StoreError> {
        keeping::audit(&self.readers, since).await
    }
}
