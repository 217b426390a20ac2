//! Who may be called and who may sign in: pushed in by the server, never asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use aftertone_model::{CallingRights, DeviceId, GreetingId, Subscriber, SubscriberId};
use aftertone_rules::Answering;

/// A digest credential of a phone that is not ours (RFC 8760: H(user:realm:password), lower-case hexadecimal).
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneCredentials {
    /// The device.
    pub device: DeviceId,
    /// The user name in the phone's `Authorization`; several phones may share one.
    pub user: String,
    /// SHA-256; empty if not known.
    pub ha1_sha256: String,
    /// SHA-512-256; empty if not known.
    pub ha1_sha512_256: String,
    /// MD5; empty if not known or not wanted.
    pub ha1_md5: String,
}

impl std::fmt::Debug for PhoneCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PhoneCredentials").field("device", &self.device).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A person with their phones. Devices of ours need no entry: they come over a connection that the server authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Names, number, language, ring time.
    pub subscriber: Subscriber,
    /// The phones with SIP credentials.
    pub phones: Vec<PhoneCredentials>,
    /// Whom they may call over trunks.
    pub rights: CallingRights,
    /// Their devices don't ring: the mailbox takes every call.
    pub do_not_disturb: bool,
    /// Whether they may call numbers of the outside from the phone menu when they listen from a foreign phone.
    pub dials_from_menu: bool,
    /// How their calls are answered.
    pub answering: Answering,
    /// Where the sounds of their greetings lie.
    pub greetings: BTreeMap<GreetingId, PathBuf>,
    /// Where the sound of their spoken name lies.
    pub spoken_name: Option<PathBuf>,
}

/// Everybody of the account. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory(Arc<Contents>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Contents {
    people: BTreeMap<SubscriberId, Person>,
    names: BTreeMap<String, SubscriberId>,
    /// Whose phones use a digest user name.
    users: BTreeMap<String, BTreeSet<SubscriberId>>,
}

impl Directory {
    /// A directory of these people.
    #[must_use]
    pub fn new(people: impl IntoIterator<Item = Person>) -> Self {
        let mut directory = Contents::default();
        for person in people {
            let subscriber = &person.subscriber;
            directory.names.insert(subscriber.user.as_str().to_owned(), subscriber.id);
            directory.names.insert(subscriber.extension.as_str().to_owned(), subscriber.id);
            for phone in &person.phones {
                directory.users.entry(phone.user.clone()).or_default().insert(subscriber.id);
            }
            directory.people.insert(subscriber.id, person);
        }
        Self(Arc::new(directory))
    }

    /// The person.
    #[must_use]
    pub fn person(&self, id: SubscriberId) -> Option<&Person> {
        self.0.people.get(&id)
    }

    /// The person whose user name (in any case) or extension this is.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Person> {
        self.0.people.get(self.0.names.get(&name.to_ascii_lowercase())?)
    }

    /// Everybody.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.0.people.values()
    }

    /// The phones that sign in with this digest user name, with their owners.
    pub(crate) fn credentials<'a>(&'a self, user: &'a str) -> impl Iterator<Item = (&'a Person, &'a PhoneCredentials)> {
        let of = |person: &'a Person| person.phones.iter().map(move |phone| (person, phone));
        let owners = self.0.users.get(user).into_iter().flatten().filter_map(|owner| self.0.people.get(owner));
        owners.flat_map(of).filter(move |(_, phone)| phone.user == user)
    }

    /// Whether this device is still the person's.
    pub(crate) fn has_phone(&self, owner: SubscriberId, device: DeviceId) -> bool {
        self.person(owner).is_some_and(|person| person.phones.iter().any(|phone| phone.device == device))
    }
}
