//! A hosted account of the real server binary, on a folder and ports of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    peers::names::NameServer,
    process::{self, Running},
    sound::{self, Sound},
};

/// The SIP domain of every account here.
pub const DOMAIN: &str = "example.test";

/// A server that runs.
#[derive(Debug)]
pub struct Hosted {
    running: Running,
    /// Its HTTP address, as `http://127.0.0.1:PORT`.
    pub http: String,
    /// Where it takes SIP over UDP.
    pub sip_udp: SocketAddr,
    /// Where it takes SIP over TCP.
    pub sip_tcp: SocketAddr,
    /// Its SIP domain.
    pub domain: String,
    data: PathBuf,
    ready: Value,
}

impl Hosted {
    /// Starts one on `data`, with ports of its own choice; calls from this machine are trusted.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start(data: &Path, more: &[&str]) -> Result<Self> {
        Self::start_wary(data, &[&["--trust", "127.0.0.1/32"], more].concat()).await
    }

    /// Starts one that trusts nobody without credentials.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_wary(data: &Path, more: &[&str]) -> Result<Self> {
        Self::launch(process::clean_command(process::built("aftertone-server")?), data, more).await
    }

    /// Starts one that logs all it can.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_verbose(data: &Path, more: &[&str]) -> Result<Self> {
        let mut command = process::clean_command(process::built("aftertone-server")?);
        command.env("AFTERTONE_LOG", "trace");
        Self::launch(command, data, more).await
    }

    /// Starts one that asks `names` for what names mean, and trusts nobody without credentials.
    ///
    /// # Errors
    /// Where it doesn't come up.
    pub async fn start_asking(names: &NameServer, data: &Path, more: &[&str]) -> Result<Self> {
        let mut command = process::clean_command(process::built("aftertone-server")?);
        Self::serve(&mut command, data, more);
        Self::ready(names.asked_by(&command), data).await
    }

    async fn launch(mut command: Command, data: &Path, more: &[&str]) -> Result<Self> {
        Self::serve(&mut command, data, more);
        Self::ready(command, data).await
    }

    fn serve(command: &mut Command, data: &Path, more: &[&str]) {
        command.arg("serve").arg("--data").arg(data).args(["--domain", DOMAIN, "--rtp-ports", "20000-27999"]);
        for port in ["--http", "--sip-udp", "--sip-tcp"].into_iter().filter(|port| !more.contains(port)) {
            command.args([port, "127.0.0.1:0"]);
        }
        command.args(more);
    }

    /// Runs what serves `data`, until it says where.
    async fn ready(mut command: Command, data: &Path) -> Result<Self> {
        let mut running = process::start(&mut command, &data.with_extension("log"))?;
        let line = running.line(Duration::from_secs(20)).await.context("aftertone-server")?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        let http = format!("http://{}", field(&ready, "http")?);
        let (sip_udp, sip_tcp) = (field(&ready, "sip_udp")?.parse()?, field(&ready, "sip_tcp")?.parse()?);
        Ok(Self { http, sip_udp, sip_tcp, domain: DOMAIN.into(), data: data.to_owned(), ready, running })
    }

    /// The id of its process.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn process(&self) -> Result<u32> {
        self.running.id()
    }

    /// The arguments that let another one listen where this one does.
    ///
    /// # Errors
    /// Where its ready line lacks one of them.
    pub fn ports(&self) -> Result<Vec<String>> {
        let names = ["http", "sip_udp", "sip_tcp"];
        let pairs = names.map(|name| Ok([format!("--{}", name.replace('_', "-")), field(&self.ready, name)?.to_owned()]));
        Ok(pairs.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// What else its ready line says.
    ///
    /// # Errors
    /// Where it says nothing of that name.
    pub fn address(&self, name: &str) -> Result<&str> {
        field(&self.ready, name)
    }

    /// Runs a command of the server's on its folder, with `input` on standard input; its output.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn admin(&self, arguments: &[&str], input: &str) -> Result<String> {
        admin(&self.data, arguments, input).await
    }

    /// Adds a person, whom the server knows within a second.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn add_user(&self, name: &str, extension: &str, display_name: &str, ring_s: u16) -> Result<()> {
        add_person(&self.data, &Person { name, extension, display_name, ring_s, language: "en" }).await
    }

    /// Signs in as somebody that was added here, over the API.
    ///
    /// # Errors
    /// Where that fails.
    pub async fn sign_in(&self, name: &str) -> Result<Api> {
        let api = self.anonymous()?;
        let body = json!({"user": name, "password": password(name), "device_name": "a test"});
        let answer: Value = api.send(Method::POST, "sign-in", Some(&body)).await?.error_for_status()?.json().await?;
        Ok(Api { token: answer["token"].as_str().context("no token")?.to_owned(), ..api })
    }

    /// The API, as somebody without an account sees it.
    ///
    /// # Errors
    /// Where there is no HTTP client.
    pub fn anonymous(&self) -> Result<Api> {
        // Whichever test comes first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // Sooner than the server closes a connection that idles.
        let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(10)).build()?;
        Ok(Api { client, base: self.http.clone(), token: String::new() })
    }

    /// How many bytes the recording that runs now has so far; 0 if none runs.
    ///
    /// # Errors
    /// Where the spool can't be read.
    pub fn recorded_bytes(&self) -> Result<u64> {
        Ok(spooled(&self.data)?.into_values().max().unwrap_or_default())
    }

    /// Ends it as an administrator would.
    ///
    /// # Errors
    /// Where it doesn't end well.
    pub async fn stop(self) -> Result<()> {
        let status = self.running.terminate(Duration::from_secs(30)).await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Ends it as a power failure would, but for what the system has in memory.
    ///
    /// # Errors
    /// Where the system refuses.
    pub async fn kill(self) -> Result<()> {
        self.running.kill().await
    }
}

