//! The devices that were ever revoked, in a file beside the database: a database that is restored from a backup must not
//! give them their access back.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use aftertone_model::DeviceId;

const FILE: &str = "revoked";

/// Notes a device, durably, before it leaves the database.
pub(crate) fn note(dir: &Path, device: DeviceId) -> io::Result<()> {
    let path = dir.join(FILE);
    let is_new = !fs::exists(&path)?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{device}\n").as_bytes())?;
    file.sync_all()?;
    if is_new { crate::disk::sync_dir(dir) } else { Ok(()) }
}

/// Whoever was noted. A line that a crash tore names nobody.
pub(crate) fn all(dir: &Path) -> io::Result<Vec<DeviceId>> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Notes all of these, and those alone.
pub(crate) fn replace(dir: &Path, devices: &[DeviceId]) -> io::Result<()> {
    let text: String = devices.iter().map(|device| format!("{device}\n")).collect();
    let part = dir.join("revoked.part");
    fs::write(&part, text)?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(part, dir.join(FILE))?;
    crate::disk::sync_dir(dir)
}
