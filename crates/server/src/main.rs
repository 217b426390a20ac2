//! `aftertone-server`: the hosted account as a program.

use std::{
    io::{BufRead, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use aftertone_model::{CallingRights, Language, MessageId};
use aftertone_net::log_to_stderr;
use aftertone_server::{
    Addresses, Config, Options, Running, Server,
    admin::{self, AddUser, InviteTo},
    mailboxes::{self, Keep},
    raise_open_files,
    trunks::{self, AddTrunk},
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// The hosted account of Aftertone: exchange, voicemail, and the API for its devices.
#[derive(Parser)]
#[command(version, name = "aftertone-server")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// A TOML file with the same settings; flags and environment variables win
        #[arg(long, env = "AFTERTONE_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// People of the account
    #[command(subcommand)]
    User(UserCommand),
    /// Make a link that signs one device in: one-time, good for seven days
    Invite {
        /// User name or extension
        name: String,
        /// The server's address as the device reaches it (default: that of the running server)
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// The server's certificate, for its fingerprint in the link (default: that of the running server)
        #[arg(long, env = "AFTERTONE_CERT", value_name = "FILE")]
        cert: Option<PathBuf>,
        /// Also write it as a QR code: a new PNG, for one person's eyes
        #[arg(long, value_name = "FILE")]
        qr: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// What is kept of people's messages
    #[command(subcommand)]
    Mailbox(MailboxCommand),
    /// Phones and SIP programs that are not ours
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Ways to the telephone network and to other exchanges
    #[command(subcommand)]
    Trunk(TrunkCommand),
    /// Copy everything into a new folder, while the server runs or not
    Backup {
        /// The folder: new, or empty
        dir: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// Put a backup into a data folder that no server is running on
    Restore {
        /// The backup's folder
        dir: PathBuf,
        /// Replace the account that is there; its database is kept aside
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Subcommand)]
enum TrunkCommand {
    /// Add a trunk, or replace the one of this name
    Add {
        #[command(flatten)]
        add: Box<AddTrunk>,
        #[command(flatten)]
        data: Data,
    },
    /// Show every trunk that was added, and how it is if the server runs
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Take a trunk away
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a person
    Add {
        /// User name: a-z, 0-9, '.', '-', '_'
        name: String,
        /// The person's number
        #[arg(long)]
        extension: String,
        /// The name that others see
        #[arg(long)]
        display_name: String,
        /// Language of the prompts: de or en
        #[arg(long, default_value = "en", value_parser = language)]
        language: Language,
        /// How long devices ring before the mailbox answers, in seconds
        #[arg(long, default_value_t = 20, value_name = "SECONDS")]
        ring: u16,
        /// Read a password from the standard input; without one only invitations sign in
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Say whom somebody may call over trunks
    Allow {
        /// User name or extension
        name: String,
        /// internal, national or international
        #[arg(long, value_parser = calling_rights)]
        calls: Option<CallingRights>,
        /// Whether they may call numbers of the outside from the phone menu on foreign phones, with their PIN: on or off
        #[arg(long, value_parser = on_or_off)]
        calls_from_menu: Option<bool>,
        #[command(flatten)]
        data: Data,
    },
    /// Turn somebody's do-not-disturb on or off
    Dnd {
        /// User name or extension
        name: String,
        /// on or off
        #[arg(value_parser = on_or_off, action = clap::ArgAction::Set)]
        state: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Show everybody
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Subcommand)]
enum MailboxCommand {
    /// Show how full somebody's mailbox is, how long its messages are kept, and what administrators did to it
    Show {
        /// User name or extension
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Say how much it takes and how long messages are kept; what isn't given stays
    Set {
        /// User name or extension
        name: String,
        #[command(flatten)]
        keep: Keep,
        #[command(flatten)]
        data: Data,
    },
    /// Place or lift a legal hold: while it is on, nothing is lost, whatever its owner deletes
    Hold {
        /// User name or extension
        name: String,
        /// on or off
        #[arg(value_parser = on_or_off, action = clap::ArgAction::Set)]
        state: bool,
        /// Hold this message alone, by its id
        #[arg(long, value_name = "ID")]
        message: Option<MessageId>,
        #[command(flatten)]
        data: Data,
    },
    /// Show what a hold keeps of messages that their owner expunged, with the files of their sound
    Withheld {
        /// User name or extension
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Subcommand)]
enum DeviceCommand {
    /// Add a phone and show its SIP credentials, once
    Add {
        /// User name or extension of its owner
        name: String,
        /// How the phone is listed
        #[arg(long = "name", default_value = "Desk phone", value_name = "NAME")]
        device_name: String,
        /// The account's domain, if the server was never started yet
        #[arg(long, env = "AFTERTONE_DOMAIN")]
        domain: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(clap::Args)]
struct Data {
    /// The data folder
    #[arg(long = "data", env = "AFTERTONE_DATA", value_name = "DIR")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(run(cli.command));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    let output = match command {
        Command::Serve { config, options } => {
            let file = config.map(|path| Options::from_file(&path)).transpose()?.unwrap_or_default();
            return serve(options.or(file).complete()?).await;
        }
        Command::User(UserCommand::Add { name, extension, display_name, language, ring, password_stdin, data }) => {
            let password = password_stdin.then(read_password).transpose()?;
            let add = AddUser { user: name, extension, display_name, language, ring_s: ring, password };
            admin::add_user(&data.folder, add).await?
        }
        Command::User(UserCommand::List { json, data }) => admin::list_users(&data.folder, json).await?,
        Command::User(UserCommand::Allow { name, calls, calls_from_menu, data }) => {
            trunks::allow(&data.folder, &name, calls, calls_from_menu).await?
        }
        Command::User(UserCommand::Dnd { name, state, data }) => trunks::do_not_disturb(&data.folder, &name, state).await?,
        Command::Mailbox(command) => mailbox(command).await?,
        Command::Trunk(TrunkCommand::Add { add, data }) => {
            let password = if add.password_stdin { read_password()? } else { String::new() };
            trunks::add_trunk(&data.folder, *add, password).await?
        }
        Command::Trunk(TrunkCommand::List { json, data }) => trunks::list_trunks(&data.folder, json).await?,
        Command::Trunk(TrunkCommand::Remove { name, data }) => trunks::remove_trunk(&data.folder, &name).await?,
        Command::Backup { dir, data } => admin::back_up(&data.folder, &dir).await?,
        Command::Restore { dir, replace, data } => admin::restore(&data.folder, &dir, replace)?,
        Command::Invite { name, server, cert, qr, data } => {
            admin::invite(&data.folder, &name, InviteTo { server, cert, qr }).await?
        }
        Command::Device(DeviceCommand::Add { name, device_name, domain, json, data }) => {
            admin::add_device(&data.folder, &name, &device_name, domain, json).await?
        }
    };
    print(&output)
}

async fn mailbox(command: MailboxCommand) -> anyhow::Result<String> {
    match command {
        MailboxCommand::Show { name, json, data } => mailboxes::show(&data.folder, &name, json).await,
        MailboxCommand::Set { name, keep, data } => mailboxes::keep(&data.folder, &name, keep).await,
        MailboxCommand::Hold { name, state, message, data } => mailboxes::hold(&data.folder, &name, message, state).await,
        MailboxCommand::Withheld { name, json, data } => mailboxes::withheld(&data.folder, &name, json).await,
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let filter = std::env::var("AFTERTONE_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("AFTERTONE_LOG={filter} is no filter"))?;
    log_to_stderr(filter);
    raise_open_files();
    // Before anybody can know that the server runs: from here on no signal kills it.
    let mut stop = StopSignals::new()?;
    let mut running = tokio::select! {
        running = Server::start(config) => running?,
        () = stop.next() => return Ok(()),
    };
    ready(&running)?;
    tokio::select! {
        () = stop.next() => {}
        () = running.failed() => anyhow::bail!("the exchange has stopped unexpectedly"),
    }
    tokio::select! {
        stopped = running.shutdown() => stopped,
        () = stop.next() => {
            anyhow::bail!("stopped at once by a second signal; running recordings are completed at the next start")
        }
    }
}

#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    #[serde(flatten)]
    addresses: &'a Addresses,
}

/// One line of JSON for whoever started the server.
fn ready(running: &Running) -> anyhow::Result<()> {
    let line = serde_json::to_string(&Ready { event: "ready", addresses: &running.addresses })?;
    print(&(line + "\n"))
}

/// The signals that end a server. None that comes after [`StopSignals::new`] is lost.
#[cfg(unix)]
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
struct StopSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn next(&mut self) {
        // `None` would mean that no signal can come any more.
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn language(text: &str) -> Result<Language, String> {
    match text {
        "en" => Ok(Language::En),
        "de" => Ok(Language::De),
        _ => Err("de or en is expected".into()),
    }
}

fn calling_rights(text: &str) -> Result<CallingRights, String> {
    match text {
        "internal" => Ok(CallingRights::Internal),
        "national" => Ok(CallingRights::National),
        "international" => Ok(CallingRights::International),
        _ => Err("internal, national or international is expected".into()),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off is expected".into()),
    }
}

/// The first line of the standard input.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    // To the end of the line and no farther: whoever writes it may keep the pipe open.
    std::io::stdin().lock().take(4096).read_line(&mut text).context("can't read the password")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("can't write to the standard output")
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "aftertone-server: {error:#}");
    ExitCode::FAILURE
}
