//! The whole document fuzzed by a public tool (schemathesis) against a running server: no 5xx, and no answer that the
//! document does not have.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::process::{Environment, Process, call, run};

const TOOL: &str = "schemathesis==4.32.5";
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// The tool, in an environment of its own below target/.
fn tool() -> PathBuf {
    let place = PathBuf::from("target/fuzz");
    let program = place.join("bin/schemathesis");
    if !program.is_file() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&place).status();
        assert!(made.is_ok_and(|status| status.success()), "python3 makes no environment at {place:?}");
        let install = ["-m", "pip", "install", "--quiet", TOOL];
        let installed = Command::new(place.join("bin/python")).args(install).status();
        assert!(installed.is_ok_and(|status| status.success()), "{TOOL} cannot be installed");
    }
    program.canonicalize().unwrap()
}

#[tokio::test]
async fn a_fuzzer_finds_no_answer_that_is_not_documented() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3 here, and the fuzzer needs it");
        return;
    }
    let tool = tool();
    let data = tempfile::tempdir().unwrap();
    let environment: Environment = vec![("SENDWRIGHT_DATA", data.path().display().to_string())];
    let new_key = |name| run(&["key", "create", "--name", name, "--tier", "unlimited"], &environment);
    // The first is the one that examples rotate and revoke.
    let (_, key) = (new_key("bait"), new_key("fuzz").trim().to_owned());
    let api = Process::start(&["api", "--bind", "127.0.0.1:0"], &environment);
    for (path, body) in [
        ("/campaigns", json!({ "name": "x", "steps": [{ "step_number": 1, "template": "Hi {{email}}" }] })),
        ("/campaigns/1/leads", json!([{ "email": "a@example.com" }])),
        ("/campaigns/1/test", json!({ "to": "a@example.com" })),
    ] {
        let headers = [("x-api-key", key.as_str())];
        let made =
            call(api.address(), "POST", &format!("/api/v1{path}"), &headers, Some(&body)).await.unwrap();
        assert!(made.0 < 300, "{path}: {}", made.1);
    }
    let url = format!("http://{}/api/v1/openapi.json", api.address());
    // Both at once: a scheme that is left to the fuzzer would be wrong in most requests, which then end at the door.
    let (bearer, named) = (format!("Authorization: Bearer {key}"), format!("X-API-Key: {key}"));
    let arguments =
        ["run", &url, "-H", &bearer, "-H", &named, "--checks", CHECKS, "--max-examples", "5", "--seed", "1"];
    let mut command = Command::new(tool);
    command.args(arguments).args(["--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"]);
    // A stream has no end while its run is under way, a webhook's test waits for a worker that is not here, and the
    // fuzzer writes no e-mail.
    let left_out = "(/runs/.*/events|/webhooks/.*/test|/inbound)$";
    command.args(["--exclude-path-regex", left_out]).current_dir(data.path());
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let last: Vec<&str> = said.lines().rev().take(150).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    assert!(ran.status.success(), "{}", last.join("\n"));
    assert!(!api.log().contains("\"level\":\"ERROR\""), "{}", api.log());
}
