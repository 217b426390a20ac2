//! The desktop app, as a program.

// On Windows a release build is a program without a console.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    aftertone_desktop::main()
}
