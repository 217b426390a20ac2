//! A hosted account of the real server binary, on a folder and ports of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::process::{self, Running};

/// A server that runs.
#[derive(Debug)]
pub struct Hosted {
    running: Running,
    /// Its HTTP address, as `http://127.0.0.1:PORT`.
    pub http: String,
    /// Where it takes SIP over UDP.
    pub sip_udp: SocketAddr,
    /// Its SIP domain.
    pub domain: String,
    data: PathBuf,
}

impl Hosted {
    /// Starts one on `data`, with ports of its own choice; calls from this machine are trusted.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(data: &Path, more: &[&str]) -> Result<Self> {
        let mut command = process::clean_command(process::built("aftertone-server")?);
        command.arg("serve").arg("--data").arg(data).args(["--trust", "127.0.0.1/32", "--domain", "example.test"]);
        command.args(["--http", "127.0.0.1:0", "--sip-udp", "127.0.0.1:0", "--sip-tcp", "127.0.0.1:0"]).args(more);
        let mut running = process::start(&mut command, &data.with_extension("log"))?;
        let line = running.line(Duration::from_secs(20)).await.context("aftertone-server")?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        let http = format!("http://{}", ready["http"].as_str().context("no http in the ready line")?);
        let sip_udp = ready["sip_udp"].as_str().context("no sip_udp in the ready line")?.parse()?;
        Ok(Self { running, http, sip_udp, domain: "example.test".into(), data: data.to_owned() })
    }

    /// Runs a command of the server's on its folder, with `input` on standard input; its output.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn admin(&self, arguments: &[&str], input: &str) -> Result<String> {
        admin(&self.data, arguments, input).await
    }

    /// Adds a person.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn add_user(&self, name: &str, extension: &str, display_name: &str, ring_s: u16) -> Result<()> {
        let ring = ring_s.to_string();
        let arguments = ["user", "add", name, "--extension", extension, "--display-name", display_name, "--ring", &ring];
        self.admin(&[&arguments[..], &["--password-stdin"]].concat(), &password(name)).await.map(|_| ())
    }

    /// Signs in as somebody that [`Hosted::add_user`] added, over the API.
    ///
    /// # Errors
    /// Where that fails.
    pub async fn sign_in(&self, name: &str) -> Result<Api> {
        let client = reqwest::Client::builder().build()?;
        let body = json!({"user": name, "password": password(name), "device_name": "a test"});
        let response = client.post(format!("{}/v1/sign-in", self.http)).json(&body).send().await?.error_for_status()?;
        let token = response.json::<Value>().await?["token"].as_str().context("no token")?.to_owned();
        Ok(Api { client, base: self.http.clone(), token })
    }

    /// Ends it as an administrator would.
    ///
    /// # Errors
    /// Where it doesn't end well.
    pub async fn stop(self) -> Result<()> {
        let status = self.running.terminate(Duration::from_secs(15)).await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// The password that the tests give a person.
#[must_use]
pub fn password(name: &str) -> String {
    format!("a long sentence for {name}")
}

/// Runs a command of the server's on the folder `data`.
///
/// # Errors
/// Where it fails.
pub async fn admin(data: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(process::built("aftertone-server")?);
    command.args(arguments).arg("--data").arg(data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The API, as one device sees it.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    /// `GET` of a path below `/v1/`, as JSON.
    ///
    /// # Errors
    /// Where the answer isn't one.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.ask(path).await?.json().await?)
    }

    /// `GET` of a path below `/v1/`, as bytes.
    ///
    /// # Errors
    /// Where the answer is an error.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        Ok(self.ask(path).await?.bytes().await?.to_vec())
    }

    /// The messages of the mailbox, in the order of the answer.
    ///
    /// # Errors
    /// Where the answer isn't a list.
    pub async fn messages(&self) -> Result<Vec<Value>> {
        let answer = self.get("messages").await?;
        let list = answer.as_array().or_else(|| answer["messages"].as_array()).context("not a list")?;
        Ok(list.clone())
    }

    /// Waits until the mailbox holds `count` messages.
    ///
    /// # Errors
    /// Where it doesn't in time.
    pub async fn wait_for_messages(&self, count: usize, limit: Duration) -> Result<Vec<Value>> {
        let what = format!("{count} messages are listed");
        process::eventually(&what, limit, || async {
            let messages = self.messages().await?;
            Ok((messages.len() >= count).then_some(messages))
        })
        .await
    }

    async fn ask(&self, path: &str) -> Result<reqwest::Response> {
        let request = self.client.get(format!("{}/v1/{path}", self.base)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?)
    }
}
