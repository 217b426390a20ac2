use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use crate::files::{FileLayer, OpenFile};

/// The file layer of the real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl FileLayer for Disk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
        if let Some(above) = above {
            self.create_dir_all(above)?;
        }
        match fs::create_dir(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        sync_dir(above.unwrap_or(Path::new(".")))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(DiskFile(OpenOptions::new().write(true).create_new(true).open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }

    fn sync_all(&self, files: &mut [&mut dyn OpenFile]) -> Vec<io::Result<()>> {
        if files.len() >= MANY && sync_file_system(files) {
            return files.iter().map(|_| Ok(())).collect();
        }
        files.iter_mut().map(|file| file.sync()).collect()
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        fs4::available_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

/// From so many files on the whole file system is synced at once: a thousand files of a few kilobytes took 200 ms one after
/// the other, and 20 ms so.
const MANY: usize = 32;

/// Whether everything written to the file system of these files, which is one, is durable. If not, each file has to say
/// for itself what is wrong.
#[cfg(target_os = "linux")]
fn sync_file_system(files: &[&mut dyn OpenFile]) -> bool {
    files.first().and_then(|file| file.as_file()).is_some_and(|file| rustix::fs::syncfs(file).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_files: &[&mut dyn OpenFile]) -> bool {
    false
}

struct DiskFile(File);

impl OpenFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.0.metadata()?.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a patch behind the end of the file"));
        }
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

/// Windows has no handle of a folder to sync; NTFS journals names.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(windows) { Ok(()) } else { File::open(dir)?.sync_all() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn files_are_appended_patched_renamed_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        Disk.create_dir_all(&deep).unwrap();
        Disk.create_dir_all(&deep).unwrap();
        let mut file = Disk.create(&deep.join("x")).unwrap();
        file.append(b"hello").unwrap();
        file.write_at(0, b"J").unwrap();
        file.append(b"!").unwrap();
        assert!(file.write_at(5, b"??").is_err());
        file.sync().unwrap();
        assert!(Disk.create(&deep.join("x")).is_err());
        Disk.rename(&deep.join("x"), &deep.join("y")).unwrap();
        Disk.sync_dir(&deep).unwrap();
        assert_eq!(Disk.list(&deep).unwrap(), ["y"]);
        assert_eq!(Disk.read(&deep.join("y")).unwrap(), b"Jello!");
        Disk.remove(&deep.join("y")).unwrap();
        Disk.remove(&deep.join("y")).unwrap();
        assert!(!Disk.exists(&deep.join("y")).unwrap());
        assert!(Disk.free_space(&deep).unwrap() > 0);
    }

    #[test]
    fn many_files_are_synced_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for count in [1, MANY - 1, MANY, 3 * MANY] {
            let mut files: Vec<_> = (0..count).map(|n| Disk.create(&dir.path().join(format!("{count}-{n}"))).unwrap()).collect();
            files.iter_mut().for_each(|file| file.append(b"sound").unwrap());
            let mut open: Vec<&mut dyn OpenFile> = files.iter_mut().map(|file| file.as_mut() as &mut dyn OpenFile).collect();
            let results = Disk.sync_all(&mut open);
            assert_eq!((results.len(), results.iter().all(Result::is_ok)), (count, true));
        }
    }
}
