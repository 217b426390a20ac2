//! Which account this device belongs to: signing in, what is remembered of it, signing out.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    str::FromStr,
    sync::Arc,
};

use aftertone_model::DeviceId;
use aftertone_net::{Fingerprint, Trust};
use aftertone_sync::{Me, ProblemCode, SignIn};
use serde::{Deserialize, Serialize};

use crate::{
    SecretError, SecretStore,
    http::{Api, ApiError},
};

/// Where a server is, and how it is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// `https://HOST[:PORT]`; `http://` only for this machine itself (127.0.0.0/8, ::1, localhost).
    pub url: String,
    /// SHA-256 of the server's certificate (DER), 64 hexadecimal digits. If given, that certificate and no other is
    /// trusted; if not, the system's authorities decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// It is served by this program itself, at another port each time ([`ServerAddress::own`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

/// Why a server's address can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// It is no http or https address.
    #[error("not an address of a server: https://HOST is expected")]
    NotAnAddress,
    /// Unencrypted, and not this machine itself.
    #[error("the server's address must begin with https://: without encryption only this machine itself is allowed")]
    Unencrypted,
    /// Not 64 hexadecimal digits.
    #[error("the fingerprint must be the 64 hexadecimal digits of a SHA-256")]
    Fingerprint,
}

/// An invitation: `aftertone://invite?server=URL&token=T[&fingerprint=SHA256HEX]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The server that invites.
    pub server: ServerAddress,
    /// The one-time token.
    pub token: String,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A text that is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInvitation {
    /// Not `aftertone://invite?…` with `server` and `token`.
    #[error("not an invitation: aftertone://invite?server=…&token=… is expected")]
    NotAnInvitation,
    /// Its server can't be used.
    #[error(transparent)]
    Server(#[from] InvalidServer),
}

/// What a device remembers of its account; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The server.
    pub server: ServerAddress,
    /// This device, as the server lists it.
    pub device: DeviceId,
    /// Whose account.
    pub me: Me,
}

