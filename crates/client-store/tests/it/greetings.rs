//! Greetings and the plan: what the feed tells is kept, and a snapshot takes its place.

use aftertone_client_store::{Applied, Mailbox};
use aftertone_model::{Greeting, GreetingId, GreetingKind, Language, Plan, Timestamp};
use aftertone_sync::ChangeBody;

use crate::common::page;

fn greeting(number: u128, title: &str) -> Greeting {
    Greeting {
        id: GreetingId::from_random(number),
        kind: GreetingKind::Greeting,
        title: title.into(),
        text: String::new(),
        language: Language::En,
        expires_at: None,
        changed_at: Timestamp::UNIX_EPOCH,
        sound: None,
    }
}

fn put(greeting: &Greeting) -> ChangeBody {
    ChangeBody::Greeting { greeting: Box::new(greeting.clone()) }
}

#[tokio::test]
async fn what_the_feed_tells_of_greetings_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(mailbox.plan().await.unwrap(), None, "nobody has told it");
    let (first, second) = (greeting(1, "Office"), greeting(2, "Vacation"));
    let plan = Plan { standard: Some(first.id), ..Plan::default() };
    let told = ChangeBody::Plan { version: 4, plan: Box::new(plan.clone()) };
    assert_eq!(mailbox.apply(page(1, vec![put(&first), put(&second), told.clone()])).await.unwrap(), vec![Applied::Greetings; 3]);
    assert_eq!(mailbox.greetings().await.unwrap().len(), 2);
    let stored = mailbox.plan().await.unwrap().unwrap();
    assert_eq!((stored.version, stored.plan), (4, plan));

    assert_eq!(mailbox.apply(page(5, vec![put(&first)])).await.unwrap(), [], "the same again is no news");
    let gone = ChangeBody::GreetingRemoved { greeting: second.id };
    assert_eq!(mailbox.apply(page(6, vec![gone])).await.unwrap(), [Applied::Greetings]);
    assert_eq!(mailbox.greetings().await.unwrap(), std::slice::from_ref(&first));

    // What a snapshot doesn't have is gone.
    mailbox.replace(vec![page(9, vec![put(&second)])]).await.unwrap();
    assert_eq!(mailbox.greetings().await.unwrap(), [second]);
    assert_eq!(mailbox.plan().await.unwrap(), None, "the account has none any more, as after the restoring of an old backup");
    mailbox.apply(page(10, vec![told])).await.unwrap();
    mailbox.close().await;
    let again = Mailbox::open(folder.path()).await.unwrap();
    assert_eq!(again.plan().await.unwrap().unwrap().version, 4, "it is there after a restart");
}
