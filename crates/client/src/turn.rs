//! The account's TURN servers, with credentials that are fresh when a call needs them.

use std::{sync::Arc, time::Duration};

use aftertone_model::Timestamp;
use aftertone_sync::TurnCredentials;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use webrtc::peer_connection::RTCIceServer;

use crate::http::{Api, ApiError};

/// How long a call's media wait for the first answer of the server about them.
const FIRST_ANSWER: Duration = Duration::from_millis(500);
/// A server without TURN may have it after its next start; that closes the line, which asks at once.
const WITHOUT: Duration = Duration::from_secs(6 * 3600);
const SHORTEST: Duration = Duration::from_secs(30);

/// What is known of them; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Relays(Option<watch::Receiver<Option<Vec<RTCIceServer>>>>);

impl Relays {
    /// The servers with their credentials, none if there are none or they can't be had now.
    pub(crate) async fn known(&mut self) -> Vec<RTCIceServer> {
        let Some(known) = &mut self.0 else { return Vec::new() };
        match timeout(FIRST_ANSWER, known.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => known.clone().unwrap_or_default(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}

/// Asks the server again and again, before the credentials end.
pub(crate) struct RelayKeeper {
    relays: Relays,
    now: Arc<Notify>,
    task: JoinHandle<()>,
}

impl RelayKeeper {
    pub(crate) fn start(api: Api) -> Self {
        let (tell, known) = watch::channel(None);
        let now = Arc::new(Notify::new());
        let task = tokio::spawn(keep(api, tell, Arc::clone(&now)));
        Self { relays: Relays(Some(known)), now, task }
    }

    pub(crate) fn relays(&self) -> Relays {
        self.relays.clone()
    }

    /// The server may be another one, or know something else now: it is asked at once.
    pub(crate) fn hurry(&self) {
        self.now.notify_one();
    }
}

impl Drop for RelayKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(api: Api, tell: watch::Sender<Option<Vec<RTCIceServer>>>, now: Arc<Notify>) {
    loop {
        let answer = api.turn().await;
        let pause = pause(answer.as_ref(), Timestamp::now());
        match answer {
            Ok(credentials) => {
                tell.send_replace(Some(servers(credentials)));
            }
            // What is known stays good for its time.
            Err(error) => {
                tracing::info!(%error, "the TURN servers are not known");
                tell.send_if_modified(|known| known.is_none().then(|| *known = Some(Vec::new())).is_some());
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = now.notified() => {}
        }
    }
}

/// When to ask again: at half of the credentials' life.
fn pause(answer: Result<&TurnCredentials, &ApiError>, now: Timestamp) -> Duration {
    match answer {
        Ok(credentials) if credentials.uris.is_empty() => WITHOUT,
        Ok(credentials) => {
            let left = credentials.expires_at.duration_since(now);
            Duration::try_from(left).map_or(SHORTEST, |left| (left / 2).max(SHORTEST))
        }
        Err(error) if error.is_passing() => SHORTEST,
        Err(_) => WITHOUT,
    }
}

/// Those that the crate can use: it speaks TURN over UDP, without TLS.
fn servers(credentials: TurnCredentials) -> Vec<RTCIceServer> {
    let over_udp = |uri: &String| uri.starts_with("turn:") && !uri.ends_with("transport=tcp");
    let urls: Vec<String> = credentials.uris.into_iter().filter(over_udp).collect();
    if urls.is_empty() {
        return Vec::new();
    }
    vec![RTCIceServer { urls, username: credentials.username, credential: credentials.password }]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn credentials(uris: &[&str], expires_at: i64) -> TurnCredentials {
        TurnCredentials {
            uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            username: "u".into(),
            password: "p".into(),
            expires_at: Timestamp::from_second(expires_at).unwrap(),
        }
    }

    #[test]
    fn credentials_are_renewed_before_they_end() {
        let now = Timestamp::from_second(1000).unwrap();
        let at = |expires_at| pause(Ok(&credentials(&["turn:h"], expires_at)), now).as_secs();
        assert_eq!([at(1000 + 43_200), at(1000 + 100), at(1010), at(500)], [21_600, 50, 30, 30]);
        assert_eq!(pause(Ok(&credentials(&[], 1000)), now), WITHOUT);
        let offline = ApiError::Offline { reason: crate::OfflineReason::Connect, detail: String::new() };
        assert_eq!(pause(Err(&offline), now), SHORTEST);
    }

    #[test]
    fn only_what_can_be_used_is_given_to_a_connection() {
        let uris = ["turn:h:3478", "turn:h:3478?transport=tcp", "turns:h:443", "turn:h?transport=udp"];
        let servers = servers(credentials(&uris, 0));
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].urls, ["turn:h:3478", "turn:h?transport=udp"]);
        assert!(super::servers(credentials(&["turns:h"], 0)).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_does_not_wait_for_servers_that_stay_unknown() {
        let (_tell, known) = watch::channel(None);
        assert!(Relays(Some(known)).known().await.is_empty());
        assert!(Relays::default().known().await.is_empty());
    }
}
