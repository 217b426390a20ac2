//! Other people's exchanges and phones, in every transport.

use aftertone_tests::peers::{
    asterisk::{self, Asterisk},
    capture::Capture,
    kamailio::Kamailio,
};
use anyhow::{Result, ensure};

#[tokio::test]
async fn the_outside_exchanges_start_and_end() -> Result<()> {
    let capture = Capture::start("outside-exchanges-start", "udp").await?;
    let asterisk = Asterisk::start(&asterisk::Setup::default()).await?;
    let version = asterisk.cli("core show version").await?;
    ensure!(version.contains("Asterisk 22"), "{version}");
    let kamailio = Kamailio::in_front_of(asterisk.sip, "udp").await?;
    drop(kamailio);
    asterisk.stop().await?;
    capture.passed();
    Ok(())
}
