//! Makes Ogg-Opus files of WAV files: `ogg_opus FOLDER FOLDER`, every file of the first into the second. For `tools/prompts.py`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a tool, not the library")]

use std::{env, error::Error, fs, path::PathBuf};

use aftertone_media::{
    compact::{CompactError, compact},
    container::{decode_wav, encode_ogg_opus},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (folders.next(), folders.next()) else { return Err("two folders are needed".into()) };
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_stem() else { continue };
        let pcm = decode_wav(&fs::read(&path)?)?;
        let opus = match compact(&pcm, 1) {
            Ok(small) => small.bytes,
            // Of half a second no loudness can be told reliably.
            Err(CompactError::Differs(how)) => {
                println!("{}: {how}, stays larger", name.display());
                encode_ogg_opus(&pcm)?
            }
            Err(error) => return Err(error.into()),
        };
        (files, bytes) = (files + 1, bytes + opus.len());
        fs::write(to.join(name).with_extension("opus"), opus)?;
    }
    println!("{files} files, {bytes} bytes");
    Ok(())
}
