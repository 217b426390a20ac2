//! What an administrator does with the server, and how devices come and go.

use std::{net::SocketAddr, path::Path, process::ExitStatus, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup},
    hosted::{self, ALICE, Api, BOB, Hosted, Person},
    peers::coturn::{self, Coturn},
    process::{self, PATIENCE, Running},
    sound::{self, Sound},
};
use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{process::Command, time::Instant};

const LOOPBACK: [&str; 6] = ["--http", "127.0.0.1:0", "--sip-udp", "127.0.0.1:0", "--sip-tcp", "127.0.0.1:0"];

fn serve(data: &Path) -> Result<Command> {
    let mut command = process::clean_command(process::built("aftertone-server")?);
    command.arg("serve").arg("--data").arg(data);
    Ok(command)
}

/// Starts a server that is expected to come up; its ready line.
async fn ready(command: &mut Command, log: &Path) -> Result<(Running, Value)> {
    let mut running = process::start(command, log)?;
    let line = running.line(PATIENCE).await?;
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
    assert_eq!(ready["event"], "ready", "{ready}");
    Ok((running, ready))
}

/// Starts a server that is expected to refuse; what it said.
async fn refused(command: &mut Command, log: &Path) -> Result<String> {
    let status: ExitStatus = process::start(command, log)?.ended(PATIENCE).await?;
    assert_eq!(status.code(), Some(1), "{status}");
    Ok(std::fs::read_to_string(log)?)
}

async fn stopped(running: Running) -> Result<()> {
    let status = running.terminate(Duration::from_secs(10)).await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn people_are_added_once_and_listed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let no_password = ["user", "add", "clara", "--extension", "1003", "--display-name", "Clara Jürgens", "--language", "de"];
    let said = hosted::admin(&data, &no_password, "").await?;
    assert!(said.contains("clara") && said.contains("1003") && said.contains("only an invitation"), "{said}");

    let again = hosted::add_person(&data, &Person { extension: "1009", ..ALICE }).await;
    assert!(again.is_err_and(|error| error.to_string().contains("alice")), "the name is taken");
    let again = hosted::add_person(&data, &Person { name: "alina", ..ALICE }).await;
    assert!(again.is_err_and(|error| error.to_string().contains("1001")), "the extension is taken");
    for wrong in [Person { extension: "12a", ..BOB }, Person { name: "Bob!", ..BOB }, Person { ring_s: 1, ..BOB }] {
        assert!(hosted::add_person(&data, &wrong).await.is_err(), "{wrong:?}");
    }

    let listed: Value = serde_json::from_str(&hosted::admin(&data, &["user", "list", "--json"], "").await?)?;
    let listed = listed.as_array().context("no list")?;
    let row = |person: &Value| {
        ["user", "extension", "display_name", "language"].map(|name| person[name].as_str().unwrap_or_default().to_owned())
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    assert_eq!(rows, [["alice", "1001", "Alice Adler", "en"], ["clara", "1003", "Clara Jürgens", "de"]]);
    let table = hosted::admin(&data, &["user", "list"], "").await?;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].starts_with("1001") && lines[1].contains("Alice Adler") && lines[1].contains("20 s"), "{table}");
    Ok(())
}

async fn outside_caller(folder: &Path) -> Result<Baresip> {
    let speech = folder.join("speech.wav");
    Sound::silence(60.0).save(&speech)?;
    let account = "\"Caller\" <sip:+4930901821@caller.example>;regint=0".to_owned();
    Baresip::start(&Setup { account, speech, rate: sound::RATE }).await
}

#[tokio::test]
async fn a_running_server_knows_new_people_within_a_second() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let hosted = Hosted::start(&data, &[]).await?;
    let mut caller = outside_caller(folder.path()).await?;
    let dial = format!("dial sip:1001@{};transport=udp", hosted.sip_udp);
    caller.command(&dial).await?;
    let unknown = caller.happening("CALL_CLOSED", PATIENCE).await?.parameter;
    assert!(unknown.starts_with("404"), "{unknown}");

    hosted::add_person(&data, &ALICE).await?;
    let added = Instant::now();
    loop {
        caller.command(&dial).await?;
        let outcome = caller.one_of(&["CALL_ESTABLISHED", "CALL_CLOSED"], PATIENCE).await?;
        if outcome.kind == "CALL_ESTABLISHED" {
            break;
        }
        assert!(added.elapsed() < PATIENCE, "still unknown: {}", outcome.parameter);
    }
    hosted.stop().await
}

