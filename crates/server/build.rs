//! Makes a table of the phone menu's prompts, which are part of the program.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/prompts").canonicalize()?;
    let mut table = String::new();
    for language in ["de", "en"] {
        println!("cargo:rerun-if-changed={}", prompts.join(language).display());
        let mut names: Vec<_> = fs::read_dir(prompts.join(language))?
            .filter_map(|entry| entry.ok()?.path().file_stem().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        table.push_str(&format!("/// Sorted by name.\nstatic {}: &[(&str, &[u8])] = &[\n", language.to_uppercase()));
        for name in names {
            let file = prompts.join(language).join(format!("{name}.opus"));
            table.push_str(&format!("    ({name:?}, include_bytes!({file:?})),\n"));
        }
        table.push_str("];\n");
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo says no OUT_DIR"))?;
    fs::write(Path::new(&out).join("prompts.rs"), table)
}
