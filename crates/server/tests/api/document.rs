use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

const EXPECTED: [(&str, &[&str]); 29] = [
    ("/sip", &["get"]),
    ("/v1/calling", &["get", "put"]),
    ("/v1/call-records", &["get"]),
    ("/v1/call-records/{call}/figures", &["put"]),
    ("/v1/changes", &["get"]),
    ("/v1/devices", &["get"]),
    ("/v1/devices/{id}", &["delete"]),
    ("/v1/directory", &["get"]),
    ("/v1/doorbell", &["get"]),
    ("/v1/greetings", &["get"]),
    ("/v1/greetings/{id}", &["delete", "put"]),
    ("/v1/greetings/{id}/audio", &["get", "head", "put"]),
    ("/v1/health", &["get"]),
    ("/v1/me", &["get", "put"]),
    ("/v1/me/account-greeting", &["get"]),
    ("/v1/me/mailbox", &["get"]),
    ("/v1/me/phone-menu", &["get", "put"]),
    ("/v1/me/pin", &["delete", "put"]),
    ("/v1/me/test-call", &["get", "post"]),
    ("/v1/me/test-call/greeting", &["get"]),
    ("/v1/messages", &["get"]),
    ("/v1/messages/{id}", &["get"]),
    ("/v1/messages/{id}/actions", &["post"]),
    ("/v1/messages/{id}/audio", &["get", "head"]),
    ("/v1/messages/{id}/forward", &["post"]),
    ("/v1/openapi.json", &["get"]),
    ("/v1/plan", &["get", "put"]),
    ("/v1/sign-in", &["post"]),
    ("/v1/turn", &["get"]),
];

#[tokio::test]
async fn the_api_describes_itself() {
    let world = World::start().await;
    let response = world.http.get(format!("{}/v1/openapi.json", world.base)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), EXPECTED.iter().map(|(path, _)| *path).collect());
    for (path, methods) in EXPECTED {
        let operations = paths[path].as_object().unwrap();
        assert_eq!(operations.keys().map(String::as_str).collect::<BTreeSet<_>>(), methods.iter().copied().collect(), "{path}");
        for (method, operation) in operations {
            check_operation(&format!("{method} {path}"), operation);
        }
    }
    check_references(&document, &document);
    let names: Vec<_> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|one| one["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// Who needs a token says what happens without one, and every error is a problem.
fn check_operation(name: &str, operation: &Value) {
    let open = operation["security"].as_array().is_some_and(|all| all.iter().all(|one| one == &serde_json::json!({})));
    let responses = operation["responses"].as_object().unwrap();
    assert!(open || responses.contains_key("401"), "{name}");
    for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
        let is_health = name.ends_with("/v1/health");
        assert!(is_health || response["content"]["application/problem+json"].is_object(), "{name} {status}: {response}");
        assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status}");
    }
}

fn check_references(node: &Value, document: &Value) {
    match node {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| check_references(member, document));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