/// When somebody is signed in, the exchange knows them: their phone registers at its first try, and who calls them gets through.
#[tokio::test]
async fn a_person_added_a_moment_ago_is_reached_once_they_are_signed_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let hosted = Hosted::start(&data, &[]).await?;
    let mut caller = outside_caller(folder.path()).await?;
    hosted::add_person(&data, &ALICE).await?;
    hosted.sign_in(ALICE.name).await?;
    caller.command(&format!("dial sip:1001@{};transport=udp", hosted.sip_udp)).await?;
    let outcome = caller.one_of(&["CALL_ESTABLISHED", "CALL_CLOSED"], PATIENCE).await?;
    assert_eq!(outcome.kind, "CALL_ESTABLISHED", "{}", outcome.parameter);
    caller.command("hangup").await?;
    caller.happening("CALL_CLOSED", PATIENCE).await?;
    hosted.stop().await
}

async fn devices(api: &Api) -> Result<Vec<Value>> {
    api.get("devices").await?.as_array().cloned().context("no list")
}

/// The token of an invitation link for a server without TLS.
fn token_of<'a>(link: &'a str, hosted: &Hosted) -> Result<&'a str> {
    let address = hosted.http.replace(':', "%3A").replace('/', "%2F");
    let rest = link.strip_prefix("aftertone://invite?server=").and_then(|rest| rest.strip_prefix(&address));
    rest.and_then(|rest| rest.strip_prefix("&token=")).with_context(|| format!("no invitation: {link}"))
}

#[tokio::test]
async fn an_invitation_signs_one_device_in_until_it_is_revoked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    let hosted = Hosted::start(&data, &[]).await?;
    let desk = hosted.sign_in(ALICE.name).await?;
    let link = hosted.admin(&["invite", "1001"], "").await?;
    let body = json!({"invitation": token_of(&link, &hosted)?, "device_name": "Alice's laptop"});
    let anybody = hosted.anonymous()?;
    let answer: Value = anybody.send(Method::POST, "sign-in", Some(&body)).await?.error_for_status()?.json().await?;
    assert_eq!(answer["me"]["subscriber"]["extension"], "1001", "{answer}");
    let laptop = anybody.with_token(answer["token"].as_str().context("no token")?);
    assert_eq!(laptop.get("me").await?["domain"], hosted.domain);

    let again = anybody.send(Method::POST, "sign-in", Some(&body)).await?;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(again.json::<Value>().await?["code"], "wrong_credentials");

    let listed = devices(&desk).await?;
    let names: Vec<_> = listed.iter().map(|device| (device["name"].as_str(), device["current"].as_bool())).collect();
    assert_eq!(names, [(Some("a test"), Some(true)), (Some("Alice's laptop"), Some(false))]);
    let id = answer["device"].as_str().context("no device")?;
    let gone = desk.send(Method::DELETE, &format!("devices/{id}"), None).await?;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(laptop.status("me").await?, StatusCode::UNAUTHORIZED);
    assert_eq!(devices(&desk).await?.len(), 1);
    let gone = desk.send(Method::DELETE, &format!("devices/{id}"), None).await?;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);

    hosted.stop().await?;
    let unknown = hosted::admin(&data, &["invite", "1001"], "").await;
    assert!(unknown.is_err_and(|error| error.to_string().contains("--server")), "nobody serves it now");
    hosted::admin(&data, &["invite", "1001", "--server", "https://phone.example.com"], "").await?;
    Ok(())
}

