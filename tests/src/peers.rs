//! Exchanges and phones that Debian's stable release doesn't have: Asterisk 22, Kamailio 6, baresip 1.1, sipp with TLS.
//!
//! `cargo xtask setup` installs them into a folder of their own; here they are started from it, each with a configuration
//! and loopback ports made for one test, each in namespaces that vanish with it, and ended by their ids. They see the
//! temporary folder at its own path and else nothing of the machine but its network.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

pub mod asterisk;
pub mod capture;
pub mod coturn;
pub mod kamailio;
pub mod keys;
pub mod names;

/// What `cargo xtask setup` keeps under this name in the user's cache.
///
/// # Errors
/// Where the user has no cache.
pub fn cached(name: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("aftertone").join(name))
}

/// The folder with the outside programs.
#[derive(Debug, Clone)]
pub struct Peers {
    root: PathBuf,
}

impl Peers {
    /// The one that `cargo xtask setup` makes: `AFTERTONE_PEERS`, or `aftertone/peers` in the user's cache.
    ///
    /// # Errors
    /// Where it isn't there: tests that need it fail, they are not skipped.
    pub fn find() -> Result<Self> {
        let root = std::env::var_os("AFTERTONE_PEERS").map_or_else(|| cached("peers"), |root| Ok(root.into()))?;
        ensure!(
            root.join("etc/aftertone-peers").exists(),
            "{} has no outside exchanges: cargo xtask setup installs them",
            root.display()
        );
        Ok(Self { root })
    }

    /// A command that runs `program` of the folder. Killing it ends everything that it started.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        // exec: the process inside is the one that unshare waits for, and dies with it.
        command.args(["--mount", "--pid", "--fork", "--kill-child=SIGKILL", "sh", "-c", ENTER, "enter"]);
        command.arg(&self.root).arg(std::env::temp_dir()).arg(program);
        command
    }

    /// Runs `program` to its end; its standard output.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }
}

/// Arguments: the root, the temporary folder, the program and its own arguments.
const ENTER: &str = r#"set -e
root=$1; tmp=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$tmp"
mount --rbind "$tmp" "$root$tmp"
exec chroot "$root" "$@""#;

/// Whether this process may do what root may.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
