//! The app on its own: no hosted account, an account at a provider instead. Asterisk is the provider.

use std::time::Duration;

use aftertone_tests::{
    desktop::Desktop,
    peers::asterisk::{self, Asterisk},
    process::{self, PATIENCE},
    tray::Tray,
    window::Window,
};
use anyhow::{Result, ensure};

const ACCOUNT: &str = "4930500";
const PASSWORD: &str = "what the provider gave us";

/// Our account there, an echo at any number of the outside, and somebody who calls us and says something to the mailbox.
fn provider() -> asterisk::Setup {
    asterisk::Setup {
        pjsip: format!(
            "[{ACCOUNT}](endpoint)\nauth={ACCOUNT}\naors={ACCOUNT}\n[{ACCOUNT}](auth)\nusername={ACCOUNT}\n\
             password={PASSWORD}\n[{ACCOUNT}](aor)\nremove_existing=yes\nminimum_expiration=30\n"
        ),
        extensions: "exten => 030600,1,Answer()\n same => n,Echo()\n\
             exten => 800,1,Answer()\n same => n,Wait(12)\n same => n,Playback(demo-echodone)\n same => n,Hangup()\n"
            .into(),
        ..asterisk::Setup::default()
    }
}

struct World {
    asterisk: Asterisk,
    desktop: Desktop,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let asterisk = Asterisk::start(&provider()).await?;
        Ok(Self { asterisk, desktop: Desktop::start().await?, folder: tempfile::tempdir()? })
    }

    fn profile(&self) -> String {
        self.desktop.folder().join("me").to_string_lossy().into_owned()
    }

    async fn open(&self, more: &[&str]) -> Result<Window> {
        let profile = self.profile();
        let arguments = [&["--profile", profile.as_str()], more].concat();
        Window::open(&self.desktop, &arguments, &self.folder.path().join("app.log")).await
    }

    /// A second start, which hands its argument to the app that runs.
    async fn start_again(&self, argument: &str) -> Result<()> {
        let mut command = self.desktop.command(&process::built("aftertone")?);
        let status = command.arg("--profile").arg(self.profile()).arg(argument).status().await?;
        ensure!(status.success(), "the second start ended with {status}");
        Ok(())
    }
}

async fn sign_in(window: &Window, server: &str, password: &str) -> Result<()> {
    window.click("with-own").await?;
    submit(window, server, password).await
}

async fn submit(window: &Window, server: &str, password: &str) -> Result<()> {
    for (field, text) in [("provider-server", server), ("provider-user", ACCOUNT), ("provider-password", password)] {
        window.find(field).await?.clear().await?;
        window.type_into(field, text).await?;
    }
    window.click("submit").await
}

async fn connected(window: &Window) -> Result<()> {
    window.find_css("[data-testid=\"connection\"][data-state=\"connected\"]").await.map(drop)
}

/// Waits longer than anything in the window takes: it rings for 20 s, and the caller speaks after the greeting.
async fn row(window: &Window) -> Result<()> {
    process::eventually("the message is in the list", Duration::from_secs(60), || async {
        Ok(window.has("[data-testid=\"message-row\"][data-state=\"new\"]").await?.then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_missed_call_of_the_provider_is_answered_by_the_app_and_calls_go_out_over_it() -> Result<()> {
    let world = World::new().await?;
    let window = world.open(&[]).await?;
    sign_in(&window, &world.asterisk.sip.to_string(), PASSWORD).await?;
    connected(&window).await?;
    world.asterisk.says("pjsip show contacts", "sip:t-", PATIENCE).await?;

    world.asterisk.cli(&format!("channel originate PJSIP/{ACCOUNT} extension 800@internal")).await?;
    window.find("ringing").await?;
    row(&window).await?;

    window.click("nav-calls").await?;
    window.type_into("dial-number", "030600").await?;
    window.click("dial").await?;
    window.find_css("[data-testid=\"call\"][data-state=\"connected\"]").await?;
    world.asterisk.says("core show channels concise", "030600", PATIENCE).await?;
    window.click("hang-up").await?;
    world.asterisk.says("core show channels count", "0 active channels", PATIENCE).await?;

    window.click("nav-settings").await?;
    window.find_css(&format!("[data-testid=\"provider\"][data-user=\"{ACCOUNT}\"]")).await?;
    // This desktop has no tray, then it has one.
    window.find("no-tray").await?;
    let tray = Tray::own(world.desktop.bus()?).await?;
    process::eventually("the icon is in the tray", PATIENCE, || async {
        Ok((tray.icons() > 0 && !window.has("[data-testid=\"no-tray\"]").await?).then_some(()))
    })
    .await?;
    world.start_again("aftertone://invite?server=https%3A%2F%2Fphone.example.com&token=T").await?;
    window.find_css("[data-testid=\"toast\"][data-about=\"failed\"]").await?;
    world.start_again("--quit").await?;
    process::eventually("the registration is taken back", PATIENCE, || async {
        Ok((!world.asterisk.cli("pjsip show contacts").await?.contains("sip:t-")).then_some(()))
    })
    .await?;
    drop(window);

    // The next start, by a link to a number, serves the account again, with what is in it.
    let window = world.open(&["tel:030-600"]).await?;
    connected(&window).await?;
    let number = window.find("dial-number").await?.prop("value").await?;
    ensure!(number.as_deref() == Some("030-600"), "{number:?}");
    window.click("nav-mailbox").await?;
    row(&window).await?;
    world.asterisk.says("pjsip show contacts", "sip:t-", PATIENCE).await?;
    let own = world.desktop.folder().join("me").join("own");
    ensure!(own.join("aftertone.db").is_file());
    window.click("nav-settings").await?;
    window.click("sign-out").await?;
    window.click("sign-out-confirm").await?;
    window.find("sign-in").await?;
    ensure!(!own.exists(), "the account is forgotten with what it held");
    window.close().await?;
    world.asterisk.stop().await
}

/// Each step that fails at the provider has words of its own, and what was typed can be mended.
#[tokio::test]
async fn what_fails_at_the_provider_is_named() -> Result<()> {
    let world = World::new().await?;
    let window = world.open(&[]).await?;
    window.click("with-own").await?;
    let closed = process::free_port()?;
    let (udp, tls) = (world.asterisk.sip, world.asterisk.sip_tls);
    for (server, password, code) in [
        ("nowhere.invalid".to_owned(), PASSWORD, "provider_dns"),
        (format!("sip:127.0.0.1:{closed};transport=tcp"), PASSWORD, "provider_connect"),
        (format!("sip:{tls};transport=tls"), PASSWORD, "provider_tls"),
        (udp.to_string(), "something else", "provider_credentials"),
    ] {
        submit(&window, &server, password).await?;
        window.find_css(&format!("[data-code=\"{code}\"]")).await?;
    }
    submit(&window, &udp.to_string(), PASSWORD).await?;
    connected(&window).await
}