/// The recordings that lie in the spool of the account `data`, by the id of the message to be: how many bytes each has.
///
/// # Errors
/// Where the spool can't be read.
pub fn spooled(data: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(data.join("spool"))? {
        let path = entry?.path();
        let is_sound = matches!(path.extension().and_then(|ending| ending.to_str()), Some("wav" | "ogg"));
        // It may have become a message since.
        if let (true, Ok(metadata), Some(id)) = (is_sound, path.metadata(), path.file_stem()) {
            found.insert(id.to_string_lossy().into_owned(), metadata.len());
        }
    }
    Ok(found)
}

fn field<'a>(ready: &'a Value, name: &str) -> Result<&'a str> {
    ready[name].as_str().with_context(|| format!("no {name} in the ready line: {ready}"))
}

/// Somebody with an extension.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The user name.
    pub name: &'a str,
    /// The number.
    pub extension: &'a str,
    /// The name that others see.
    pub display_name: &'a str,
    /// How long devices ring before the mailbox answers, in seconds.
    pub ring_s: u16,
    /// Of the greeting: `en` or `de`.
    pub language: &'a str,
}

/// Alice, whose extension is 1001.
pub const ALICE: Person<'_> =
    Person { name: "alice", extension: "1001", display_name: "Alice Adler", ring_s: 20, language: "en" };

/// Bob, whose extension is 1002.
pub const BOB: Person<'_> = Person { name: "bob", extension: "1002", display_name: "Bob Brandt", ring_s: 20, language: "en" };

/// Adds a person to the folder `data`, before or while it is served.
///
/// # Errors
/// Where the server refuses.
pub async fn add_person(data: &Path, person: &Person<'_>) -> Result<()> {
    let ring = person.ring_s.to_string();
    let who = ["user", "add", person.name, "--extension", person.extension, "--display-name", person.display_name];
    let how = ["--ring", &ring, "--language", person.language, "--password-stdin"];
    admin(data, &[&who[..], &how].concat(), &password(person.name)).await.map(|_| ())
}

/// What a desk phone needs to register.
#[derive(Debug, Clone)]
pub struct Phone {
    /// For digest authentication.
    pub username: String,
    /// For digest authentication.
    pub password: String,
}

