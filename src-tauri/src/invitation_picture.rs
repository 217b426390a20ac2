//! An invitation in a picture: somebody photographed or saved its QR code.

use std::io::Cursor;

use aftertone_view::Code;
use base64::{Engine, prelude::BASE64_STANDARD};

/// A photograph of today's telephones fits; a picture that only unpacks to be huge does not.
const MAX_SIDE: u32 = 12_000;
const MAX_MEMORY: u64 = 256 << 20;
/// A code is found as well in a smaller picture, and faster.
const ENOUGH: u32 = 1600;

/// The link in a PNG or JPEG, given in base64.
///
/// # Errors
/// [`Code::BadPicture`] where it is no such picture, or holds no QR code of an invitation.
pub(crate) fn read(base64: &str) -> Result<String, Code> {
    let bytes = BASE64_STANDARD.decode(base64).map_err(|_| Code::BadPicture)?;
    let mut reader = image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| Code::BadPicture)?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(MAX_SIDE), Some(MAX_SIDE), Some(MAX_MEMORY));
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| {
        tracing::info!(%error, "the picture of an invitation can't be read");
        Code::BadPicture
    })?;
    let small = if picture.width().max(picture.height()) > ENOUGH { picture.thumbnail(ENOUGH, ENOUGH) } else { picture };
    let grey = small.into_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| grey.as_raw()[y * width + x]);
    let codes = prepared.detect_grids();
    let texts = codes.iter().filter_map(|code| code.decode().ok()).map(|(_, text)| text);
    texts.into_iter().find(|text| text.starts_with("aftertone://invite?")).ok_or(Code::BadPicture)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use image::{DynamicImage, GrayImage, ImageFormat, Luma};
    use qrcode::{Color, QrCode};

    use super::*;

    const LINK: &str = "aftertone://invite?server=https%3A%2F%2Fphone.example&token=abcdefghijklmnopqrstuvwxyz0123456789&fingerprint=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn an_invitation_is_read_from_a_screenshot_and_from_a_photograph() {
        for (format, scale, turned) in
            [(ImageFormat::Png, 4, false), (ImageFormat::Jpeg, 9, false), (ImageFormat::Jpeg, 30, true)]
        {
            let picture = picture(LINK, scale);
            let picture = if turned { picture.rotate90() } else { picture };
            assert_eq!(read(&encoded(&picture, format)).as_deref(), Ok(LINK), "{format:?}, {scale} pixels");
        }
    }

    #[test]
    fn other_pictures_and_other_files_are_refused() {
        let other = encoded(&picture("https://elsewhere.example/", 6), ImageFormat::Png);
        let empty = encoded(&DynamicImage::new_luma8(300, 300), ImageFormat::Png);
        for (what, base64) in [
            ("another code", other),
            ("no code", empty),
            ("no picture", BASE64_STANDARD.encode("GIF89a")),
            ("no base64", "%".into()),
        ] {
            assert_eq!(read(&base64), Err(Code::BadPicture), "{what}");
        }
    }

    /// Its header says that it unpacks to 60,000 times 60,000 pixels.
    #[test]
    fn a_picture_that_unpacks_to_be_huge_is_refused() {
        let mut png = Vec::new();
        DynamicImage::new_luma8(8, 8).write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        assert_eq!(read(&BASE64_STANDARD.encode(png)), Err(Code::BadPicture));
    }

    fn picture(text: &str, scale: u32) -> DynamicImage {
        let code = QrCode::new(text).unwrap();
        let (width, modules) = (u32::try_from(code.width()).unwrap(), code.to_colors());
        let dark = |x: u32, y: u32| match (x.checked_sub(4), y.checked_sub(4)) {
            (Some(x), Some(y)) if x < width && y < width => modules[(y * width + x) as usize] == Color::Dark,
            _ => false,
        };
        let side = (width + 8) * scale;
        GrayImage::from_fn(side, side, |x, y| Luma([if dark(x / scale, y / scale) { 20 } else { 235 }])).into()
    }

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> String {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        BASE64_STANDARD.encode(bytes)
    }
}
