//! The one window. It is destroyed when it is closed, so that a hidden app costs little, and built again when needed.

use tauri::{AppHandle, Emitter, Manager, WebviewUrl, WebviewWindowBuilder};

const LABEL: &str = "main";

/// Shows the window, and makes it where there is none. Whether it was there.
pub(crate) fn show(app: &AppHandle) -> bool {
    if let Some(window) = app.get_webview_window(LABEL) {
        let shown = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus());
        if let Err(error) = shown {
            tracing::warn!(%error, "the window can't be shown");
        }
        return true;
    }
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Aftertone")
        .inner_size(1200.0, 760.0)
        .min_inner_size(380.0, 480.0);
    if let Err(error) = window.build() {
        tracing::error!(%error, "the window can't be made");
    }
    false
}

/// Tells the window, if there is one.
pub(crate) fn tell(app: &AppHandle, event: &aftertone_view::Event) {
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
