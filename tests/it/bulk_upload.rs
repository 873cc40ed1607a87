//! S2's bulk upload: a file taken as it comes, each row taken or refused by itself, and the import that it is.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::api::App;
use crate::support::upload::{form, send, upload, upload_cut, upload_once};

fn counts(shown: &Value) -> [i64; 4] {
    ["processed", "created", "updated", "errors"].map(|name| shown[name].as_i64().unwrap())
}

async fn people(app: &App) -> i64 {
    app.number("SELECT COUNT(*) FROM contacts WHERE phone_key IS NOT NULL AND state = 'active'").await
}

fn file(rows: std::ops::Range<i64>) -> String {
    let rows = rows.map(|n| format!("+1415{n:07},Name {n},OPT_IN\n"));
    ["phone_e164,name,consent_state\n".to_owned()].into_iter().chain(rows).collect()
}

/// S2-10, S2-11: the document's own file and answer.
#[tokio::test]
async fn the_documents_file_is_taken_and_answered_as_it_says() {
    for app in App::both().await {
        let sample = "phone_e164,name,city,tier,consent_state\n\
                      +14155551234,John Doe,San Francisco,premium,OPT_IN\n\
                      +14155555678,Jane Smith,Austin,standard,OPT_IN\n";
        let first = upload(&app, sample).await;
        let expected = json!({
            "message": "Bulk upload completed", "processed": 2, "created": 2, "updated": 0, "errors": 0,
            "validation_errors": [],
        });
        assert_eq!((first.code(), first.json()), (200, expected));
        let shown = app.call("GET", "/api/v1/users/+14155551234", None).await.done();
        assert_eq!(
            shown["attributes"],
            json!({ "name": "John Doe", "city": "San Francisco", "tier": "premium" })
        );
        assert_eq!(shown["consent_state"], "OPT_IN");
        // The same file twice.
        assert_eq!(counts(&upload(&app, sample).await.done()), [2, 0, 2, 0]);
        assert_eq!(app.number("SELECT COUNT(*) FROM consents").await, 4, "what was said before is no news");
        let import = first.header("x-import-id");
        let shown = app.call("GET", &format!("/api/v1/imports/{import}"), None).await.done();
        assert_eq!(
            (&shown["state"], &shown["kind"], counts(&shown)),
            (&json!("completed"), &json!("users"), [2, 2, 0, 0])
        );
    }
}

/// ATTACKS 4.6: every refusal with its row and its reason; the others stand.
#[tokio::test]
async fn a_row_that_is_refused_is_named_and_costs_no_other() {
    for app in App::both().await {
        let mut sample = b"Phone E164,Consent State,name,age\r\n\
            +14155550001,OPT_IN,\"Quoted, \"\"Name\"\"\",7\r\n\
            14155550002,OPT_IN,No Plus,7\r\n\
            +14155550003,yes,x,7\r\n\
            +14155550004,OPT_IN\r\n\
            \r\n\
            +14155550005,,=cmd|' /C calc'!A0,7\r\n\
            ,OPT_IN,none,7\r\n"
            .to_vec();
        sample.extend(b"+14155550006,OPT_IN,Latin \xe9,7\r\n+14155550007,OPT_IN,NUL \0,7\r\n");
        let shown = upload(&app, sample).await.done();
        assert_eq!(counts(&shown), [8, 2, 0, 6]);
        let told: Vec<_> = shown["validation_errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| {
                (
                    e["row"].as_i64().unwrap(),
                    e["line"].as_i64().unwrap(),
                    e["field"].as_str().unwrap(),
                    e["error"].as_str().unwrap(),
                )
            })
            .collect();
        let expected = [
            (2, 3, "phone_e164", "invalid_phone"),
            (3, 4, "consent_state", "invalid_consent_state"),
            (4, 5, "row", "columns"),
            (6, 8, "phone_e164", "required"),
            (7, 9, "row", "invalid_encoding"),
            (8, 10, "row", "control_character"),
        ];
        assert_eq!(told, expected);
        assert_eq!(shown["validation_errors"][0]["provided"], "14155550002");
        let first = app.call("GET", "/api/v1/users/+14155550001", None).await.done();
        assert_eq!(first["attributes"], json!({ "name": "Quoted, \"Name\"", "age": "7" }));
        let formula = app.call("GET", "/api/v1/users/+14155550005", None).await.done();
        assert_eq!(
            (&formula["attributes"]["name"], &formula["consent_state"]),
            (&json!("=cmd|' /C calc'!A0"), &Value::Null)
        );
    }
}

