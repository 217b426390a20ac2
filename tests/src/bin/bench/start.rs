//! From starting the app to a mailbox on the screen, and what the app takes while nothing happens; Linphone beside it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aftertone_tests::process::{self, PATIENCE};
use anyhow::Result;
use serde_json::{Value, json};

use crate::app::{Desk, Processes, Screen, Wanted, percentile, rounded};

const MESSAGES: u64 = 1000;
const STARTS: usize = 5;
/// Until a program that was just started or hidden has come to rest.
const REST: Duration = Duration::from_secs(12);
const IDLE: Duration = Duration::from_secs(30);
/// Right of the rail with its sections, where only rows of the mailbox have such dots.
const LIST: usize = 140;
/// Some dots of new messages.
const DOTS: usize = 120;

/// The dot of a new message in the light theme.
fn is_dot([red, green, blue]: [u8; 3]) -> bool {
    red > 215 && (110..190).contains(&green) && blue < 90
}

pub(crate) async fn run(_arguments: &[String]) -> Result<Value> {
    crate::say(&format!("making a mailbox of {MESSAGES} messages"));
    let desk = Desk::with_messages(MESSAGES).await?;
    let screen = Screen::open(desk.desktop.framebuffer())?;
    let empty = screen.look()?;
    let rows = Wanted::Pixels { looks: is_dot, left: LIST, count: DOTS };
    let mut paints = Vec::new();
    for nth in 1..=STARTS {
        let begun = Instant::now();
        let app = desk.start(&[])?;
        let ms = screen.wait_for(&rows, begun, PATIENCE).await?;
        crate::say(&format!("start {nth}: the first rows after {ms:.0} ms"));
        paints.push(ms);
        desk.online(nth + 1).await?;
        desk.quit(app).await?;
        is_empty(&screen, &empty).await?;
    }
    crate::say("resting");
    let app = desk.start(&[])?;
    desk.online(STARTS + 2).await?;
    tokio::time::sleep(REST).await;
    let root = app.id()?;
    let (open_mb, idle_pct) = (Processes::of(root)?.pss_mb()?, idle(&Processes::of(root)?).await);
    desk.close_window().await?;
    tokio::time::sleep(REST).await;
    let hidden_mb = Processes::of(root)?.pss_mb()?;
    let back = back(&desk, &screen, (&rows, &empty)).await?;
    desk.quit(app).await?;
    let peer = linphone(&desk, &screen, &empty).await?;
    Ok(json!({
        "first_paint_ms": rounded(percentile(&paints, 50)),
        "pss_open_mb": rounded(open_mb),
        "pss_hidden_mb": rounded(hidden_mb),
        "back_ms": rounded(back),
        "idle_cpu_pct": (idle_pct * 100.0).round() / 100.0,
        "peer_window_ms": rounded(peer.0),
        "peer_pss_mb": rounded(peer.1),
    }))
}

/// How long the app that runs without its window takes to show it, once it is started again.
async fn back(desk: &Desk, screen: &Screen, (rows, empty): (&Wanted<'_>, &[u8])) -> Result<f64> {
    let window = Wanted::Change { from: empty, count: empty.len() / 4 / 3 };
    let mut took = Vec::new();
    for nth in 1..=STARTS {
        is_empty(screen, empty).await?;
        let begun = Instant::now();
        let mut again = desk.start(&[])?;
        let shown = screen.wait_for(&window, begun, PATIENCE).await?;
        let ms = screen.wait_for(rows, begun, PATIENCE).await?;
        crate::say(&format!("back {nth}: its window after {shown:.0} ms, the first rows after {ms:.0} ms"));
        again.ended(PATIENCE).await?;
        took.push(ms);
        desk.close_window().await?;
    }
    Ok(percentile(&took, 50))
}

/// Per cent of a core.
async fn idle(processes: &Processes) -> f64 {
    let (before, begun) = (processes.cpu_s(), Instant::now());
    tokio::time::sleep(IDLE).await;
    (processes.cpu_s() - before) / begun.elapsed().as_secs_f64() * 100.0
}

/// Linphone on the same desktop, without an account: until a third of the screen is its window, and its memory at rest.
async fn linphone(desk: &Desk, screen: &Screen, empty: &[u8]) -> Result<(f64, f64)> {
    let (mut windows, mut memory) = (Vec::new(), 0.0);
    for nth in 1..=STARTS {
        // The app's window, or the last one of Linphone, may take a moment to go.
        is_empty(screen, empty).await?;
        let window = Wanted::Change { from: empty, count: empty.len() / 4 / 3 };
        let mut command = desk.desktop.command(Path::new("linphone"));
        let begun = Instant::now();
        let peer = process::start(&mut command, &desk.desktop.folder().join("linphone.log"))?;
        let ms = screen.wait_for(&window, begun, PATIENCE).await?;
        crate::say(&format!("Linphone, start {nth}: its window after {ms:.0} ms"));
        windows.push(ms);
        if nth == STARTS {
            tokio::time::sleep(REST).await;
            memory = Processes::of(peer.id()?)?.pss_mb()?;
        }
        peer.kill().await?;
    }
    Ok((percentile(&windows, 50), memory))
}

/// Waits until nothing is left of the last window, which the next one would be taken for.
async fn is_empty(screen: &Screen, empty: &[u8]) -> Result<()> {
    process::eventually("the window is gone", PATIENCE, || async { Ok((screen.look()? == empty).then_some(())) }).await
}