/// Adds a desk phone of a person's, who is named by user name or extension.
///
/// # Errors
/// Where the server refuses.
pub async fn add_phone(data: &Path, owner: &str) -> Result<Phone> {
    let answer = admin(data, &["device", "add", owner, "--domain", DOMAIN, "--json"], "").await?;
    let answer: Value = serde_json::from_str(&answer)?;
    let text = |name: &str| answer[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok(Phone { username: text("username")?, password: text("password")? })
}

impl Phone {
    /// A line of baresip's `accounts` for this phone, with `more` parameters. A quoted parameter can't be the last one.
    #[must_use]
    pub fn account(&self, person: &Person<'_>, server: SocketAddr, more: &str) -> String {
        let (name, extension, user, password) = (person.display_name, person.extension, &self.username, &self.password);
        format!(
            "\"{name}\" <sip:{extension}@{DOMAIN}>;outbound=\"sip:{server};transport=udp\";\
             auth_user={user};auth_pass={password};regint=60{more}"
        )
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
    let mut command = process::clean_command(process::built("aftertone-server")?);
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
    /// The same API with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// What it signs in with.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Sends a request to a path below `/v1/` and gives its answer, whatever it is.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(request.send().await?)
    }

    /// The status that a `GET` below `/v1/` gets.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn status(&self, path: &str) -> Result<StatusCode> {
        Ok(self.send(Method::GET, path, None).await?.status())
    }

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

    /// Does something to a message: `heard`, `delete`, ….
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn act(&self, message: &Value, action: &str) -> Result<()> {
        let id = message["id"].as_str().context("no id")?;
        let body = json!({"action": action});
        self.send(Method::POST, &format!("messages/{id}/actions"), Some(&body)).await?.error_for_status()?;
        Ok(())
    }

    /// Changes how calls are answered: `change` is merged into the plan.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn change_plan(&self, change: Value) -> Result<()> {
        let view = self.get("plan").await?;
        let mut plan = view["plan"].clone();
        for (name, value) in change.as_object().context("no object")? {
            plan[name] = value.clone();
        }
        let request = self.client.put(format!("{}/v1/plan", self.base)).bearer_auth(&self.token).json(&plan);
        request.header("If-Match", format!("\"{}\"", view["version"])).send().await?.error_for_status()?;
        Ok(())
    }

    /// Makes a greeting of one's own of this, which every caller hears from now on.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn greet(&self, sound: &Sound) -> Result<()> {
        let id = self.announce(sound).await?;
        self.change_plan(json!({"standard": id})).await
    }

    /// Puts a greeting of one's own of this on the shelf; its id.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn announce(&self, sound: &Sound) -> Result<String> {
        let id = aftertone_model::GreetingId::from_random(rand::random());
        let body = json!({"kind": "greeting", "title": "Own", "text": "", "language": "en", "expires_at": null});
        self.send(Method::PUT, &format!("greetings/{id}"), Some(&body)).await?.error_for_status()?;
        self.put_greeting_sound(&id.to_string(), sound).await?;
        Ok(id.to_string())
    }

    /// Gives a greeting or the spoken name another sound.
    ///
    /// # Errors
    /// Where the server refuses.
    pub async fn put_greeting_sound(&self, id: &str, sound: &Sound) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("greeting.wav");
        sound.save(&file)?;
        let request = self.client.put(format!("{}/v1/greetings/{id}/audio", self.base)).bearer_auth(&self.token);
        request.body(std::fs::read(file)?).send().await?.error_for_status()?;
        Ok(())
    }

    /// The sound of a greeting or of the spoken name, as it is stored.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn greeting_sound(&self, id: &str) -> Result<Sound> {
        let pcm = aftertone_media::container::decode(&self.bytes(&format!("greetings/{id}/audio")).await?)?;
        Ok(Sound(sound::to_rate(&pcm.samples, pcm.rate)?))
    }

    /// The messages of the mailbox, the newest first.
    ///
    /// # Errors
    /// Where the answer isn't a list.
    pub async fn messages(&self) -> Result<Vec<Value>> {
        self.list("messages?limit=500", "messages").await
    }

    /// The call log, the newest first.
    ///
    /// # Errors
    /// Where the answer isn't a list.
    pub async fn call_records(&self) -> Result<Vec<Value>> {
        self.list("call-records?limit=500", "call_records").await
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

    /// Waits until the call log has `count` entries.
    ///
    /// # Errors
    /// Where it doesn't in time.
    pub async fn wait_for_records(&self, count: usize, limit: Duration) -> Result<Vec<Value>> {
        let what = format!("{count} calls are logged");
        process::eventually(&what, limit, || async {
            let records = self.call_records().await?;
            Ok((records.len() >= count).then_some(records))
        })
        .await
    }

    /// How the last call sounded, which follows its record.
    ///
    /// # Errors
    /// Where it is not noted in time.
    pub async fn wait_for_figures(&self, limit: Duration) -> Result<Value> {
        process::eventually("the last call is measured", limit, || async {
            let figures = self.call_records().await?.first().map(|record| record["figures"].clone());
            Ok(figures.filter(|figures| !figures.is_null()))
        })
        .await
    }

    async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>> {
        let mut answer = self.get(path).await?;
        serde_json::from_value(answer[name].take()).with_context(|| format!("{path}: no {name}"))
    }

    async fn ask(&self, path: &str) -> Result<Response> {
        Ok(self.send(Method::GET, path, None).await?.error_for_status()?)
    }
}
