//! What the system lets this process have.

/// Raises the limit of open files to what the system allows at most: a call takes up to four sockets, and the usual limit of
/// 1,024 files is soon met.
#[cfg(unix)]
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files can't be raised: fewer calls at once are taken");
    }
}

/// Other systems have no such limit worth the name.
#[cfg(not(unix))]
pub fn raise_open_files() {}

/// How many files may be open at once.
#[cfg(unix)]
pub(crate) fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
pub(crate) fn open_files() -> u64 {
    u64::MAX
}
