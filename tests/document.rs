//! The API keeps to its OpenAPI document, whatever it is asked.

#![expect(clippy::print_stdout, reason = "what was asked is worth seeing")]

use std::{path::PathBuf, time::Duration};

use aftertone_tests::{
    hosted::{self, ALICE, Api, BOB, Hosted},
    peers,
    process::{self, PATIENCE},
    sipp,
    sound::Sound,
};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;

const GREETING: &str = "0198b4c2-7b8e-7a53-9c3e-5d1f2a3b4c5d";
/// No error of the server, and nothing that the document doesn't say: status, type, headers and body.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";

fn schemathesis() -> Result<PathBuf> {
    let program = peers::cached("schemathesis/bin/schemathesis")?;
    ensure!(program.exists(), "{} is not there: cargo xtask setup installs it", program.display());
    Ok(program)
}

/// A mailbox with a message and a greeting: what is asked for by these ids is there.
async fn furnished(hosted: &Hosted) -> Result<(Api, String)> {
    let api = hosted.sign_in(ALICE.name).await?;
    let words = Sound::silence(2.5).then(&aftertone_tests::sound::reply()?).then(&Sound::silence(2.0));
    let pauses = [Duration::from_millis(800), Duration::from_secs(6)];
    sipp::leave(hosted.sip_udp, "1001", &words, sipp::Keys::Info('#', &pauses)).await?;
    let message = api.wait_for_messages(1, PATIENCE).await?.remove(0);
    let greeting = json!({"kind": "greeting", "title": "Usual", "language": "en", "text": "", "expires_at": null});
    api.send(Method::PUT, &format!("greetings/{GREETING}"), Some(&greeting)).await?.error_for_status()?;
    Ok((api, message["id"].as_str().context("no id")?.to_owned()))
}

/// Ids that exist; without them every answer would be that there is no such thing.
fn settings(message: &str, token: &str) -> String {
    let operation =
        |path: &str, id: &str| format!("[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ id = \"{id}\" }}\n");
    let messages = ["", "/audio", "/actions", "/forward"].map(|rest| operation(&format!("/v1/messages/{{id}}{rest}"), message));
    let greetings = ["", "/audio"].map(|rest| operation(&format!("/v1/greetings/{{id}}{rest}"), GREETING));
    format!("headers = {{ Authorization = \"Bearer {token}\" }}\n{}{}", messages.concat(), greetings.concat())
}

#[tokio::test]
async fn every_answer_is_one_of_the_document() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("account");
    for person in [ALICE, BOB] {
        hosted::add_person(&data, &person).await?;
    }
    let hosted = Hosted::start(&data, &[]).await?;
    let (api, message) = furnished(&hosted).await?;
    let config = folder.path().join("schemathesis.toml");
    std::fs::write(&config, settings(&message, api.token()))?;
    // The devices last, by themselves: one of them is this one.
    for filter in ["--exclude-path-regex", "--include-path-regex"] {
        let mut run = process::clean_command(schemathesis()?);
        run.current_dir(folder.path()).env("HOME", folder.path()).env("COLUMNS", "160");
        run.arg("--config-file").arg(&config).arg("run").arg(format!("{}/v1/openapi.json", hosted.http));
        run.args([filter, "devices", "--checks", CHECKS, "--seed", "7", "--max-examples", "40", "--no-color"]);
        let asked = run.output().await?;
        let said = String::from_utf8_lossy(&asked.stdout);
        ensure!(asked.status.success(), "{said}\n{}", String::from_utf8_lossy(&asked.stderr));
        println!("{said}");
    }
    hosted.stop().await
}
