//! The phone for the terminal and for tests: signs in, does one thing, signs out again. Every event is one line of JSON.

mod calls;
mod files;
mod lines;
mod mailbox;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use aftertone_client::{
    CommandError, EventStream, FileSecrets, MemorySecrets, SecretStore, ServerAddress, Session, SessionConfig, load_account,
    log_to_stderr, sign_in,
};
use aftertone_sync::{Credentials, SignIn};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{files::Files, lines::Failure};

/// Signs in at a hosted account, does one thing, and signs out again (with --data it stays signed in). Every event is one line of JSON on standard output.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The server: https://HOST, or http:// on this machine itself.
    #[arg(long)]
    server: String,
    /// The user name or the extension.
    #[arg(long)]
    user: String,
    /// Read the password from the first line of standard input, whatever the environment says.
    #[arg(long, required_unless_present_any = ["password", "data"])]
    password_stdin: bool,
    /// The password; visible to everybody on this machine.
    #[arg(long, env = "AFTERTONE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Trust the certificate with this SHA-256 and no other.
    #[arg(long, value_name = "HEX")]
    insecure_fingerprint: Option<String>,
    /// Keep the account in this folder and stay signed in: the next start with it goes on where this one ended, however that was.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Call somebody.
    Call {
        /// An extension, a user name, a number, or a SIP address.
        target: String,
        #[command(flatten)]
        sound: Sound,
        /// Send these keys a second after the answer, e.g. 123#.
        #[arg(long)]
        press: Option<String>,
    },
    /// Wait for one call.
    Wait {
        /// Take it.
        #[arg(long, group = "what")]
        answer: bool,
        /// Send it to the mailbox.
        #[arg(long, group = "what")]
        decline: bool,
        /// Let it ring.
        #[arg(long, group = "what")]
        ignore: bool,
        #[command(flatten)]
        sound: Sound,
    },
    /// Look into the mailbox.
    Mailbox {
        #[command(subcommand)]
        action: mailbox::Action,
    },
    /// Let the built-in second phone leave a message in the own mailbox.
    TestMessage,
}

/// What is said and what is kept of a call.
#[derive(Debug, clap::Args)]
struct Sound {
    /// What to say: a WAV or Ogg-Opus file.
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// Where to write what is heard: a WAV file, 48 kHz.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Record both sides, from the answer on, into this new file: Ogg-Opus, left what is said and right what is heard. The
    /// account must allow it, and the other end hears a tone.
    #[arg(long, value_name = "FILE")]
    record_call: Option<PathBuf>,
    /// Hang up after they talked for so long, e.g. 10s, 500ms, 2m. Without it: at the end of what is said, or never.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    length: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("not a time: {text:?} (10s, 500ms, 2m)");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,webrtc=off,rtc=off,rtc_ice=off,rtc_dtls=off"));
    log_to_stderr(filter);
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            lines::error(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let server = ServerAddress::parse(&arguments.server, arguments.insecure_fingerprint.as_deref())
        .map_err(|e| Failure::new("invalid_server", e))?;
    let sound = match &arguments.command {
        Command::Call { sound, .. } | Command::Wait { sound, .. } => Files::open(sound.play.as_deref(), sound.record.as_deref())?,
        Command::Mailbox { action } => Files::open(None, action.record())?,
        Command::TestMessage => Files::open(None, None)?,
    };
    // Signals count from here on: a device that was signed in must be signed out.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(interrupt), Ok(terminate)) = (&mut interrupt, &mut terminate) else {
        return Err(Failure::new("internal", "signals can't be handled"));
    };

    let unusable = |e| Failure::new("storage", e);
    let passing = tempfile::tempdir().map_err(unusable)?;
    let (data, secrets): (_, Arc<dyn SecretStore>) = match &arguments.data {
        Some(folder) => (folder.clone(), Arc::new(FileSecrets::new(folder.join("secrets.json")))),
        None => (passing.path().to_owned(), Arc::new(MemorySecrets::default())),
    };
    if load_account(&data).map_err(unusable)?.is_none() {
        let password = match arguments.password {
            Some(password) if !arguments.password_stdin => password,
            Some(_) | None => read_password()?,
        };
        let credentials = Credentials::Password { user: arguments.user, password };
        let device = SignIn { credentials, device_name: "aftertone-phone".into() };
        sign_in(server, device, &data, Arc::clone(&secrets)).await.map_err(Failure::from)?;
    }

    let config = SessionConfig {
        data,
        secrets,
        audio: Arc::new(sound.clone()),
        user_agent: concat!("aftertone-phone/", env!("CARGO_PKG_VERSION")).into(),
    };
    // Who looks into the mailbox asked for nothing else.
    let tells_calls = !matches!(&arguments.command, Command::Mailbox { action } if !matches!(action, mailbox::Action::Watch));
    let (session, mut events) = Session::start(config).await.map_err(|e| Failure::new("internal", e))?;
    let result = tokio::select! {
        result = perform(arguments.command, &session, &mut events, &sound) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    // Calls that still run end here, and are told.
    let signed_out = match &arguments.data {
        Some(_) => {
            session.shut_down().await;
            Ok(())
        }
        None => session.sign_out().await,
    };
    let mut teller = lines::Teller::default();
    while let Some(event) = events.next().await {
        if tells_calls {
            teller.tell(&event);
        }
    }
    sound.write()?;
    // Over: the server revoked the device first, and that was told.
    let signed_out = if signed_out == Err(CommandError::Over) { Ok(()) } else { signed_out };
    result.and(signed_out.map_err(Failure::from))
}

async fn perform(command: Command, session: &Session, events: &mut EventStream, files: &Files) -> Result<(), Failure> {
    match command {
        Command::Call { target, sound, press } => calls::call(session, events, files, &target, &sound, press.as_deref()).await,
        Command::Wait { answer, decline, sound, .. } => {
            let what = match (answer, decline) {
                (true, _) => calls::What::Answer { length: sound.length, record: sound.record_call },
                (_, true) => calls::What::Decline,
                (false, false) => calls::What::Ignore,
            };
            calls::wait(session, events, files, what).await
        }
        Command::Mailbox { action } => mailbox::perform(session, events, action).await,
        Command::TestMessage => calls::test_message(session, events).await,
    }
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    // To the end of the line and no farther: whoever writes it may keep the pipe open.
    std::io::stdin().read_line(&mut text).map_err(|e| Failure::new("password", e))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