/// Why signing in failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The address can't be used.
    #[error(transparent)]
    Server(#[from] InvalidServer),
    /// Name, password or invitation is wrong.
    #[error("the name, the password or the invitation is wrong")]
    WrongCredentials,
    /// Too many tries; wait that many seconds.
    #[error("too many tries; wait {0} seconds")]
    RateLimited(u64),
    /// The server can't be reached or answers nonsense.
    #[error("{detail}")]
    Unreachable {
        /// Where it broke.
        reason: crate::OfflineReason,
        /// What exactly. English.
        detail: String,
    },
    /// The token can't be kept; nothing was signed in (the new device was revoked again).
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data folder can't be written.
    #[error("the data folder can't be written: {0}")]
    Storage(#[source] std::io::Error),
}

impl ServerAddress {
    /// Takes what a person typed: without a scheme it is https; a path or a query is no part of a server's address.
    ///
    /// # Errors
    /// See [`InvalidServer`].
    pub fn parse(url: &str, fingerprint: Option<&str>) -> Result<Self, InvalidServer> {
        let url = url.trim().trim_end_matches('/');
        let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let parsed = reqwest::Url::parse(&url).map_err(|_| InvalidServer::NotAnAddress)?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or(InvalidServer::NotAnAddress)?;
        let plain = parsed.path() == "/" && parsed.query().is_none() && parsed.username().is_empty();
        match parsed.scheme() {
            _ if !plain => return Err(InvalidServer::NotAnAddress),
            "https" => {}
            "http" if is_this_machine(host) => {}
            "http" => return Err(InvalidServer::Unencrypted),
            _ => return Err(InvalidServer::NotAnAddress),
        }
        let fingerprint = match fingerprint {
            None => None,
            Some(text) => Some(text.trim().parse::<Fingerprint>().map_err(|_| InvalidServer::Fingerprint)?.to_string()),
        };
        Ok(Self { url: parsed.origin().ascii_serialization(), fingerprint, own: false })
    }

    /// A server inside this program, where it listens now.
    #[must_use]
    pub fn own(address: SocketAddr) -> Self {
        Self { url: format!("http://{address}"), fingerprint: None, own: true }
    }

    /// Whether both are the same server, wherever it listens.
    fn is_same(&self, other: &Self) -> bool {
        if self.own { other.own } else { !other.own && self.url == other.url }
    }

    /// The address of a WebSocket of this server.
    pub(crate) fn web_socket(&self, path: &str) -> String {
        // http becomes ws, https becomes wss.
        format!("ws{}{path}", self.url.trim_start_matches("http"))
    }

    pub(crate) fn trust(&self) -> Result<Trust, InvalidServer> {
        match &self.fingerprint {
            None => Ok(Trust::Platform),
            Some(text) => text.parse().map(Trust::Pinned).map_err(|_| InvalidServer::Fingerprint),
        }
    }

    /// Under what name the token of `device` is kept.
    pub(crate) fn secret_name(&self, device: DeviceId) -> String {
        if self.own { format!("{device} of the own account") } else { format!("{device} at {}", self.url) }
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

impl FromStr for Invitation {
    type Err = InvalidInvitation;

    fn from_str(text: &str) -> Result<Self, InvalidInvitation> {
        let url = reqwest::Url::parse(text.trim()).map_err(|_| InvalidInvitation::NotAnInvitation)?;
        if url.scheme() != "aftertone" || url.host_str() != Some("invite") {
            return Err(InvalidInvitation::NotAnInvitation);
        }
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let server = value("server").ok_or(InvalidInvitation::NotAnInvitation)?;
        let token = value("token").filter(|token| !token.is_empty()).ok_or(InvalidInvitation::NotAnInvitation)?;
        Ok(Self { server: ServerAddress::parse(&server, value("fingerprint").as_deref())?, token })
    }
}

/// The account that is signed in in the folder `data`, if any.
///
/// # Errors
/// Where the folder can't be read.
pub fn load_account(data: &Path) -> std::io::Result<Option<Account>> {
    match std::fs::read(data.join(ACCOUNT_FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(std::io::Error::other),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The account's server is inside this program, and listens at `address` from now on.
///
/// # Errors
/// Where the folder can't be written, or nobody is signed in at such a server.
pub fn relocate_own(data: &Path, address: SocketAddr) -> std::io::Result<Account> {
    let account = load_account(data)?.filter(|account| account.server.own);
    let account = account.ok_or_else(|| std::io::Error::other("no account of this machine's own is signed in"))?;
    let account = Account { server: ServerAddress::own(address), ..account };
    write_account(data, &account)?;
    Ok(account)
}

/// Signs this device in, with a password or an invitation ([`aftertone_sync::Credentials`]). What is remembered goes to
/// the folder `data` (made if it isn't there), the token to `secrets`.
///
/// # Errors
/// See [`SignInError`]. Nothing is left behind then, neither here nor (if it can still be reached) on the server.
pub async fn sign_in(
    server: ServerAddress,
    sign_in: SignIn,
    data: &Path,
    secrets: Arc<dyn SecretStore>,
) -> Result<Account, SignInError> {
    let api = Api::new(&server)?;
    try_secrets(Arc::clone(&secrets)).await?;
    let signed_in = api.sign_in(&sign_in).await?;
    let account = Account { server, device: signed_in.device, me: signed_in.me };
    let (name, token) = (account.server.secret_name(account.device), signed_in.token.clone());
    let (kept, folder, stored) = (Arc::clone(&secrets), data.to_owned(), account.clone());
    let keep = move || -> Result<(), SignInError> {
        kept.set(&name, &token)?;
        store_account(&folder, &stored).map_err(|e| {
            // The token is of no use without the account.
            let _left = kept.delete(&name);
            SignInError::Storage(e)
        })
    };
    let kept = tokio::task::spawn_blocking(keep).await.unwrap_or_else(|e| Err(SignInError::Storage(std::io::Error::other(e))));
    if let Err(e) = kept {
        let _unreachable = api.with_token(signed_in.token).revoke(account.device).await;
        return Err(e);
    }
    Ok(account)
}

/// An invitation works once: whether the token can be kept is seen before it is asked for.
async fn try_secrets(secrets: Arc<dyn SecretStore>) -> Result<(), SignInError> {
    let attempt = move || secrets.set("attempt", "kept for a moment").and_then(|()| secrets.delete("attempt"));
    let tried = tokio::task::spawn_blocking(attempt).await;
    Ok(tried.unwrap_or_else(|e| Err(SecretError::Failed(e.to_string())))?)
}

/// A device that was signed out here, which the server doesn't know yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    server: ServerAddress,
    device: DeviceId,
}

/// Notes that the server is still to be told that `account`'s device is signed out. Its token stays for that.
pub(crate) fn leave(data: &Path, account: &Account) -> std::io::Result<()> {
    let mut left = load_left(data);
    left.push(Left { server: account.server.clone(), device: account.device });
    write_left(data, &left)
}

/// Tells servers of the devices that were signed out here while they could not be reached; how many are left to be told.
pub async fn revoke_left(data: &Path, secrets: &Arc<dyn SecretStore>) -> usize {
    let mut left = Vec::new();
    let known = load_left(data);
    for one in &known {
        match revoke_one(one, secrets).await {
            Ok(()) => tracing::info!(device = %one.device, "the server knows now that this device was signed out"),
            Err(error) => {
                tracing::debug!(%error, device = %one.device, "the server doesn't know yet that this device was signed out");
                left.push(one.clone());
            }
        }
    }
    if left.len() < known.len()
        && let Err(error) = write_left(data, &left)
    {
        tracing::warn!(%error, "which devices were signed out can't be noted");
    }
    left.len()
}

async fn revoke_one(left: &Left, secrets: &Arc<dyn SecretStore>) -> Result<(), String> {
    let (kept, name) = (Arc::clone(secrets), left.server.secret_name(left.device));
    let token = tokio::task::spawn_blocking(move || kept.get(&name)).await.map_err(|e| e.to_string())?;
    if let Some(token) = token.map_err(|e| e.to_string())? {
        let api = Api::new(&left.server).map_err(|e| e.to_string())?.with_token(token);
        match api.revoke(left.device).await {
            Err(e) if e.is_passing() => return Err(e.to_string()),
            // Refused: the device is gone already.
            Ok(()) | Err(_) => {}
        }
    }
    let (kept, name) = (Arc::clone(secrets), left.server.secret_name(left.device));
    let deleted = tokio::task::spawn_blocking(move || kept.delete(&name)).await.map_err(|e| e.to_string())?;
    deleted.map_err(|e| e.to_string())
}

fn load_left(data: &Path) -> Vec<Left> {
    std::fs::read(data.join(LEFT_FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write_left(data: &Path, left: &[Left]) -> std::io::Result<()> {
    let fresh = data.join(format!("{LEFT_FILE}.new"));
    std::fs::write(&fresh, serde_json::to_vec_pretty(left)?)?;
    std::fs::rename(&fresh, data.join(LEFT_FILE))
}

/// Removes what `sign_in` wrote, and everything that was stored of the account.
pub(crate) fn forget_account(data: &Path) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    };
    // The account first: without it nothing of the rest is looked at again.
    gone(std::fs::remove_file(data.join(ACCOUNT_FILE)))?;
    gone(std::fs::remove_dir_all(mailbox_folder(data)))
}

/// Where the mailbox and its sounds are stored.
pub(crate) fn mailbox_folder(data: &Path) -> std::path::PathBuf {
    data.join("mailbox")
}

fn store_account(data: &Path, account: &Account) -> std::io::Result<()> {
    let same_person =
        |before: &Account| before.server.is_same(&account.server) && before.me.subscriber.id == account.me.subscriber.id;
    // What the same person did here and the server has not been told of yet waits there.
    if !load_account(data).ok().flatten().is_some_and(|before| same_person(&before)) {
        // A mailbox that an earlier account left must never be shown to this one.
        match std::fs::remove_dir_all(mailbox_folder(data)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    write_account(data, account)
}

fn write_account(data: &Path, account: &Account) -> std::io::Result<()> {
    std::fs::create_dir_all(data)?;
    let fresh = data.join(format!("{ACCOUNT_FILE}.new"));
    std::fs::write(&fresh, serde_json::to_vec_pretty(account)?)?;
    std::fs::rename(&fresh, data.join(ACCOUNT_FILE))
}

impl From<ApiError> for SignInError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Offline { reason, detail } => Self::Unreachable { reason, detail },
            ApiError::Refused { code: ProblemCode::WrongCredentials | ProblemCode::Unauthorized, .. } => Self::WrongCredentials,
            ApiError::Refused { code: ProblemCode::RateLimited, retry_after, .. } => Self::RateLimited(retry_after.unwrap_or(60)),
            ApiError::Refused { detail, .. } => Self::Unreachable { reason: crate::OfflineReason::Server, detail },
        }
    }
}

const ACCOUNT_FILE: &str = "account.json";
const LEFT_FILE: &str = "signed-out.json";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        let check = |text: &str, expected: Result<&str, InvalidServer>| {
            let url = ServerAddress::parse(text, None).map(|server| server.url);
            assert_eq!(url.as_deref().map_err(Clone::clone), expected, "{text:?}");
        };
        check("phone.example.com", Ok("https://phone.example.com"));
        check(" https://Phone.example.com:8443/ ", Ok("https://phone.example.com:8443"));
        check("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check("http://127.9.9.9", Ok("http://127.9.9.9"));
        check("http://[::1]:8080", Ok("http://[::1]:8080"));
        check("http://localhost:8080", Ok("http://localhost:8080"));
        check("http://phone.example.com", Err(InvalidServer::Unencrypted));
        check("http://192.168.1.2", Err(InvalidServer::Unencrypted));
        check("http://localhost.example.com", Err(InvalidServer::Unencrypted));
        check("ftp://example.com", Err(InvalidServer::NotAnAddress));
        check("https://example.com/path", Err(InvalidServer::NotAnAddress));
        check("https://user:pass@example.com", Err(InvalidServer::NotAnAddress));
        check("", Err(InvalidServer::NotAnAddress));
        check("not an address", Err(InvalidServer::NotAnAddress));
    }

    #[test]
    fn web_sockets_of_a_server() {
        let address = |url: &str| ServerAddress::parse(url, None).unwrap().web_socket("/sip");
        assert_eq!(address("https://phone.example.com"), "wss://phone.example.com/sip");
        assert_eq!(address("http://127.0.0.1:8080"), "ws://127.0.0.1:8080/sip");
    }

    /// A keyring that is locked.
    struct Locked;

    impl SecretStore for Locked {
        fn get(&self, _name: &str) -> Result<Option<String>, SecretError> {
            Err(SecretError::Locked)
        }

        fn set(&self, _name: &str, _secret: &str) -> Result<(), SecretError> {
            Err(SecretError::Locked)
        }

        fn delete(&self, _name: &str) -> Result<(), SecretError> {
            Err(SecretError::Locked)
        }
    }

    #[tokio::test]
    async fn an_invitation_is_not_used_up_where_its_token_cannot_be_kept() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = ServerAddress::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let credentials = aftertone_sync::Credentials::Invitation { invitation: "once".into() };
        let data = tempfile::tempdir().unwrap();
        let asked = SignIn { credentials, device_name: "here".into() };
        let refused = super::sign_in(server, asked, data.path(), Arc::new(Locked)).await;
        assert!(matches!(refused, Err(SignInError::Secret(SecretError::Locked))), "{refused:?}");
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the server was not asked");
    }

    #[test]
    fn invitations() {
        let fingerprint = "0f".repeat(32);
        let link = format!("aftertone://invite?server=https%3A%2F%2Fphone.example.com&token=t-1&fingerprint={fingerprint}");
        let invitation: Invitation = link.parse().unwrap();
        assert_eq!(invitation.token, "t-1");
        assert_eq!(invitation.server.url, "https://phone.example.com");
        assert_eq!(invitation.server.fingerprint.as_deref(), Some(fingerprint.as_str()));
        assert!(!format!("{invitation:?}").contains("t-1"), "the token is in no log");

        let refused = |text: &str| text.parse::<Invitation>().unwrap_err();
        assert_eq!(refused("https://invite?server=https://a&token=t"), InvalidInvitation::NotAnInvitation);
        assert_eq!(refused("aftertone://invite?server=https://a.example"), InvalidInvitation::NotAnInvitation);
        assert_eq!(refused("aftertone://invite?server=https://a.example&token="), InvalidInvitation::NotAnInvitation);
        let unencrypted = InvalidInvitation::Server(InvalidServer::Unencrypted);
        assert_eq!(refused("aftertone://invite?server=http://a.example&token=t"), unencrypted);
        let fingerprint = InvalidInvitation::Server(InvalidServer::Fingerprint);
        assert_eq!(refused("aftertone://invite?server=https://a.example&token=t&fingerprint=12"), fingerprint);
    }
}