#[tokio::test]
async fn whoever_guesses_passwords_has_to_wait() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    hosted::add_person(&data, &ALICE).await?;
    hosted::add_person(&data, &BOB).await?;
    let hosted = Hosted::start(&data, &[]).await?;
    let anybody = hosted.anonymous()?;
    // Both of her names, and one that nobody has, are each counted as they are typed: no answer tells which are real.
    for user in ["alice", "1001", "nobody"] {
        let mut tries = 0;
        let wait = loop {
            let guess = json!({"user": user, "password": format!("guess {tries}"), "device_name": "x"});
            let answer = anybody.send(Method::POST, "sign-in", Some(&guess)).await?;
            match answer.status() {
                StatusCode::UNAUTHORIZED => tries += 1,
                StatusCode::TOO_MANY_REQUESTS => break answer.headers()["retry-after"].to_str()?.parse::<u64>()?,
                other => bail!("{other}"),
            }
            assert!(tries < 10, "ten guesses in a row at {user}");
        };
        assert!(tries >= 3 && wait >= 1, "{user}: {tries} tries, then {wait} s");
    }
    assert!(hosted.sign_in(ALICE.name).await.is_err(), "nor with the right password, for now");
    hosted.sign_in(BOB.name).await?;
    hosted.stop().await
}

#[tokio::test]
async fn the_ready_line_says_where_it_listens() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut command = serve(&folder.path().join("account"))?;
    let (running, ready) = ready(command.args(LOOPBACK).args(["--domain", "Phones.Example.com"]), &log).await?;
    assert_eq!(ready["domain"], "phones.example.com", "{ready}");
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"), "{ready}");
    assert_eq!((&ready["https"], &ready["fingerprint"]), (&Value::Null, &Value::Null), "{ready}");
    let http = ready["http"].as_str().context("no http")?;
    tokio::net::TcpStream::connect(http).await?;
    tokio::net::TcpStream::connect(ready["sip_tcp"].as_str().context("no sip_tcp")?).await?;

    let probe = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let (own, server) = (probe.local_addr()?, ready["sip_udp"].as_str().context("no sip_udp")?);
    let options = format!(
        "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKprobe\r\nMax-Forwards: 70\r\n\
         From: <sip:probe@{own}>;tag=1\r\nTo: <sip:{server}>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    probe.send_to(options.as_bytes(), server).await?;
    let mut answer = [0; 2048];
    let length = tokio::time::timeout(PATIENCE, probe.recv(&mut answer)).await??;
    assert!(answer[..length].starts_with(b"SIP/2.0 200"), "{}", String::from_utf8_lossy(&answer[..length]));
    stopped(running).await
}

#[tokio::test]
async fn a_flag_wins_over_a_variable_and_that_over_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let file = folder.path().join("server.toml");
    std::fs::write(&file, "domain = \"file.test\"\nhttp = \"127.0.0.1:0\"\nsip-udp = \"127.0.0.1:0\"\nsip-tcp = \"off\"\n")?;
    let (flag, variable): (&[&str], _) = (&["--domain", "flag.test"], Some("variable.test"));
    for (n, (flag, variable, domain)) in
        [(&[][..], None, "file.test"), (&[], variable, "variable.test"), (flag, variable, "flag.test")].into_iter().enumerate()
    {
        let mut command = serve(&folder.path().join(format!("account{n}")))?;
        command.arg("--config").arg(&file).args(flag);
        if let Some(variable) = variable {
            command.env("AFTERTONE_DOMAIN", variable);
        }
        let (running, ready) = ready(&mut command, &log).await?;
        assert_eq!(ready["domain"], domain, "{ready}");
        assert_eq!(ready["sip_tcp"], Value::Null, "from the file: {ready}");
        stopped(running).await?;
    }
    std::fs::write(&file, "domian = \"file.test\"\n")?;
    let said = refused(serve(&folder.path().join("account"))?.arg("--config").arg(&file), &log).await?;
    assert!(said.contains("domian"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_folder_has_one_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let hosted = Hosted::start(&data, &[]).await?;
    let said = refused(serve(&data)?.args(LOOPBACK), &folder.path().join("second.log")).await?;
    assert!(said.contains("another server") && said.contains("account"), "{said}");
    assert_eq!(hosted.anonymous()?.get("health").await?["status"], "ok", "the first serves on");
    hosted.kill().await?;
    // A crash leaves nothing that would have to be cleared away.
    Hosted::start(&data, &[]).await?.stop().await
}

#[tokio::test]
async fn nothing_is_served_in_clear_to_the_network() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    for (n, address) in ["0.0.0.0:0", "[::]:0"].into_iter().enumerate() {
        let log = folder.path().join(format!("log{n}"));
        let said = refused(serve(&data)?.args(["--http", address]), &log).await?;
        assert!(said.contains("--https"), "it says what to do: {said}");
    }
    let log = folder.path().join("log");
    let said = refused(serve(&data)?.args(["--https", "127.0.0.1:0"]), &log).await?;
    assert!(said.contains("--cert"), "it says what to do: {said}");
    Ok(())
}

