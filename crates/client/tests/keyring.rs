//! The system's keyring: there, locked, and not there at all. Each case runs in a D-Bus session of its own.

#![cfg(all(feature = "keyring", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Stdio};

use aftertone_client::{KeyringSecrets, SecretError, SecretStore};

/// A bus that can start no services by itself.
const BARE_BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"#;

#[derive(PartialEq, Eq)]
enum Bus {
    Usual,
    Bare,
}

/// Runs one of the ignored tests below in a fresh session, after `prepare`, a shell command.
fn in_session(bus: Bus, prepare: &str, test: &str) {
    let home = tempfile::tempdir().unwrap();
    let bare = home.path().join("bus.conf");
    std::fs::write(&bare, BARE_BUS).unwrap();
    let this = std::env::current_exe().unwrap();
    let script = format!("{prepare} '{}' --ignored --exact {test}", this.display());
    let done = Command::new("dbus-run-session")
        .args((bus == Bus::Bare).then(|| format!("--config-file={}", bare.display())))
        .args(["--", "sh", "-c", &script])
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("XDG_DATA_HOME", home.path().join("data"))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session is installed (cargo xtask setup)");
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn an_unlocked_keyring_keeps_secrets() {
    in_session(
        Bus::Usual,
        "printf pw | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null;",
        "inside_unlocked",
    );
}

#[test]
fn without_a_keyring_the_answer_is_plain() {
    in_session(Bus::Bare, "", "inside_without");
}

#[test]
fn a_locked_keyring_says_so() {
    // Nobody is there whom it could ask to unlock it.
    in_session(Bus::Usual, "gnome-keyring-daemon --start --components=secrets >/dev/null;", "inside_locked");
}

#[test]
#[ignore = "runs inside a session"]
fn inside_unlocked() {
    let keyring = KeyringSecrets::new("Aftertone test");
    KeyringSecrets::probe().unwrap();
    assert_eq!(keyring.get("a").unwrap(), None);
    keyring.set("a", "one").unwrap();
    keyring.set("a", "two").unwrap();
    assert_eq!(keyring.get("a").unwrap().as_deref(), Some("two"));
    assert_eq!(KeyringSecrets::new("Another").get("a").unwrap(), None);
    keyring.delete("a").unwrap();
    keyring.delete("a").unwrap();
    assert_eq!(keyring.get("a").unwrap(), None);
}

#[test]
#[ignore = "runs inside a session"]
fn inside_without() {
    let failed = KeyringSecrets::new("Aftertone test").set("a", "one").unwrap_err();
    assert!(matches!(failed, SecretError::Missing), "{failed:?}");
    assert!(matches!(KeyringSecrets::probe(), Err(SecretError::Missing)));
}

#[test]
#[ignore = "runs inside a session"]
fn inside_locked() {
    KeyringSecrets::probe().unwrap();
    let failed = KeyringSecrets::new("Aftertone test").set("a", "one").unwrap_err();
    assert!(matches!(failed, SecretError::Locked), "{failed:?}");
}
