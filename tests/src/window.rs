//! The desktop app's real window, driven by WebDriver.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction},
    elements::Element,
    key::Key,
};
use serde_json::{Value, json};

use crate::{
    desktop::{Desktop, mark_set_up},
    process::{self, PATIENCE, Running},
};

/// What WebKit's driver says of an element that has gone.
const NOT_THERE: &str = "Could not parse element info";

/// A running app with its window.
#[derive(Debug)]
pub struct Window {
    client: Client,
    _driver: Running,
}

impl Window {
    /// Starts the app on `desktop` with these arguments and takes hold of its window, past the set-up unless the profile says
    /// otherwise.
    ///
    /// # Errors
    /// Where the app or the driver doesn't come up.
    pub async fn open(desktop: &Desktop, arguments: &[&str], log: &Path) -> Result<Self> {
        if let Some(at) = arguments.iter().position(|argument| *argument == "--profile") {
            mark_set_up(Path::new(arguments.get(at + 1).context("no profile")?))?;
        }
        let port = process::free_port()?;
        let mut command = desktop.command("WebKitWebDriver".as_ref());
        command.env("TAURI_AUTOMATION", "true").env("TAURI_WEBVIEW_AUTOMATION", "true");
        command.arg(format!("--port={port}")).arg("--host=127.0.0.1");
        let driver = process::start(&mut command, log)?;
        let options = json!({"binary": process::built("aftertone")?, "args": arguments});
        // The tests wait for what they need to see. The driver would wait at each link within the page for a load that may never be.
        let capabilities = json!({"webkitgtk:browserOptions": options, "pageLoadStrategy": "none"});
        let capabilities = capabilities.as_object().cloned().context("not an object")?;
        let url = format!("http://127.0.0.1:{port}");
        process::eventually("WebKitWebDriver listens", PATIENCE, || async {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        })
        .await?;
        let client = ClientBuilder::new(hyper_util_connector()).capabilities(capabilities).connect(&url).await;
        let client = client.with_context(|| format!("starting the app; its words are in {}", log.display()))?;
        process::eventually("the page is loaded", PATIENCE, || async {
            // What is asked while it takes the place of the empty one is cut off.
            let state = client.execute("return location.protocol + document.readyState", Vec::new()).await;
            Ok(state.is_ok_and(|state| state == "tauri:complete").then_some(()))
        })
        .await?;
        Ok(Self { client, _driver: driver })
    }

    /// The first element with that `data-testid`, as soon as it is there.
    ///
    /// # Errors
    /// Where it doesn't come.
    pub async fn find(&self, test_id: &str) -> Result<Element> {
        self.find_css(&format!("[data-testid=\"{test_id}\"]")).await
    }

