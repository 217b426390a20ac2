//! An invitation as a picture.

use std::{fs::OpenOptions, io::BufWriter, path::Path};

use qrcode::{Color, EcLevel, QrCode};

/// Pixels of a module's side, and modules of white around the code (ISO/IEC 18004, 5.3.8).
const SCALE: usize = 8;
const QUIET: usize = 4;

/// Writes `text` as a QR code into a new PNG that only this user can read: who sees it can sign in.
pub(crate) fn write(text: &str, file: &Path) -> anyhow::Result<()> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let (width, modules) = (code.width(), code.to_colors());
    let side = (width + 2 * QUIET) * SCALE;
    let mut pixels = vec![u8::MAX; side * side];
    for (at, _) in modules.iter().enumerate().filter(|(_, colour)| **colour == Color::Dark) {
        let (left, top) = ((at % width + QUIET) * SCALE, (at / width + QUIET) * SCALE);
        for row in pixels.chunks_mut(side).skip(top).take(SCALE) {
            row[left..left + SCALE].fill(0);
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut encoder = png::Encoder::new(BufWriter::new(options.open(file)?), u32::try_from(side)?, u32::try_from(side)?);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(())
}
