//! The desktop shell: one window, the tray, notifications, and the sound devices around a headless phone.
//!
//! One loop ([`shell`]) owns the state; the window sends it commands and gets whole view models back. What a call is,
//! what a message is and how they stay in step with the account is `client`'s business; what they look like is `ui`'s.

mod arguments;
mod invitation_picture;
mod mailbox;
mod notifications;
mod own;
mod settings;
mod shell;
mod sign_in;
mod sound;
mod tray;
mod window;

use std::process::ExitCode;

use aftertone_client::log_to_stderr;
use aftertone_view::{Code, Command};
use clap::Parser;
use tauri::{Manager, RunEvent, State};
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::Arguments,
    shell::{Input, Inputs},
};

/// Runs the app until it is quit.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,aftertone=info".into());
    log_to_stderr(filter);
    if already_runs(&arguments.instance()) {
        return ExitCode::SUCCESS;
    }
    let single_instance = tauri_plugin_single_instance::Builder::new()
        .dbus_id(arguments.instance())
        .callback(|app, arguments, _folder| called_again(app, &arguments));
    let (name, with_the_session) = arguments.with_the_session();
    let autostart = tauri_plugin_autostart::Builder::new().app_name(name).args(with_the_session);
    let built = tauri::Builder::default()
        .plugin(single_instance.build())
        .plugin(tauri_plugin_dialog::init())
        .plugin(autostart.build())
        .invoke_handler(tauri::generate_handler![perform])
        .setup(move |app| {
            if arguments.quit {
                // Nobody else runs, or the plugin had handed the arguments over and ended this program.
                app.handle().exit(0);
                return Ok(());
            }
            let inputs = shell::start(app.handle(), &arguments)?;
            if !arguments.hidden {
                inputs.send(Input::Show(None));
            }
            if let Some(link) = arguments.link {
                inputs.send(Input::Link(link));
            }
            app.manage(inputs);
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(%error, "the app can't start");
            return ExitCode::FAILURE;
        }
    };
    app.run(|_app, event| {
        // Closing the window leaves the phone running; only quitting (which has a code) ends it.
        if let RunEvent::ExitRequested { code: None, api, .. } = event {
            api.prevent_exit();
        }
    });
    ExitCode::SUCCESS
}

/// Whether the app runs and was told of this start: before the toolkit is up, which takes longer than all the rest of a second
/// start. The names are those of the plugin, which looks once more and answers there.
#[cfg(target_os = "linux")]
fn already_runs(instance: &str) -> bool {
    let name = format!("{instance}.SingleInstance");
    let path = format!("/{}", name.replace('.', "/").replace('-', "_"));
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let folder = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let told = zbus::blocking::Connection::session().and_then(|bus| {
        let what = (arguments, folder);
        bus.call_method(Some(name.as_str()), path.as_str(), Some("org.SingleInstance.DBus"), "ExecuteCallback", &what)
    });
    told.is_ok()
}

/// The plugin does it.
#[cfg(not(target_os = "linux"))]
fn already_runs(_instance: &str) -> bool {
    false
}

/// The one command of the window.
#[tauri::command]
async fn perform(command: Command, inputs: State<'_, Inputs>) -> Result<(), Code> {
    inputs.perform(command).await
}

/// The app was started a second time: show the window, open a link, or quit.
fn called_again(app: &tauri::AppHandle, arguments: &[String]) {
    let Some(inputs) = app.try_state::<Inputs>() else { return };
    let Ok(arguments) = Arguments::try_parse_from(arguments) else { return inputs.send(Input::Show(None)) };
    if arguments.quit {
        inputs.send(Input::Quit);
        return;
    }
    match arguments.link {
        Some(link) => inputs.send(Input::Link(link)),
        None if arguments.hidden => {}
        None => inputs.send(Input::Show(None)),
    }
}
