//! The tray: state, count and a menu. Where a desktop has none, starting the app again shows the window.

use aftertone_view::Language;
use tauri::{
    AppHandle, Manager,
    menu::{Menu, MenuItem},
    tray::TrayIconBuilder,
};

use crate::{
    shell::{Input, Inputs},
    window,
};

const ID: &str = "main";

/// Puts the icon into the tray.
pub(crate) fn build(app: &AppHandle) {
    if let Err(error) = try_build(app) {
        tracing::info!(%error, "this desktop has no tray");
    }
}

fn try_build(app: &AppHandle) -> tauri::Result<()> {
    let open = MenuItem::with_id(app, "open", "Aftertone", true, None::<&str>)?;
    let quit = MenuItem::with_id(app, "quit", "Quit · Beenden", true, None::<&str>)?;
    let menu = Menu::with_items(app, &[&open, &quit])?;
    let mut tray = TrayIconBuilder::with_id(ID).menu(&menu).tooltip("Aftertone").on_menu_event(|app, event| {
        if event.id() == "quit" {
            if let Some(inputs) = app.try_state::<Inputs>() {
                inputs.send(Input::Quit);
            }
        } else {
            window::show(app);
        }
    });
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.build(app)?;
    Ok(())
}

/// Says how many messages are new.
pub(crate) fn update(app: &AppHandle, new_messages: u32, language: Language) {
    let Some(tray) = app.tray_by_id(ID) else { return };
    let text = match (new_messages, language) {
        (0, _) => "Aftertone".to_owned(),
        (1, Language::En) => "Aftertone: 1 new message".to_owned(),
        (n, Language::En) => format!("Aftertone: {n} new messages"),
        (1, Language::De) => "Aftertone: 1 neue Nachricht".to_owned(),
        (n, Language::De) => format!("Aftertone: {n} neue Nachrichten"),
    };
    if let Err(error) = tray.set_tooltip(Some(text)) {
        tracing::debug!(%error, "the tray has no tooltip");
    }
}
