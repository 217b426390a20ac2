//! The program as an administrator uses it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftertone-server"));
    command.env_clear().env("AFTERTONE_DATA", data).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = program(data).args(arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn told(data: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(data, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments, "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A server, ended with the test.
struct Serving {
    child: Child,
    ready: Value,
}

impl Serving {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with(r#"{"event":"ready","domain":"#), "{line}");
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_mistyped_folder_is_no_account_and_becomes_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("acount");
    for arguments in [&["user", "list"][..], &["invite", "ada"], &["device", "add", "ada"]] {
        let words = refused(&data, arguments);
        assert!(words.contains("there is no account in"), "{arguments:?}: {words}");
    }
    assert!(!data.exists());
}

/// Everything that the server writes into its log until the line is there.
fn logged(serving: &mut Serving, line: &str) -> String {
    let mut log = BufReader::new(serving.child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains(line) {
        assert!(log.read_line(&mut text).unwrap() > 0, "{text}");
    }
    serving.child.stderr = Some(log.into_inner());
    text
}

#[test]
fn an_administrator_bounds_and_holds_a_mailbox_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for (name, extension) in [("ada", "1001"), ("bob", "1002")] {
        told(data, &["user", "add", name, "--extension", extension, "--display-name", name], "");
    }
    let serve = ["serve", "--sip-udp", "127.0.0.1:0", "--sip-tcp", "off", "--http", "127.0.0.1:0", "--mailbox-quota", "3600"];
    let mut serving = Serving::start(program(data).args(serve));
    let show = |name| serde_json::from_str::<Value>(&told(data, &["mailbox", "show", name, "--json"], "")).unwrap();
    assert_eq!(show("ada")["keeping"], serde_json::json!({"quota_s": 3600, "trash_days": 30, "heard_days": 0}));
    let set = told(data, &["mailbox", "set", "ada", "--quota", "600", "--heard-days", "90"], "");
    assert!(set.contains("0 s of 600 s") && set.contains("90 days"), "{set}");
    told(data, &["mailbox", "set", "1001", "--quota", "account", "--trash-days", "0"], "");
    assert_eq!(show("ada")["keeping"], serde_json::json!({"quota_s": 3600, "trash_days": 0, "heard_days": 90}));
    assert_eq!(show("bob")["keeping"]["heard_days"], 0, "nobody else's");
    assert!(told(data, &["mailbox", "hold", "ada", "on"], "").contains("the mailbox of ada is held"));
    assert_eq!(show("ada")["holds"], serde_json::json!(["the mailbox"]));
    assert!(told(data, &["mailbox", "withheld", "ada"], "").starts_with("MESSAGE"));
    assert_eq!(told(data, &["mailbox", "withheld", "ada", "--json"], "").trim(), "[]");

    assert!(refused(data, &["mailbox", "set", "ada"]).contains("--quota"));
    assert!(refused(data, &["mailbox", "hold", "ada", "on"]).contains("held already"));
    assert!(refused(data, &["mailbox", "hold", "bob", "off"]).contains("not held"));
    let nothing = ["mailbox", "hold", "ada", "on", "--message", "00000000-0000-4000-8000-000000000000"];
    assert!(refused(data, &nothing).contains("no message"));
    assert!(refused(data, &["mailbox", "show", "carl"]).contains("nobody is called"));

    assert!(told(data, &["user", "dnd", "bob", "on"], "").contains("is on"));
    told(data, &["mailbox", "hold", "ada", "off"], "");
    let log = logged(&mut serving, "legal hold lifted from the mailbox");
    for line in ["quota_s 600, trash_days the account's, heard_days 90", "legal hold placed on the mailbox"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let table = told(data, &["mailbox", "show", "ada"], "");
    assert_eq!(table.matches("legal hold").count(), 3, "in the list and twice in the audit log: {table}");
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn an_account_is_set_up_served_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("account");
    let add = ["user", "add", "ada", "--extension", "1001", "--display-name", "Ada Ä.", "--language", "de", "--password-stdin"];
    assert!(told(&data, &add, "a long sentence\n").contains("1001"));
    assert!(refused(&data, &add[..9]).contains("taken"));
    let people: Value = serde_json::from_str(&told(&data, &["user", "list", "--json"], "")).unwrap();
    assert_eq!((&people[0]["user"], &people[0]["language"], &people[0]["ring_s"]), (&"ada".into(), &"de".into(), &20.into()));
    let table = told(&data, &["user", "list"], "");
    assert!(table.starts_with("EXTENSION") && table.contains("Ada Ä."), "{table}");
    assert!(refused(&data, &["invite", "ada"]).contains("--server"));

    let file = folder.path().join("server.toml");
    std::fs::write(&file, "sip-udp = \"127.0.0.1:1\"\nsip_tcp = \"off\"\ndomain = \"a.example\"\nmedia-workers = 1\n").unwrap();
    let mut command = program(&data);
    command.env("AFTERTONE_CONFIG", &file).env("AFTERTONE_SIP_UDP", "127.0.0.1:0").env("AFTERTONE_HTTP", "127.0.0.1:1");
    let mut serve = Serving::start(command.args(["serve", "--http", "127.0.0.1:0"]));
    assert_eq!((&serve.ready["domain"], &serve.ready["sip_tcp"]), (&"a.example".into(), &Value::Null));
    let port = serve.ready["sip_udp"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    assert!(port != "1" && port != "0", "the variable stands above the file: {port}");
    let http = serve.ready["http"].as_str().unwrap();
    assert!(!http.ends_with(":1") && !http.ends_with(":0"), "the flag stands above the variable: {http}");
    assert_eq!((serve.ready["webrtc"].as_array().unwrap().len(), &serve.ready["rtp_ports"]), (1, &"16384-32767".into()));
    assert_eq!(mode(&data), 0o700);

    let second = refused(&data, &["serve", "--sip-udp", "off", "--sip-tcp", "off", "--http", "127.0.0.1:0"]);
    assert!(second.contains("another server"), "{second}");
    let link = told(&data, &["invite", "ada"], "");
    assert!(link.starts_with("aftertone://invite?server=http%3A%2F%2F127.0.0.1%3A"), "{link}");
    let phone = told(&data, &["device", "add", "ada", "--name", "Kitchen", "--json"], "");
    let phone: Value = serde_json::from_str(&phone).unwrap();
    assert_eq!((&phone["domain"], &phone["name"]), (&"a.example".into(), &"Kitchen".into()));
    assert!(serve.child.try_wait().unwrap().is_none());
    assert_eq!(serve.terminate(), Some(0));
}

#[test]
fn what_would_be_unsafe_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| refused(folder.path(), &[&["serve"], arguments].concat());
    assert!(refused(&["--http", "0.0.0.0:0"]).contains("--https"));
    assert!(refused(&["--https", "127.0.0.1:0"]).contains("--cert"));
    assert!(refused(&["--config", "/nonexistent/file.toml"]).contains("/nonexistent/file.toml"));
    let missing = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--cert", "/nonexistent/c", "--key", "/nonexistent/k"];
    assert!(refused(&[&missing[..], &["--sip-udp", "off", "--sip-tcp", "off"]].concat()).contains("/nonexistent/c"));
}

#[test]
fn two_servers_with_the_usual_ports_run_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let serving = ["a", "b"].map(|name| Serving::start(program(&folder.path().join(name)).arg("serve")));
    for what in ["sip_udp", "sip_tcp", "http"] {
        let [a, b] = [0, 1].map(|n: usize| serving[n].ready[what].as_str().unwrap());
        assert_ne!(a, b, "{what}");
    }
    // Who asks for a port gets that one or none.
    let taken = serving[0].ready["http"].as_str().unwrap();
    let third = refused(&folder.path().join("c"), &["serve", "--sip-udp", "off", "--sip-tcp", "off", "--http", taken]);
    assert!(third.contains("can't listen on"), "{third}");
}

#[test]
fn a_phone_may_be_added_before_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("account");
    told(&data, &["user", "add", "ada", "--extension", "1001", "--display-name", "Ada"], "");
    let phone: Value = serde_json::from_str(&told(&data, &["device", "add", "ada", "--json"], "")).unwrap();
    let serve =
        Serving::start(program(&data).args(["serve", "--http", "127.0.0.1:0", "--sip-udp", "127.0.0.1:0", "--sip-tcp", "off"]));
    assert_eq!(phone["domain"], serve.ready["domain"]);
}

#[test]
fn a_password_ends_with_its_line_however_long_the_pipe_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("account");
    let add = ["user", "add", "ada", "--extension", "1001", "--display-name", "Ada", "--password-stdin"];
    let mut child = program(&data).args(add).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"a long sentence\n").unwrap();
    assert!(child.wait().unwrap().success());
    drop(pipe);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
