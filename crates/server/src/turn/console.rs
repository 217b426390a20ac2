//! What a TURN server still relays for devices that were signed out is ended there: coturn asks for credentials when a session
//! begins and never again, so that their end alone would leave a session to whoever keeps it alive.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use aftertone_model::{DeviceId, SubscriberId};
use aftertone_server_store::Store;
use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use super::{TurnSecret, user_of};
use crate::{bells::RevocationListener, listen::stopped};

/// A session that a revoked device begins with credentials of before lasts as long.
const LOOK: Duration = Duration::from_secs(5);
/// A console is on this machine and answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of what a console says at a time; a session takes some 500 bytes.
const LONGEST_ANSWER: u64 = 64 << 20;
const PROMPT: &[u8] = b"> ";

/// The consoles of coturn servers (`cli-port`) on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consoles {
    addresses: Vec<SocketAddr>,
    password: TurnSecret,
}

impl Consoles {
    /// Those at `addresses`; `None` if there are none.
    ///
    /// # Errors
    /// Where one is on another machine, for the password goes there as it is, or the password is missing.
    pub fn new(addresses: Vec<SocketAddr>, password: Option<TurnSecret>) -> anyhow::Result<Option<Self>> {
        let password = password.filter(|password| !password.0.is_empty());
        match (addresses.is_empty(), password) {
            (true, None) => Ok(None),
            (true, Some(_)) => bail!("a password without a console: --turn-console 127.0.0.1:5766 names one"),
            (false, None) => bail!("a TURN server's console needs its password: --turn-console-password (coturn: cli-password)"),
            (false, Some(password)) => {
                let far = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
                ensure!(far.is_none(), "{far:?} is another machine, and a console has no encryption: 127.0.0.1 is expected");
                Ok(Some(Self { addresses, password }))
            }
        }
    }

    /// Ends what devices that are signed out have, now and whenever one is revoked, until `stopping`.
    pub(crate) async fn watch(self, store: Arc<dyn Store>, mut revoked: RevocationListener, mut stopping: watch::Receiver<bool>) {
        let mut failing = BTreeSet::new();
        loop {
            for address in &self.addresses {
                let done = timeout(PATIENCE, self.clear(*address, store.as_ref())).await;
                match done.map_err(anyhow::Error::from).and_then(|done| done) {
                    Ok(()) => drop(failing.remove(address)),
                    Err(error) if failing.insert(*address) => {
                        tracing::error!(%address, "the TURN server's console can't be used: {error:#}");
                    }
                    Err(error) => tracing::debug!(%address, "the TURN server's console can't be used: {error:#}"),
                }
            }
            tokio::select! {
                () = stopped(&mut stopping) => return,
                () = sleep(LOOK) => {}
                () = revoked.any() => {}
            }
        }
    }

    async fn clear(&self, address: SocketAddr, store: &dyn Store) -> anyhow::Result<()> {
        let mut console = Console::open(address, &self.password).await?;
        let sessions = sessions(&console.ask("ps").await?);
        let mut signed_in: BTreeMap<SubscriberId, BTreeSet<DeviceId>> = BTreeMap::new();
        for session in sessions {
            let devices = match signed_in.entry(session.owner) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(unknown) => {
                    let devices = store.devices(session.owner).await?;
                    unknown.insert(devices.into_iter().map(|device| device.id).collect())
                }
            };
            if !devices.contains(&session.device) {
                console.ask(&format!("cs {}", session.id)).await?;
                tracing::info!(device = %session.device, "a session at the TURN server was ended");
            }
        }
        Ok(())
    }
}

/// One connection: lines of text, each answered by text with a prompt behind it.
struct Console(TcpStream);

impl Console {
    async fn open(address: SocketAddr, password: &TurnSecret) -> anyhow::Result<Self> {
        let mut console = Self(TcpStream::connect(address).await?);
        let greeting = console.until(b": \r\n").await?;
        ensure!(greeting.contains("assword"), "no console of a TURN server is there");
        let answer = console.ask(&password.0).await.context("the password may be wrong")?;
        ensure!(!answer.contains("assword"), "the password is wrong");
        // Else it lists 256.
        console.ask("cc cli-max-output-sessions 1000000").await?;
        Ok(console)
    }

    async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        self.0.write_all(format!("{line}\n").as_bytes()).await?;
        self.until(PROMPT).await
    }

    async fn until(&mut self, end: &[u8]) -> anyhow::Result<String> {
        let mut heard = Vec::new();
        while !heard.ends_with(end) {
            let read = (&mut self.0).take(LONGEST_ANSWER).read_buf(&mut heard).await?;
            ensure!(read > 0, "it hung up");
            ensure!(heard.len() as u64 <= LONGEST_ANSWER, "it talks without end");
        }
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Session {
    id: String,
    owner: SubscriberId,
    device: DeviceId,
}

/// Those of our devices, among all that a console lists.
fn sessions(listed: &str) -> Vec<Session> {
    let session = |line: &str| {
        let (id, user) = line.split_once("id=")?.1.split_once(", user <")?;
        let (owner, device) = user_of(user.split_once('>')?.0)?;
        let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        is_id.then(|| Session { id: id.to_owned(), owner, device })
    };
    listed.lines().filter_map(session).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn our_sessions_are_found_among_others() {
        let (owner, device) = (SubscriberId::from_random(1), DeviceId::from_random(2));
        let listed = format!(
            "\r\n    1) id=000000000000000003, user <1795975817:{owner}.{device}>:\r\n      realm: x\r\n\
             \x20   2) id=000000000000000004, user <1795975817:somebody>:\r\n\
             \x20   3) id=1\ncs 2, user <1795975817:{owner}.{device}>:\r\n  Total sessions: 3\r\n\r\n> "
        );
        assert_eq!(sessions(&listed), [Session { id: "000000000000000003".into(), owner, device }]);
    }

    #[test]
    fn a_console_is_on_this_machine_and_has_a_password() {
        let at = |address: &str| vec![address.parse().unwrap()];
        let password = || Some("north".parse().unwrap());
        assert!(Consoles::new(at("127.0.0.1:5766"), password()).unwrap().is_some());
        assert!(Consoles::new(Vec::new(), None).unwrap().is_none());
        assert!(Consoles::new(at("192.0.2.1:5766"), password()).is_err());
        assert!(Consoles::new(at("[::1]:5766"), None).is_err());
        assert!(Consoles::new(Vec::new(), password()).is_err());
    }
}
