//! The seeds of the fuzz targets, and whatever they once found, through the same bodies.

#![expect(unreachable_pub, clippy::disallowed_methods, reason = "the bodies are a library elsewhere, and the seeds are files")]

use std::path::Path;

#[path = "../fuzz/src/bodies.rs"]
mod bodies;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new("fuzz/seeds").join(target);
    let mut played = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap_or_else(|e| panic!("{e}")).path();
        let data = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        body(&data);
        // Cut short, too.
        (0..data.len()).step_by(10.max(data.len() / 40)).for_each(|end| body(&data[..end]));
        played += 1;
    }
    assert!(played > 0, "{target} has no seeds");
}

#[test]
fn descriptions() {
    replay("description", bodies::description);
}

#[test]
fn packets() {
    replay("packet", bodies::packet);
}

#[test]
fn calls() {
    replay("call", bodies::call);
}

#[test]
fn files() {
    replay("file", bodies::file);
}