/// ATTACKS 4.6: BOM, line ends, delimiters, JSON variants: the same people whatever they are written in.
#[tokio::test]
async fn a_file_is_known_by_what_is_in_it() {
    let app = App::sqlite().await;
    let variants = [
        "\u{feff}phone_e164;city\r\n+14155550001;Rome\r\n+14155550002;Bonn",
        "city\tphone\rRome\t+14155550001\rBonn\t+14155550002\r",
        "\n\nPHONE_E164, city\n+14155550001,Rome\n+14155550002,Bonn\n",
        "[{\"phone_e164\": \"+14155550001\", \"city\": \"Rome\"}, {\"phone_e164\": \"+14155550002\", \"attributes\": {\"city\": \"Bonn\"}}]",
        "\u{feff}{\"phone_e164\": \"+14155550001\", \"city\": \"Rome\"}\n{\"phone_e164\": \"+14155550002\", \"city\": \"Bonn\"}\n",
    ];
    for (n, variant) in variants.into_iter().enumerate() {
        let shown = upload(&app, variant).await.done();
        assert_eq!(counts(&shown), if n == 0 { [2, 2, 0, 0] } else { [2, 0, 2, 0] }, "{variant}");
        let cities = app.text("SELECT MIN(attributes) || MAX(attributes) FROM contacts").await;
        assert_eq!(cities, "{\"city\":\"Bonn\"}{\"city\":\"Rome\"}", "{variant}");
    }
    let typed = "[{\"phone_e164\": \"+14155550001\", \"n\": 7, \"tags\": [1], \"city\": null}, 7, {\"phone_e164\": 1}, {\"a\": 1, \"a\": 2}]";
    let shown = upload(&app, typed).await.done();
    assert_eq!(counts(&shown), [4, 0, 1, 3]);
    let user = app.call("GET", "/api/v1/users/+14155550001", None).await.done();
    assert_eq!(user["attributes"], json!({ "n": 7, "tags": [1] }));
    assert_eq!(shown["validation_errors"][2]["error"], "malformed_json");
}

/// ATTACKS 4.6, A47: a file that cannot be read is refused whole, with a reason.
#[tokio::test]
async fn a_file_that_is_none_is_refused_before_anything() {
    let app = App::sqlite().await;
    let bad: [(&[u8], u16, &str); 8] = [
        (b"", 400, "empty"),
        (b"\xff\xfep\0h\0o\0", 400, "UTF-16"),
        (b"PK\x03\x04xxxx", 400, "spreadsheet"),
        (b"<users/>", 400, "XML"),
        (b"name,city\nx,y\n", 422, "phone_e164"),
        (b"phone_e164,city,City,city\n", 422, "two columns"),
        (b"[{\"phone_e164\": \"+14155550001\"", 400, "cut short"),
        (b"[{\"phone_e164\": \"+14155550001\"} x]", 400, "broken"),
    ];
    for (file, code, word) in bad {
        let refused = upload(&app, file).await;
        assert_eq!(refused.code(), code, "{word}: {refused:?}");
        assert!(refused.text.contains(word), "{word}: {refused:?}");
    }
    assert_eq!(people(&app).await, 0);
    assert_eq!(app.number("SELECT COUNT(*) FROM imports WHERE state = 'failed'").await, 8);
    assert_eq!(
        counts(&upload(&app, "phone_e164,name\n").await.done()),
        [0, 0, 0, 0],
        "a header alone is nobody"
    );
}

