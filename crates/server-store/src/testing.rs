//! A file layer for tests: in memory, with everything that a disk may do to those who trust it too early.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::files::{FileLayer, OpenFile};

/// What a crash leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// A part of the names and of each file's writes, the last of them torn, drawn from this seed.
    Some(u64),
}

/// Files in memory that forget what was not synced, stop at a chosen operation, tear writes and run out of space.
///
/// Clones share the same files.
#[derive(Clone, Default)]
pub struct ForgetfulFiles(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    dirs: BTreeSet<PathBuf>,
    files: BTreeMap<u64, Inode>,
    /// As programs see it.
    names: BTreeMap<PathBuf, u64>,
    /// As the disk has it.
    durable: BTreeMap<PathBuf, u64>,
    /// On the way to the disk, in order.
    pending: Vec<NameChange>,
    next_inode: u64,
    operations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    /// Bytes that still fit; `None` is no limit.
    space: Option<u64>,
}

#[derive(Default, Clone)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync: offset and bytes.
    pending: Vec<(usize, Vec<u8>)>,
}

struct NameChange {
    path: PathBuf,
    /// None: the name goes.
    inode: Option<u64>,
}

impl ForgetfulFiles {
    /// An empty disk without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the changing operations so far: creating, writing, syncing, renaming, removing.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power fails at the changing operation with this number, which does nothing (or tears, if it writes); every
    /// later one fails too.
    pub fn crash_at(&self, operation: u64) {
        self.state().crash_at = Some(operation);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Something that isn't a file and ends with the power too, such as a commit: counts as an operation.
    pub fn tick(&self) -> io::Result<()> {
        self.state().step()
    }

    /// From now on so many bytes fit.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// The power is back: what programs see is what the disk has.
    pub fn restart(&self, survival: Survival) {
        let mut state = self.state();
        let mut dice = Dice(match survival {
            Survival::Some(seed) => seed,
            Survival::Nothing | Survival::Everything => 0,
        });
        let pending = std::mem::take(&mut state.pending);
        let kept = match survival {
            Survival::Nothing => 0,
            Survival::Everything => pending.len(),
            Survival::Some(_) => dice.below(pending.len() + 1),
        };
        for change in pending.into_iter().take(kept) {
            state.make_durable(change);
        }
        state.names = state.durable.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|inode, _| named.contains(inode));
        for file in state.files.values_mut() {
            file.lose(survival, &mut dice);
        }
        state.crashed = false;
        state.crash_at = None;
        state.operations = 0;
    }

    /// Every file as programs see it.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(path, inode)| (path.clone(), state.files[inode].now.clone())).collect()
    }

    /// Every file as the disk has it: what is left after a crash at its worst.
    #[must_use]
    pub fn durable(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.durable.iter().map(|(path, inode)| (path.clone(), state.files[inode].durable.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the power has failed")) } else { Ok(()) }
    }

    /// Every changing operation begins here.
    fn step(&mut self) -> io::Result<()> {
        self.alive()?;
        if self.crash_at == Some(self.operations) {
            self.crashed = true;
        }
        self.operations += 1;
        self.alive()
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn dir_exists(&self, path: &Path) -> io::Result<()> {
        let known = path.parent().is_some_and(|dir| self.dirs.contains(dir));
        if known { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn name(&mut self, path: &Path, inode: Option<u64>) {
        match inode {
            Some(inode) => _ = self.names.insert(path.to_owned(), inode),
            None => _ = self.names.remove(path),
        }
        self.pending.push(NameChange { path: path.to_owned(), inode });
    }

    fn make_durable(&mut self, change: NameChange) {
        match change.inode {
            Some(inode) => _ = self.durable.insert(change.path, inode),
            None => _ = self.durable.remove(&change.path),
        }
    }

    /// Takes what fits.
    fn take_space(&mut self, wanted: usize) -> usize {
        let Some(space) = &mut self.space else { return wanted };
        let fits = wanted.min(usize::try_from(*space).unwrap_or(usize::MAX));
        *space -= fits as u64;
        fits
    }

    fn write(&mut self, inode: u64, offset: Option<usize>, bytes: &[u8]) {
        let Some(file) = self.files.get_mut(&inode) else { return };
        let offset = offset.unwrap_or(file.now.len());
        put(&mut file.now, offset, bytes);
        file.pending.push((offset, bytes.to_vec()));
    }
}

impl Inode {
    fn lose(&mut self, survival: Survival, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending);
        match survival {
            Survival::Nothing => {}
            Survival::Everything => self.durable.clone_from(&self.now),
            Survival::Some(_) => {
                let kept = dice.below(pending.len() + 1);
                for (number, (offset, bytes)) in pending.iter().take(kept).enumerate() {
                    let torn = if number + 1 == kept { dice.below(bytes.len() + 1) } else { bytes.len() };
                    put(&mut self.durable, *offset, &bytes[..torn]);
                    // Some disks have the new length before the new bytes.
                    if torn < bytes.len() && dice.below(2) == 0 && *offset + bytes.len() > self.durable.len() {
                        self.durable.resize(*offset + bytes.len(), 0);
                    }
                }
            }
        }
        self.now.clone_from(&self.durable);
    }
}

impl FileLayer for ForgetfulFiles {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        for dir in dir.ancestors() {
            state.dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut state = self.state();
        state.dir_exists(path)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.space == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.step()?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.files.insert(inode, Inode::default());
        state.name(path, Some(inode));
        Ok(Box::new(ForgetfulFile { files: self.clone(), inode }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.alive()?;
        let inode = state.inode(path)?;
        Ok(state.files[&inode].now.clone())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        state.alive()?;
        Ok(state.names.contains_key(path) || state.dirs.contains(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.dir_exists(to)?;
        let inode = state.inode(from)?;
        state.step()?;
        state.name(to, Some(inode));
        state.name(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        if state.inode(path).is_ok() {
            state.step()?;
            state.name(path, None);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let pending = std::mem::take(&mut state.pending);
        for change in pending {
            if change.path.parent() == Some(dir) {
                state.make_durable(change);
            } else {
                state.pending.push(change);
            }
        }
        Ok(())
    }

    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        state.alive()?;
        Ok(state.space.unwrap_or(u64::MAX))
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

struct ForgetfulFile {
    files: ForgetfulFiles,
    inode: u64,
}

impl ForgetfulFile {
    fn write(&mut self, offset: Option<usize>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.files.state();
        if let Err(error) = state.step() {
            // The failing write itself may have been half done.
            if state.operations > 0 && state.crash_at == Some(state.operations - 1) {
                state.write(self.inode, offset, &bytes[..bytes.len() / 2]);
                state.crash_at = None;
            }
            return Err(error);
        }
        let fits = if offset.is_none() { state.take_space(bytes.len()) } else { bytes.len() };
        state.write(self.inode, offset, &bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl OpenFile for ForgetfulFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(None, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let length = self.files.state().files.get(&self.inode).map_or(0, |file| file.now.len());
        if offset + bytes.len() > length {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a patch behind the end of the file"));
        }
        self.write(Some(offset), bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.state();
        state.step()?;
        if let Some(file) = state.files.get_mut(&self.inode) {
            file.durable.clone_from(&file.now);
            file.pending.clear();
        }
        Ok(())
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end.max(1) as u64).unwrap_or(0)
    }
}
