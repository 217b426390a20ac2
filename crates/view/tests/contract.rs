//! The TypeScript of the contract, and what its JSON looks like.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use aftertone_model::{CallId, MessageAction, MessageId};
use aftertone_view::{Code, Command, Event, Folder, Window};
use serde_json::json;
use ts_rs::{Config, TS};

/// Writes the files that `ui` imports; a change of the contract shows as a change of the working tree.
#[test]
fn the_typescript_is_written() {
    let folder = Path::new("../../ui/src/host/generated");
    let config = Config::new().with_out_dir(folder);
    Command::export_all(&config).unwrap();
    Event::export_all(&config).unwrap();
    Code::export_all(&config).unwrap();
    let written = std::fs::read_to_string(folder.join("contract.ts")).unwrap();
    for name in ["Command", "Event", "Code", "MailboxView", "PlaybackView"] {
        assert!(written.contains(&format!("export type {name} =")), "{name} is missing");
    }
}

#[test]
fn commands_are_read_as_the_interface_writes_them() {
    let (call, message) = (CallId::from_random(1), MessageId::from_random(2));
    let check = |json: serde_json::Value, expect: Command| {
        assert_eq!(serde_json::from_value::<Command>(json).unwrap(), expect);
    };
    check(json!({"type": "attach"}), Command::Attach);
    check(json!({"type": "answer", "call": call.to_string()}), Command::Answer { call });
    check(json!({"type": "send_digit", "call": call.to_string(), "digit": "#"}), Command::SendDigit { call, digit: '#' });
    check(
        json!({"type": "open_folder", "folder": "trash", "query": "ada", "offset": 50, "limit": 25}),
        Command::OpenFolder { window: Window { folder: Folder::Trash, query: "ada".into(), offset: 50, limit: 25 } },
    );
    check(
        json!({"type": "act", "messages": [message.to_string()], "action": "delete"}),
        Command::Act { messages: vec![message], action: MessageAction::Delete },
    );
}

#[test]
fn no_log_shows_a_password() {
    let sign_in = Command::SignIn { server: "example.com".into(), user: "ada".into(), password: "hunter2".into() };
    assert!(!format!("{sign_in:?}").contains("hunter2"));
}

#[test]
fn a_code_is_one_word() {
    assert_eq!(serde_json::to_value(Code::WrongCredentials).unwrap(), json!("wrong_credentials"));
}