/// ATTACKS 4.6: no file, two files, another part, no boundary, another kind, too large.
#[tokio::test]
async fn a_form_that_is_no_upload_is_refused() {
    let app = App::sqlite().await;
    let path = "/api/v1/users/bulk/upload";
    let part = |name: &str, text: &str| {
        format!("------a-boundary\r\nContent-Disposition: form-data; {name}\r\n\r\n{text}\r\n")
    };
    let end = "------a-boundary--\r\n";
    let (one, two) = ("name=\"file\"; filename=\"a.csv\"", "name=\"b\"; filename=\"b.csv\"");
    let users = "phone_e164\n+14155550001\n";
    let forms = [
        (end.to_owned(), "file_missing"),
        (part("name=\"data\"", users) + end, "unknown_part"),
        (part(one, users) + &part(two, users) + end, "two_files"),
        (part(one, users), "broken_body"),
    ];
    for (form, code) in forms {
        let refused = send(&app, form, path, &[]).await;
        assert_eq!((refused.code(), &refused.json()["error"]), (400, &json!(code)), "{refused:?}");
    }
    assert_eq!(people(&app).await, 0);
    for (kind, code) in [("application/json", 415), ("multipart/form-data", 400), ("text/csv", 415)] {
        let request = Request::post(path).header("x-api-key", &app.key).header("content-type", kind);
        assert_eq!(app.send(request.body(Body::from("x")).unwrap()).await.code(), code, "{kind}");
    }
    let long = [("content-length", "999999999999")];
    assert_eq!(send(&app, form(b"phone_e164\n"), path, &long).await.code(), 413);
}

/// ATTACKS 4.6: a file of any length is cut off at its limit, and what was taken before stands.
#[tokio::test]
async fn a_file_over_the_limit_ends_where_it_is() {
    let mut app = App::sqlite().await;
    app.serve(app.state.clone().with_uploads_up_to(60_000));
    let refused = upload(&app, file(0..5_000)).await;
    assert_eq!(refused.code(), 413);
    let taken = people(&app).await;
    assert!(taken > 0 && taken % 1_000 == 0, "whole chunks: {taken}");
    assert_eq!(app.number("SELECT processed FROM imports WHERE state = 'failed'").await, taken);
}

/// ATTACKS 4.6: all or nothing by the thousand; sent again, it goes on where it was.
#[tokio::test]
async fn an_upload_that_was_cut_goes_on_where_it_was() {
    for app in App::both().await {
        let whole = file(0..3_500);
        let cut = upload_cut(&app, whole.as_bytes(), whole.len() * 2 / 3, "users of monday").await;
        assert_eq!((cut.code(), &cut.json()["error"]), (400, &json!("broken_body")));
        assert_eq!(people(&app).await, 2_000);
        let import = app.call("GET", "/api/v1/imports/1", None).await.done();
        assert_eq!((&import["state"], &import["processed"]), (&json!("interrupted"), &json!(2_000)));
        let other = upload_once(&app, file(1..3_500), "users of monday").await;
        assert_eq!((other.code(), people(&app).await), (422, 2_000), "another file is not this one's rest");
        let done = upload_once(&app, &whole, "users of monday").await;
        assert_eq!(counts(&done.done()), [3_500, 3_500, 0, 0]);
        assert_eq!(people(&app).await, 3_500);
        assert_eq!(app.number("SELECT COUNT(*) FROM consents").await, 7_000);
        let again = upload_once(&app, &whole, "users of monday").await;
        assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (done.text.as_str(), "true"));
        assert_eq!(app.number("SELECT COUNT(*) FROM imports").await, 1);
        let by_id = send(&app, form(whole.as_bytes()), "/api/v1/users/bulk/upload?import_id=1", &[]).await;
        assert_eq!(by_id.text, done.text);
        let nobodys = send(&app, form(whole.as_bytes()), "/api/v1/users/bulk/upload?import_id=9", &[]).await;
        assert_eq!(nobodys.code(), 404);
    }
}

