//! The one window. It is destroyed when it is closed, so that a hidden app costs little, and built again when needed.

use aftertone_view::Event;
use tauri::{AppHandle, Emitter, Manager, UserAttentionType, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

const LABEL: &str = "main";

/// Whether the window takes the keyboard when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The person asked for the window.
    Take,
    /// They may be typing somewhere else.
    Leave,
}

/// Shows the window, and makes it where there is none: then its first picture is of `first`. Whether it was there.
pub(crate) fn show(app: &AppHandle, focus: Focus, first: impl FnOnce() -> Vec<Event>) -> bool {
    if let Some(window) = app.get_webview_window(LABEL) {
        let shown = window.unminimize().and_then(|()| window.show()).and_then(|()| match focus {
            Focus::Take => window.set_focus(),
            Focus::Leave => window.request_user_attention(Some(UserAttentionType::Critical)),
        });
        if let Err(error) = shown {
            tracing::warn!(%error, "the window can't be shown");
        }
        return true;
    }
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Aftertone")
        .inner_size(1200.0, 760.0)
        .min_inner_size(380.0, 480.0)
        .focused(focus == Focus::Take)
        .initialization_script(script(&first()))
        // A picture that is dropped is the page's.
        .disable_drag_drop_handler();
    match window.build().inspect(paint_plainly) {
        Ok(window) if focus == Focus::Leave => {
            if let Err(error) = window.request_user_attention(Some(UserAttentionType::Critical)) {
                tracing::debug!(%error, "the window can't ask for attention");
            }
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "the window can't be made"),
    }
    false
}

/// WebKit's accelerated compositing begins with a graphics context, which takes longer than painting a window that is mostly text;
/// without a graphics card it is made by a compiler of shaders.
#[cfg(target_os = "linux")]
fn paint_plainly(window: &WebviewWindow) {
    use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt, WebViewExt};
    // A driver of tests waits for ever for a picture of a window that isn't composited.
    if std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some() {
        return;
    }
    let set = window.with_webview(|webview| {
        if let Some(settings) = webview.inner().settings() {
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
        }
    });
    if let Err(error) = set {
        tracing::debug!(%error, "the window is composited");
    }
}

/// Other systems have a context at hand.
#[cfg(not(target_os = "linux"))]
fn paint_plainly(_window: &WebviewWindow) {}

/// What the page finds when it begins.
fn script(first: &[Event]) -> String {
    serde_json::to_string(first).map(|events| format!("window.aftertone = {events};")).unwrap_or_else(|error| {
        tracing::warn!(%error, "the window has to ask for everything");
        String::new()
    })
}

/// Takes the window off the screen; it ends with the app.
pub(crate) fn hide(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(LABEL)
        && let Err(error) = window.hide()
    {
        tracing::debug!(%error, "the window can't be hidden");
    }
}

/// Tells the window, if there is one.
pub(crate) fn tell(app: &AppHandle, event: &Event) {
    if let Err(error) = app.emit_to(LABEL, "view", event) {
        tracing::warn!(%error, "the window can't be told");
    }
}

/// Sets the number of new messages that the system shows at the app's icon, where it can.
pub(crate) fn badge(app: &AppHandle, new_messages: u32) {
    if let Some(window) = app.get_webview_window(LABEL) {
        let count = (new_messages > 0).then_some(i64::from(new_messages));
        // Desktops without badges say so; there is nothing to do about it.
        let _unsupported = window.set_badge_count(count);
    }
}
