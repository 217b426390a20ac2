use std::{fs::File, io, path::Path};

/// Where the spool and the blobs keep their files. A seam, so that a test can forget what was not synced, tear writes
/// and run out of space.
///
/// Blocking: never call it on a media worker.
pub trait FileLayer: Send + Sync + 'static {
    /// Makes a folder and those above it, durably; fine if it is there.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes a file that must not exist yet. Its name is durable only after [`FileLayer::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is such a file.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file, replacing what has the new name. Durable only after both folders are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; fine if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes what was written to these files durable, and says of each whether it is. Much faster than one after the other
    /// where they are many.
    fn sync_all(&self, files: &mut [&mut dyn OpenFile]) -> Vec<io::Result<()>> {
        files.iter_mut().map(|file| file.sync()).collect()
    }
    /// Bytes that may still be written under this folder.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Holds a lock on this file until the result is dropped; `WouldBlock` if another program holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// A file being written.
pub trait OpenFile: Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Overwrites what stands at `offset`; the file doesn't grow by it.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// The file of the operating system, where it is one.
    fn as_file(&self) -> Option<&File> {
        None
    }
}
