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
        // Cut short at every tenth byte, too.
        (0..data.len()).step_by(10).for_each(|end| body(&data[..end]));
        played += 1;
    }
    assert!(played > 0, "{target} has no seeds");
}

#[test]
fn messages() {
    replay("message", bodies::message);
}

#[test]
fn values() {
    replay("values", bodies::values);
}

#[test]
fn streams() {
    replay("stream", bodies::stream);
}

#[test]
fn conversations() {
    replay("agent", bodies::agent);
}