/// How often coturn's log says `what` of sessions with the credentials `of`.
fn said(coturn: &Coturn, what: &str, of: &Value) -> usize {
    let user = format!("<{}>", of["username"].as_str().unwrap_or("none"));
    coturn.log().lines().filter(|line| line.contains(what) && line.contains(&user)).count()
}

async fn until_said(coturn: &Coturn, what: &str, of: &Value, times: usize) -> Result<()> {
    let there = || async { Ok((said(coturn, what, of) >= times).then_some(())) };
    process::eventually(what, PATIENCE, there).await.with_context(|| coturn.log())
}

#[tokio::test]
async fn a_revoked_device_is_out_at_the_turn_server_too() -> Result<()> {
    const SECRET: &str = "a secret between two servers";
    const BEGUN: &str = "new, realm=";
    const ENDED: &str = "reason: Forceful shutdown";
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    let coturn = Coturn::start(SocketAddr::from(([127, 0, 0, 1], process::free_port()?)), SECRET).await?;
    let (uri, console) = (format!("turn:{}", coturn.address), coturn.console.to_string());
    let options = ["--turn", &uri, "--turn-secret", SECRET, "--turn-console", &console];
    let options = [&options[..], &["--turn-console-password", coturn::CONSOLE_PASSWORD]].concat();
    hosted::add_person(&data, &ALICE).await?;
    let hosted = Hosted::start(&data, &options).await?;
    let (lost, kept) = (hosted.sign_in("alice").await?, hosted.sign_in("alice").await?);
    let (of_lost, of_kept) = (lost.get("turn").await?, kept.get("turn").await?);
    let client = |of: &Value, log: &str| {
        let text = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
        coturn.client(&text("username"), &text("password"), &folder.path().join(log))
    };
    let (first, other) = (client(&of_lost, "first.log")?, client(&of_kept, "other.log")?);
    until_said(&coturn, BEGUN, &of_lost, 1).await?;
    until_said(&coturn, BEGUN, &of_kept, 1).await?;

    let devices = kept.get("devices").await?;
    let own = of_lost["username"].as_str().unwrap_or_default();
    let devices = devices["devices"].as_array().or_else(|| devices.as_array()).context("no list")?;
    let device = devices.iter().filter_map(|device| device["id"].as_str()).find(|id| own.ends_with(id)).context("no device")?;
    let revoked = kept.send(Method::DELETE, &format!("devices/{device}"), None).await?;
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    until_said(&coturn, ENDED, &of_lost, said(&coturn, BEGUN, &of_lost)).await?;

    // Whoever kept the credentials begins anew, for coturn knows nothing of the revocation.
    let before = said(&coturn, BEGUN, &of_lost);
    let again = client(&of_lost, "again.log")?;
    until_said(&coturn, BEGUN, &of_lost, before + 1).await?;
    until_said(&coturn, ENDED, &of_lost, before + 1).await?;
    assert_eq!(said(&coturn, ENDED, &of_kept), 0, "{}", coturn.log());
    for running in [first, again, other] {
        running.kill().await?;
    }
    coturn.stop().await?;
    hosted.stop().await
}
