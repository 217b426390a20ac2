//! What is really on the screen: the picture that the display server would send to a monitor.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

const LOOK_EVERY: Duration = Duration::from_millis(4);

/// The display's memory, in the format of xwd (X11/XWDFile.h): numbers of four bytes, the highest first.
pub(crate) struct Screen {
    file: File,
    start: u64,
    width: usize,
    height: usize,
    stride: usize,
}

/// What somebody waits to see.
pub(crate) enum Wanted<'a> {
    /// So many pixels that look like this (red, green, blue), in the columns right of `left`.
    Pixels { looks: fn([u8; 3]) -> bool, left: usize, count: usize },
    /// So many pixels that are not as they were.
    Change { from: &'a [u8], count: usize },
}

impl Screen {
    /// The screen whose memory is in `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let number = |index: u64| -> Result<usize> {
            let mut bytes = [0; 4];
            file.read_exact_at(&mut bytes, index * 4)?;
            Ok(u32::from_be_bytes(bytes) as usize)
        };
        let (header, width, height) = (number(0)?, number(4)?, number(5)?);
        let (bits, stride, colours) = (number(11)?, number(12)?, number(19)?);
        ensure!(bits == 32, "{bits} bits a pixel");
        Ok(Self { start: (header + colours * 12) as u64, file, width, height, stride })
    }

    /// All of it now, four bytes a pixel: blue, green, red, nothing.
    pub(crate) fn look(&self) -> Result<Vec<u8>> {
        let mut picture = vec![0; self.stride * self.height];
        self.file.read_exact_at(&mut picture, self.start)?;
        Ok(picture)
    }

    /// Milliseconds from `since` until it is seen.
    pub(crate) async fn wait_for(&self, wanted: &Wanted<'_>, since: Instant, limit: Duration) -> Result<f64> {
        loop {
            let picture = self.look()?;
            let at = since.elapsed();
            if self.shows(&picture, wanted) {
                return Ok(at.as_secs_f64() * 1000.0);
            }
            if at > limit {
                bail!("it isn't on the screen after {limit:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn shows(&self, picture: &[u8], wanted: &Wanted<'_>) -> bool {
        match wanted {
            Wanted::Change { from, count } => {
                let pairs = picture.chunks_exact(4).zip(from.chunks_exact(4));
                pairs.filter(|(now, then)| now[..3] != then[..3]).count() >= *count
            }
            Wanted::Pixels { looks, left, count } => {
                let rows = picture.chunks_exact(self.stride);
                let pixels = rows.flat_map(|row| row[left * 4..self.width * 4].chunks_exact(4));
                pixels.filter(|pixel| looks([pixel[2], pixel[1], pixel[0]])).take(*count).count() == *count
            }
        }
    }
}
