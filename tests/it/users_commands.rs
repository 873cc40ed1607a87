//! People and consent from the command line.

use serde_json::json;

use crate::program::Place;

fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn users_are_imported_listed_and_what_they_say_is_written_down() {
    let place = Place::new();
    let file = place.file(
        "users.csv",
        "phone_e164;name;consent_state\n+14155550001;Ann;OPT_IN\nnobody;x;\n+14155550002;Bob;\n",
    );
    let first = place.run(&["users", "import", file.to_str().unwrap()]);
    assert_eq!((first.code, first.out.as_str()), (0, ""));
    for part in [
        "users.csv, line 3: phone_e164: Invalid phone number format",
        "3 rows: 2 new users, 0 known; 1 refused",
    ] {
        assert!(first.err.contains(part), "{part}: {}", first.err);
    }
    assert!(place.run(&["users", "import", file.to_str().unwrap()]).err.contains("0 new users, 2 known"));
    let none = place.file("none.json", "[{\"phone_e164\": \"1\"}]");
    assert!(place.run(&["users", "import", none.to_str().unwrap()]).failed(65).contains("no row was taken"));
    let cut = place.file("cut.json", "[{\"phone_e164\": \"+14155550003\"},");
    assert!(place.run(&["users", "import", cut.to_str().unwrap()]).failed(65).contains("cut short"));

    assert!(place.run(&["users", "consent", "+14155550002", "stop"]).err.contains("+14155550002: stop"));
    let refused = place.run(&["users", "consent", "+14155550002", "opt_in"]).failed(65);
    assert!(refused.contains("said STOP"), "{refused}");
    let before = ["--wording", "Text me", "--source", "paper", "--at", "2020-01-01T00:00:00Z"];
    place.run(&[&["users", "consent", "+14155550002", "opt_in"], &before[..]].concat()).failed(65);
    assert!(place.run(&["users", "consent", "555", "stop"]).failed(65).contains("E.164"));
    assert!(place.run(&["users", "consent", "+14155550009", "stop"]).failed(1).contains("not found"));
    let stopped = lines(&place.run(&["users", "list", "--consent", "stop", "--json"]).ok());
    assert_eq!((stopped.len(), &stopped[0]["phone_e164"]), (1, &json!("+14155550002")));
    let all = place.run(&["users", "list"]).ok();
    assert!(all.contains("+14155550001") && all.contains("{\"name\":\"Ann\"}"), "{all}");
}

#[test]
fn an_export_of_the_ledger_shows_where_it_was_touched() {
    let place = Place::new();
    let file = place.file("users.csv", "phone_e164,consent_state\n+14155550001,OPT_IN\n+14155550002,STOP\n");
    place.run(&["users", "import", file.to_str().unwrap()]);
    place.run(&["users", "consent", "+14155550001", "opt_out"]);
    place.run(&["suppress", "add", "ann@example.com"]);
    let export = place.run(&["consents", "export"]).ok();
    assert_eq!(export.lines().count(), 4 + 2 + 1 + 1);
    assert!(!export.contains("4155550001") && !export.contains("ann@"), "hashes, no addresses");
    let verify = |text: &str| {
        let file = place.file("export.jsonl", text);
        place.run(&["consents", "verify", file.to_str().unwrap()])
    };
    assert!(verify(&export).err.contains("7 lines in 5 chains: whole"));
    assert!(place.run(&["consents", "verify"]).err.contains("7 lines in 5 chains: whole"));

    let second = export.lines().position(|line| line.contains("\"place\":2")).unwrap();
    let without = |n: usize| -> String {
        export.lines().enumerate().filter(|(i, _)| *i != n).map(|(_, line)| format!("{line}\n")).collect()
    };
    let changed = export.replacen("\"opt_out\"", "\"opt_in\"", 1);
    assert!(verify(&changed).failed(65).contains("it was changed"));
    assert!(verify(&without(second - 1)).failed(65).contains("line 1 is missing before it"));
    assert!(verify(&without(second)).failed(65).contains("its lines come to"));
    assert!(verify(&without(7)).failed(65).contains("cut short"));
    assert!(verify(&format!("{export}{{}}\n")).failed(65).contains("something follows"));
    assert!(verify("{\"x\": 1}\n").failed(65).contains("line 1"));
}

/// What an export cannot show, the database knows: a line taken from the end of a chain.
#[tokio::test]
async fn a_line_taken_from_the_end_of_a_chain_is_missed() {
    use crate::support::api::App;
    use sendwright_store::consents;
    for app in App::both().await {
        let body = json!({ "phone_e164": "+14155550001", "consent_state": "OPT_IN" });
        app.call("POST", "/api/v1/users", Some(&body)).await.done();
        app.call("PUT", "/api/v1/users/+14155550001", Some(&json!({ "consent_state": "STOP" }))).await.done();
        let torn = async || {
            let mut tx = app.state.core.store.read().await.unwrap();
            let torn = consents::torn(&mut tx, app.account, 10).await.unwrap();
            tx.rollback().await.unwrap();
            torn.len()
        };
        assert_eq!(torn().await, 0);
        app.run("DELETE FROM consents WHERE channel = 'sms' AND place = 2").await;
        assert_eq!(torn().await, 1);
        app.run("UPDATE consent_states SET place = 1, hash = 'x'").await;
        assert_eq!(torn().await, 2);
        app.run("DELETE FROM consent_states").await;
        assert_eq!(torn().await, 2);
    }
}
