//! One server per data folder.

use std::{
    fs::{File, TryLockError},
    io::{Seek, Write},
    path::Path,
};

use anyhow::{Context, bail};

/// Holds the folder for this process; the system frees it at the process's end, however that comes.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held, not read: closing the file frees the lock")] File);

/// Makes the folder if it isn't there, for its owner alone.
pub(crate) fn make_folder(data: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).with_context(|| format!("can't make the data folder {}", data.display()))
}

impl FolderLock {
    /// # Errors
    /// Where another server holds it.
    pub(crate) fn take(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("server.lock");
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.with_context(|| format!("can't open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                bail!("another server (process {}) is running on the data folder {}", holder.trim(), data.display());
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("can't lock {}", path.display())),
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()))?;
        Ok(Self(file))
    }
}
