//! A mailbox of 50,000 messages in the real window: opening it, searching it, scrolling through it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::app::{Desk, caller_name, percentile, rounded};

const MESSAGES: u64 = 50_000;
const SEARCHES: u64 = 40;

/// Both ends when a frame with what was wanted has been handed to the screen; times are the page's own.
const TOOLS: &str = r#"
    const find = (id) => document.querySelector(`[data-testid="${id}"]`);
    const first = () => find("message-row")?.textContent ?? "";
    const painted = async (seen) => {
        const begun = performance.now();
        while (!seen()) {
            if (performance.now() - begun > 30000) throw new Error("it did not come");
            await new Promise((done) => requestAnimationFrame(done));
        }
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        return performance.now();
    };
"#;

const OPEN: &str = r#"
    find("folder-saved").click();
    await painted(() => first().includes(wanted[1]));
    const begun = performance.now();
    find("folder-all").click();
    return (await painted(() => first().includes(wanted[0]))) - begun;
"#;

const SEARCH: &str = r#"
    const field = find("search");
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    const begun = performance.now();
    set.call(field, wanted[0]);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    return (await painted(() => first().includes(wanted[1]))) - begun;
"#;

/// As fast as a wheel that is spun: a screen's height every tenth of a second, and a jump to the middle in between.
const SCROLL: &str = r#"
    const list = find("message-row").closest("[role=listbox]");
    const frames = [];
    const end = performance.now() + 12000;
    list.scrollTop = 0;
    let last = await new Promise((done) => requestAnimationFrame(done));
    let jumped = false;
    while (last < end) {
        if (!jumped && end - last < 6000) {
            list.scrollTop = list.scrollHeight / 2;
            jumped = true;
        }
        list.scrollTop += 100;
        const now = await new Promise((done) => requestAnimationFrame(done));
        frames.push(now - last);
        last = now;
    }
    return { longest: Math.max(...frames), count: frames.length, blank: list.querySelectorAll("[aria-busy]").length };
"#;

pub(crate) async fn run(_arguments: &[String]) -> Result<Value> {
    crate::say(&format!("making a mailbox of {MESSAGES} messages"));
    let desk = Desk::with_messages(MESSAGES).await?;
    let window = desk.open().await?;
    window.find("message-row").await?;
    let run = |script: &str, wanted: Value| {
        let script = format!("{TOOLS}{script}");
        let window = &window;
        async move { window.run(&script, wanted).await }
    };
    let number = |value: Value| value.as_f64().context("no number");
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(number(run(OPEN, json!([caller_name(1), caller_name(45)])).await?)?);
    }
    crate::say(&format!("opened in {opened:.0?} ms"));
    let mut searches = Vec::new();
    for nth in 0..SEARCHES {
        let wanted = nth * (MESSAGES / SEARCHES) + 77;
        searches.push(number(run(SEARCH, json!([format!("{wanted:05}"), caller_name(wanted)])).await?)?);
    }
    run(SEARCH, json!(["", caller_name(1)])).await?;
    crate::say("scrolling");
    let scrolled = run(SCROLL, Value::Null).await?;
    crate::say(&format!("{scrolled}"));
    ensure!(scrolled["count"].as_u64().is_some_and(|count| count > 60), "it did not scroll");
    window.close().await?;
    desk.hosted.stop().await?;
    Ok(json!({
        "open_ms": rounded(percentile(&opened, 50)),
        "search_p95_ms": rounded(percentile(&searches, 95)),
        "longest_frame_ms": rounded(number(scrolled["longest"].clone())?),
    }))
}
