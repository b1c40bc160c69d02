//! Checking, listing and compacting a running server; what `/health` says of damage.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_checks_lists_and_compacts_a_running_server_and_health_names_damage() {
    let server = Server::with(HttpSettings::default()).await;
    for i in 0..3 {
        server.write(&format!("m,host=a v={i} {i}\nm,host=b v={i} {i}")).await.says(204, "");
        server.app.engine.storage().flush().await.expect("flushed");
    }
    let all_access =
        json!({ "orgID": server.org_id, "permissions": [{ "action": "read", "resource": { "type": "buckets", "orgID": server.org_id } }] });
    let token = server.post("/api/v2/authorizations", all_access).await.json()["token"].as_str().expect("a token").to_string();
    for what in ["POST /api/v2/tidegauge/verify", "GET /api/v2/tidegauge/inspect", "POST /api/v2/tidegauge/compact"] {
        server.send(what, &[("authorization", "")], "").await.says(401, "unauthorized access");
        server.send(what, &[("authorization", &format!("Token {token}"))], "").await.says(401, "this needs an operator token");
    }
    let report = server.post("/api/v2/tidegauge/verify", Value::Null).await.json();
    assert_eq!((&report["checked"]["parquet"]["files"], &report["checked"]["parquet"]["entries"]), (&json!(3), &json!(6)));
    assert!(report["findings"].as_array().expect("findings").iter().all(|f| f["verdict"] == "note"), "{report}");
    let listed = server.get("/api/v2/tidegauge/inspect").await.json();
    let m = &listed["buckets"][0]["measurements"][0];
    assert_eq!((&listed["buckets"][0]["name"], &m["files"], &m["rows"], &m["series"]), (&json!("gpu"), &json!(3), &json!(6), &json!(2)));
    assert_eq!(m["partitions"][0]["files"], 3);
    server.get("/api/v2/tidegauge/inspect?series=maybe").await.says(400, "series is true or false");
    let done = server.post("/api/v2/tidegauge/compact", Value::Null).await.json();
    assert_eq!((&done["compactions"], &done["compaction_files_in"], &done["files"]), (&json!(1), &json!(3), &json!(1)), "{done}");
    assert_eq!(server.get("/health").await.json()["status"], "pass");

    let files = server.app.engine.storage().files();
    let path = files.buckets().into_iter().find_map(|b| files.version(b)).expect("a version").files[0].path.clone();
    let file = server._folder.path().join("store").join(&path);
    let mut bytes = std::fs::read(&file).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let report = server.post("/api/v2/tidegauge/verify", Value::Null).await.json();
    let damaged: Vec<&Value> = report["findings"].as_array().expect("findings").iter().filter(|f| f["verdict"] == "damaged").collect();
    assert_eq!((damaged.len(), &damaged[0]["file"]), (1, &json!(path)), "{report}");
    let got = server.get("/health").await;
    let health = got.json();
    assert_eq!((got.status, &health["status"]), (StatusCode::OK, &json!("warn")), "{health}");
    assert!(health["checks"][0]["message"].as_str().expect("a message").contains(&path), "{health}");
    assert!(server.get("/metrics").await.text.contains("tidegauge_damaged_files 1\n"));
}