    /// The first element that matches, as soon as it is there.
    ///
    /// # Errors
    /// Where it doesn't come.
    pub async fn find_css(&self, css: &str) -> Result<Element> {
        process::eventually(&format!("{css} is in the window"), PATIENCE, || async {
            match self.client.find(Locator::Css(css)).await {
                Ok(found) => Ok(Some(found)),
                Err(error) if error.is_no_such_element() || error.is_stale_element_reference() => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Clicks on the element with that `data-testid`.
    ///
    /// # Errors
    /// Where it doesn't come or can't be clicked.
    pub async fn click(&self, test_id: &str) -> Result<()> {
        process::eventually(&format!("{test_id} is clicked"), PATIENCE, || async {
            match self.find(test_id).await?.click().await {
                Ok(()) => Ok(Some(())),
                // What the page has drawn anew meanwhile was not clicked; the driver has two ways to say so.
                Err(error) if error.is_stale_element_reference() || error.to_string().contains(NOT_THERE) => Ok(None),
                Err(error) => Err(error).with_context(|| format!("clicking {test_id}")),
            }
        })
        .await
    }

    /// Types into the element with that `data-testid`.
    ///
    /// # Errors
    /// Where it doesn't come or takes no text.
    pub async fn type_into(&self, test_id: &str, text: &str) -> Result<()> {
        let element = self.find(test_id).await?;
        element.send_keys(text).await.with_context(|| format!("typing into {test_id}"))
    }

    /// Presses keys one after another, wherever the focus is.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn press(&self, keys: &[char]) -> Result<()> {
        for &value in keys {
            let actions = KeyActions::new("keyboard".into()).then(KeyAction::Down { value }).then(KeyAction::Up { value });
            self.client.perform_actions(actions).await?;
        }
        Ok(())
    }

    /// Presses a key while `with` is held down.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn press_with(&self, with: Key, value: char) -> Result<()> {
        let with = with.into();
        let actions = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value: with })
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value })
            .then(KeyAction::Up { value: with });
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Holds the mouse down on the element with that `data-testid`, until [`release`](Self::release).
    ///
    /// # Errors
    /// Where it doesn't come.
    pub async fn hold(&self, test_id: &str) -> Result<()> {
        let element = self.find(test_id).await?;
        let actions = MouseActions::new("mouse".into())
            .then(PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Lets the mouse go.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn release(&self) -> Result<()> {
        Ok(self.client.release_actions().await?)
    }

    /// Chooses the option whose text holds `part`, in the selection with that `data-testid`.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn choose(&self, test_id: &str, part: &str) -> Result<()> {
        let css = format!("[data-testid=\"{test_id}\"] option");
        let option = process::eventually(&format!("{test_id} offers {part}"), PATIENCE, || async {
            for option in self.client.find_all(Locator::Css(&css)).await? {
                if option.prop("textContent").await?.is_some_and(|text| text.contains(part)) {
                    return Ok(Some(option));
                }
            }
            Ok(None)
        })
        .await?;
        option.click().await.with_context(|| format!("choosing {part}"))
    }

    /// The text of the element with that `data-testid`.
    ///
    /// # Errors
    /// Where it doesn't come.
    pub async fn text(&self, test_id: &str) -> Result<String> {
        Ok(self.find(test_id).await?.text().await?)
    }

    /// Waits until these words are to be read in the element with that `data-testid`: what has just come may not be painted yet.
    ///
    /// # Errors
    /// Where they don't come.
    pub async fn reads(&self, test_id: &str, words: &str) -> Result<()> {
        process::eventually(&format!("{test_id} reads {words}"), PATIENCE, || async {
            Ok(self.text(test_id).await?.contains(words).then_some(()))
        })
        .await
    }

    /// Waits until something matches, longer than [`Window::find_css`] does.
    ///
    /// # Errors
    /// Where it doesn't come.
    pub async fn wait_for(&self, css: &str) -> Result<()> {
        process::eventually(&format!("{css} is there"), PATIENCE * 2, || async { Ok(self.has(css).await?.then_some(())) }).await
    }

    /// Waits until nothing matches.
    ///
    /// # Errors
    /// Where something stays.
    pub async fn wait_until_gone(&self, css: &str) -> Result<()> {
        process::eventually(&format!("{css} is gone"), PATIENCE * 2, || async { Ok((!self.has(css).await?).then_some(())) }).await
    }

    /// Whether an element matches now.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn has(&self, css: &str) -> Result<bool> {
        match self.client.find_all(Locator::Css(css)).await {
            Ok(found) => Ok(!found.is_empty()),
            // The driver says so of what the page took away while the driver looked.
            Err(error) if error.is_stale_element_reference() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the body of an asynchronous function in the page, which finds `argument` under the name `wanted`; its result.
    ///
    /// # Errors
    /// Where it throws, or the window is gone.
    pub async fn run(&self, script: &str, argument: Value) -> Result<Value> {
        let script = format!(
            "const [wanted, done] = arguments; (async () => {{ {script} }})()\
             .then((value) => done({{ value: value ?? null }}), (error) => done({{ error: String(error) }}));"
        );
        let mut answer = self.client.execute_async(&script, vec![argument]).await?;
        ensure!(answer["error"].is_null(), "the page: {}", answer["error"]);
        Ok(answer["value"].take())
    }

    /// Everything with that `data-testid`, now.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn all(&self, test_id: &str) -> Result<Vec<Element>> {
        Ok(self.client.find_all(Locator::Css(&format!("[data-testid=\"{test_id}\"]"))).await?)
    }

    /// A picture of the window, as PNG.
    ///
    /// # Errors
    /// Where the window is gone.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        Ok(self.client.screenshot().await?)
    }

    /// Ends the app.
    ///
    /// # Errors
    /// Where the driver is gone.
    pub async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}

fn hyper_util_connector() -> hyper_util::client::legacy::connect::HttpConnector {
    hyper_util::client::legacy::connect::HttpConnector::new()
}
