//! Other people's exchanges and phones at our server, in every transport.

use std::{net::SocketAddr, time::Duration};

use aftertone_tests::{
    baresip::{Baresip, Setup, Version},
    hosted::{self, ALICE, BOB, Hosted, Phone},
    peers::{capture::Capture, keys::Keys},
    sound::{self, Sound},
};
use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(30);

/// Our server with Alice, who has a phone, and Bob, on every transport.
struct World {
    hosted: Hosted,
    keys: Keys,
    alice: Phone,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        for person in [&ALICE, &BOB] {
            hosted::add_person(&data, person).await?;
        }
        let alice = hosted::add_phone(&data, "alice").await?;
        let keys = Keys::make(folder.path(), "server")?;
        let (cert, key) = (keys.cert.to_string_lossy().into_owned(), keys.key.to_string_lossy().into_owned());
        let ports = ["--sip-udp", "[::]:0", "--sip-tls", "127.0.0.1:0", "--https", "127.0.0.1:0"];
        let hosted = Hosted::start_wary(&data, &[&ports[..], &["--cert", &cert, "--key", &key]].concat()).await?;
        Ok(Self { hosted, keys, alice, folder })
    }

    fn at(&self, transport: &str) -> Result<SocketAddr> {
        let name = match transport {
            "udp" => "sip_udp",
            "tcp" => "sip_tcp",
            "tls" => "sip_tls",
            other => anyhow::bail!("no transport {other}"),
        };
        let mut address: SocketAddr = self.hosted.address(name)?.parse()?;
        address.set_ip("127.0.0.1".parse()?);
        Ok(address)
    }

    /// A phone of Alice's: registered, over one transport.
    async fn baresip(&self, version: Version, transport: &str) -> Result<Baresip> {
        let speech = self.folder.path().join(format!("speech-{transport}.wav"));
        sound::speech()?.repeated(20.0).save(&speech)?;
        let account =
            self.alice.account(&ALICE, self.at(transport)?, "").replace("transport=udp", &format!("transport={transport}"));
        let setup = Setup { account, speech, rate: sound::RATE };
        let mut baresip = Baresip::start_version(&setup, version, Some(&self.keys.cert)).await?;
        baresip.registered().await?;
        Ok(baresip)
    }
}

/// Both versions, in the transports that they have, one after the other: each is called and answers, and calls.
#[tokio::test]
async fn baresips_of_both_versions_call_each_other_over_every_transport() -> Result<()> {
    let world = World::new().await?;
    let capture = Capture::start("baresip-every-transport", "").await?;
    for (version, transport) in
        [(Version::System, "tls"), (Version::Newer, "udp"), (Version::Newer, "tcp"), (Version::Newer, "tls")]
    {
        let mut phone = world.baresip(version, transport).await.with_context(|| format!("{version:?} over {transport}"))?;
        phone.command(&format!("dial sip:{}@{}", BOB.extension, hosted::DOMAIN)).await?;
        phone.happening("CALL_ESTABLISHED", PATIENCE).await?;
        phone.hears(0.5, PATIENCE).await?;
        phone.command("hangup").await?;
        phone.happening("CALL_CLOSED", PATIENCE).await?;
    }
    capture.passed();
    Ok(())
}

/// A certificate that the phone doesn't trust is none: nothing is sent over it.
#[tokio::test]
async fn a_phone_refuses_a_certificate_of_somebody_elses() -> Result<()> {
    let world = World::new().await?;
    let other = Keys::make(world.folder.path(), "other")?;
    let account = world.alice.account(&ALICE, world.at("tls")?, "").replace("transport=udp", "transport=tls");
    let speech = world.folder.path().join("speech.wav");
    Sound::silence(1.0).save(&speech)?;
    let setup = Setup { account, speech, rate: sound::RATE };
    let mut baresip = Baresip::start_version(&setup, Version::Newer, Some(&other.cert)).await?;
    let told = baresip.one_of(&["REGISTER_OK", "REGISTER_FAIL"], PATIENCE).await?;
    ensure!(told.kind == "REGISTER_FAIL", "{told:?}");
    Ok(())
}
