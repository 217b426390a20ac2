//! Bindings of phones over a restart: what the exchange says is written once a moment, and given back at the start.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use aftertone_exchange::SavedBinding;
use aftertone_model::{SubscriberId, Timestamp};
use aftertone_server_store::{Store, StoreError, StoredBinding};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::timeout};

/// Somebody's phones, as they are now.
pub(crate) type Saved = (SubscriberId, Vec<SavedBinding>);

/// So long phones that register are gathered, to be written in one transaction.
const GATHER: Duration = Duration::from_millis(500);

/// How a phone is reached, as it stands in the store.
#[derive(Serialize, Deserialize)]
struct Way {
    local: SocketAddr,
    remote: SocketAddr,
    instance: Option<String>,
    reg_id: Option<u32>,
    path: Vec<String>,
    call_id: String,
    cseq: u32,
}

/// Writes what comes until nobody is left to say anything.
pub(crate) async fn keep(store: Arc<dyn Store>, mut saved: mpsc::UnboundedReceiver<Saved>) {
    while let Some(first) = saved.recv().await {
        let mut latest = BTreeMap::from([first]);
        // Whoever stops doesn't wait for it: with the last sender gone, what is there is written.
        let gather = async {
            while let Some((person, bindings)) = saved.recv().await {
                latest.insert(person, bindings);
            }
        };
        let _gathered = timeout(GATHER, gather).await;
        let rows: Vec<_> = latest.into_iter().map(|(person, all)| (person, all.into_iter().map(stored).collect())).collect();
        if let Err(error) = store.put_bindings(&rows).await {
            tracing::warn!(%error, "bindings can't be kept over a restart");
        }
    }
}

/// What was kept and still holds.
pub(crate) async fn kept(store: &dyn Store) -> Result<Vec<(SubscriberId, SavedBinding)>, StoreError> {
    let rows = store.bindings(Timestamp::now()).await?;
    Ok(rows.into_iter().filter_map(|(person, row)| Some((person, restored(row)?))).collect())
}

fn stored(saved: SavedBinding) -> StoredBinding {
    let SavedBinding { device, contact, local, remote, instance, reg_id, path, call_id, cseq, expires_at } = saved;
    let way = Way { local, remote, instance, reg_id, path, call_id, cseq };
    StoredBinding { device, contact, way: serde_json::to_string(&way).unwrap_or_default(), expires_at }
}

fn restored(row: StoredBinding) -> Option<SavedBinding> {
    let StoredBinding { device, contact, way, expires_at } = row;
    let Way { local, remote, instance, reg_id, path, call_id, cseq } = serde_json::from_str(&way).ok()?;
    Some(SavedBinding { device, contact, local, remote, instance, reg_id, path, call_id, cseq, expires_at })
}