/// A process that dies leaves its import as it was; half a minute later the same file goes on.
#[tokio::test]
async fn an_import_that_nobody_moves_on_is_taken_up_again() {
    for app in App::both().await {
        let whole = file(0..1_500);
        upload_cut(&app, whole.as_bytes(), whole.len() - 100, "k").await;
        app.run("UPDATE imports SET state = 'running'").await;
        let busy = upload_once(&app, &whole, "k").await;
        assert_eq!((busy.code(), &busy.json()["error"]), (409, &json!("import_running")));
        app.clock.pass(31_000);
        assert_eq!(counts(&upload_once(&app, &whole, "k").await.done()), [1_500, 1_500, 0, 0]);
        assert_eq!(people(&app).await, 1_500);
    }
}

/// ATTACKS 4.6: duplicates within a file are rows of their own, in their order.
#[tokio::test]
async fn a_number_that_comes_twice_is_changed_by_its_later_row() {
    for app in App::both().await {
        let twice = "phone_e164,city,tier,consent_state\n\
                     +14155550001,Rome,gold,OPT_IN\n+14155550002,Bonn,,OPT_IN\n\
                     +14155550001,Oslo,,STOP\n+14155550001,,,OPT_IN\n";
        let shown = upload(&app, twice).await.done();
        assert_eq!(counts(&shown), [4, 2, 1, 1]);
        assert_eq!(
            (&shown["validation_errors"][0]["row"], &shown["validation_errors"][0]["error"]),
            (&json!(4), &json!("consent_stopped"))
        );
        let user = app.call("GET", "/api/v1/users/+14155550001", None).await.done();
        assert_eq!(
            (&user["attributes"], &user["consent_state"]),
            (&json!({ "city": "Oslo", "tier": "gold" }), &json!("STOP"))
        );
    }
}

/// S2-10: an answer lists a hundred refusals, the import all of them.
#[tokio::test]
async fn every_refused_row_is_kept_with_its_import() {
    for app in App::both().await {
        let rows =
            (0..2_250).map(|n| if n % 10 == 0 { format!("+1415{n:07}\n") } else { format!("bad{n}\n") });
        let whole: String = ["phone_e164\n".to_owned()].into_iter().chain(rows).collect();
        let done = upload(&app, whole).await;
        let shown = done.done();
        assert_eq!(counts(&shown), [2_250, 225, 0, 2_025]);
        assert_eq!(shown["validation_errors"].as_array().unwrap().len(), 100);
        let path = format!("/api/v1/imports/{}/errors", done.header("x-import-id"));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.call("GET", &format!("{path}?per_page=100{cursor}"), None).await.done();
            assert_eq!(page["total"], 2_025);
            seen.extend(page["errors"].as_array().unwrap().iter().map(|e| e["row"].as_i64().unwrap()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, (1..=2_250).filter(|row| row % 10 != 1).collect::<Vec<_>>());
    }
}

/// A43, C-6: an upload finds the lead that somebody is by e-mail, and brings back whom it finds deleted.
#[tokio::test]
async fn an_upload_joins_leads_and_brings_back_the_deleted() {
    for app in App::both().await {
        app.call("POST", "/api/v1/leads", Some(&json!({ "email": "a@example.com" }))).await.done();
        upload(&app, "phone_e164,consent_state\n+14155550002,STOP\n").await.done();
        app.call("DELETE", "/api/v1/users/+14155550002", None).await.done();
        let file = "phone_e164,email,timezone\n+14155550001,A@Example.com,Europe/Rome\n+14155550002,,\n\
                    +14155550003,a@example.com,nowhere\n";
        assert_eq!(counts(&upload(&app, file).await.done()), [3, 3, 0, 0]);
        assert_eq!(app.number("SELECT COUNT(*) FROM contacts").await, 3);
        let lead = app.call("GET", "/api/v1/leads/1", None).await.done();
        assert_eq!((&lead["phone"], &lead["timezone"]), (&json!("+14155550001"), &json!("Europe/Rome")));
        let back = app.call("GET", "/api/v1/users/+14155550002", None).await.done();
        assert_eq!(back["consent_state"], "STOP");
        let other = app.call("GET", "/api/v1/users/+14155550003", None).await.done();
        assert_eq!(other["attributes"], json!({ "email": "a@example.com", "timezone": "nowhere" }));
    }
}
