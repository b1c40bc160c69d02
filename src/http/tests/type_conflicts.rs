//! Lines that clash with their measurement: what each setting of a bucket makes of them, as the three doors answer and three languages
//! read.

use super::*;

const V2: &str = "POST /api/v2/write?org=lab&bucket=gpu&precision=s";
const V1: &str = "POST /write?db=gpu&precision=s";
const V3: &str = "POST /api/v3/write_lp?db=gpu&precision=second";

async fn set(server: &Server, setting: &str) {
    let path = format!("PATCH /api/v2/buckets/{}", server.bucket_id);
    let changed = server.send(&path, &[], json!({ "typeConflicts": setting }).to_string()).await;
    changed.says(200, &format!("\"typeConflicts\":\"{setting}\""));
}

async fn sql(server: &Server, text: &str) -> Value {
    server.post("/api/v3/query_sql", json!({ "db": "gpu", "q": text })).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_says_what_becomes_of_lines_that_clash() {
    let server = Server::new().await;
    let bucket = format!("/api/v2/buckets/{}", server.bucket_id);
    server.get(&bucket).await.says(200, "\"typeConflicts\":\"reject\"");
    let refused = "type conflicts are to reject, coerce or quarantine, not to `float`";
    let new = |setting: &str| json!({ "orgID": server.org_id, "name": "x", "typeConflicts": setting });
    server.post("/api/v2/buckets", new("float")).await.says(400, refused);
    server.send(&format!("PATCH {bucket}"), &[], json!({ "typeConflicts": "float" }).to_string()).await.says(400, refused);
    server.post("/api/v2/buckets", new("coerce")).await.says(201, "\"typeConflicts\":\"coerce\"");
    set(&server, "quarantine").await;
    // What is not named stays.
    let described = server.send(&format!("PATCH {bucket}"), &[], json!({ "duplicates": "max" }).to_string()).await;
    described.says(200, "\"typeConflicts\":\"quarantine\"");
    server.get("/api/v2/buckets?name=x").await.says(200, "\"typeConflicts\":\"coerce\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partial_write_names_its_lines_beside_the_words_that_clients_match() {
    let server = Server::new().await;
    server.write("m,host=a v=1 1000000000").await.says(204, "");
    let body = "m,host=a v=2 2\nm,host=b v=\"x\" 3\n\nm,host=c v=4i 4\nm,host=d v=5 5";
    let (string, integer) = (
        "field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float",
        "field type conflict: input field \"v\" on measurement \"m\" is type integer, already exists as type float",
    );
    let data = json!([
        { "line_number": 2, "error_message": string, "original_line": "m,host=b v=\"x\" 3" },
        { "line_number": 4, "error_message": integer, "original_line": "m,host=c v=4i 4" },
    ]);
    let clash = format!("partial write: {string} dropped=2");
    let v2 = server.send(V2, &[], body).await;
    assert_eq!((v2.status.as_u16(), v2.header("x-platform-error-code")), (422, "unprocessable entity"));
    let message = format!("failure writing points to database: {clash}");
    let expected = json!({ "code": "unprocessable entity", "message": message, "line": 2, "data": data, "rejectedCount": 2 });
    assert_eq!(v2.json(), expected);
    let v1 = server.send(V1, &[], body).await;
    assert_eq!((v1.status.as_u16(), v1.header("x-influxdb-error")), (400, clash.as_str()));
    assert_eq!(v1.json(), json!({ "error": clash, "code": "invalid", "message": clash, "data": data, "rejectedCount": 2 }));
    let v3 = server.send(V3, &[], body).await;
    assert_eq!(v3.status, 400);
    assert_eq!(v3.json(), json!({ "error": "partial write of line protocol occurred", "data": data, "rejectedCount": 2 }));
    assert_eq!(sql(&server, "SELECT v FROM m ORDER BY v").await, json!([{ "v": 1.0 }, { "v": 2.0 }, { "v": 5.0 }]));

    // All or nothing.
    let whole = server.send(&format!("{V3}&accept_partial=false"), &[], "m,host=a v=9 9\nm,host=b v=\"x\" 3").await;
    let expected = json!({ "error": "line protocol parsing error", "data": data[0], "rejectedCount": 1 });
    assert_eq!((whole.status.as_u16(), &whole.json()["error"]), (400, &expected["error"]));
    assert_eq!(whole.json()["data"]["line_number"], 2);
    assert_eq!(sql(&server, "SELECT v FROM m WHERE v = 9").await, json!([]), "nothing is stored");

    // A list has its bounds.
    let many: String = (1..=250).map(|n| format!("m v=t {n}\n")).collect();
    let long = format!("m v=\"{}\" 1", "\u{e9}".repeat(600));
    for path in [V1, V2, V3] {
        let got = server.send(path, &[], many.clone()).await.json();
        let named = got["data"].as_array().expect("a list");
        assert_eq!((named.len(), &named[99]["line_number"], &got["rejectedCount"]), (100, &json!(100), &json!(250)), "{path}");
        let got = server.send(path, &[], long.clone()).await.json();
        let shown = got["data"][0]["original_line"].as_str().expect("a text");
        assert!(shown.starts_with("m v=\"\u{e9}") && shown.ends_with("\u{e9}...") && shown.len() <= 1027, "{path}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn integers_become_the_floats_that_the_field_has() {
    let server = Server::new().await;
    set(&server, "coerce").await;
    for (n, path) in [V1, V2, V3].into_iter().enumerate() {
        let body = format!("of{n} v=1.5 1\nof{n} v=2i 2\nof{n} v=3u,w=4i 3");
        let got = server.send(path, &[], body).await;
        assert_eq!((got.status.as_u16(), got.text.as_str()), (204, ""), "{path}");
        assert_eq!(got.header("x-tidegauge-quarantined-lines"), "", "{path}");
        let expected = json!([{ "v": 1.5 }, { "v": 2.0 }, { "v": 3.0, "w": 4 }]);
        assert_eq!(sql(&server, &format!("SELECT v, w FROM of{n} ORDER BY time")).await, expected, "{path}");
        // Not the other way, and nothing else.
        for value in ["w=4.5", "v=t", "v=\"2\""] {
            server.send(path, &[], format!("of{n} {value} 9")).await.says(if path == V2 { 422 } else { 400 }, "field type conflict");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_quarantine_are_answered_with_204_and_read_in_three_languages() {
    let server = Server::new().await;
    set(&server, "quarantine").await;
    for (n, path) in [V1, V2, V3].into_iter().enumerate() {
        let body = format!("m,host=a v=1 1\nm,host=b v=\"{n}\" 2\nm,v=x w=1 3\nm,host=a v=4 4");
        let got = server.send(path, &[], body).await;
        assert_eq!((got.status.as_u16(), got.text.as_str(), got.header("x-tidegauge-quarantined-lines")), (204, "", "2"), "{path}");
    }
    for flushed in [false, true] {
        if flushed {
            server.app.engine.storage().flush().await.expect("flushed");
        }
        let found = sql(&server, "SELECT time, measurement, field, line, line_number, reason FROM _quarantine ORDER BY time, line").await;
        assert_eq!(found.as_array().map(Vec::len), Some(6), "{found}");
        assert_eq!(
            found[1],
            json!({
                "time": "1970-01-01T00:00:02",
                "measurement": "m",
                "field": "v",
                "line": "m,host=b v=\"1\" 2000000000",
                "line_number": 2,
                "reason": "field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float",
            })
        );
        assert_eq!(found[3]["line"], "m,v=x w=1 3000000000");
        let influxql = "/query?db=gpu&epoch=s&q=SELECT+count(line),max(line_number)+FROM+_quarantine+GROUP+BY+%22measurement%22";
        server
            .get(influxql)
            .await
            .says(200, "\"tags\":{\"measurement\":\"m\"},\"columns\":[\"time\",\"count\",\"max\"],\"values\":[[0,6,3]]");
        let flux = r#"from(bucket: "gpu") |> range(start: 0) |> filter(fn: (r) => r._measurement == "_quarantine" and r._field == "line")
            |> group(columns: ["measurement", "field"]) |> count() |> keep(columns: ["measurement", "field", "_value"])"#;
        server.flux(flux).await.says(200, "m,v,6\r\n");
        server.get("/query?db=gpu&q=SELECT+count(v)+FROM+m").await.says(200, "\"values\":[[\"1970-01-01T00:00:00Z\",2]]");
    }

    // What can be kept nowhere is an error; what is kept is told beside it.
    let body = "m v=t 5\nnonsense\nm v=t 6";
    for path in [V1, V2, V3] {
        let got = server.send(path, &[], body).await;
        got.says(400, "partial write");
        assert_eq!(got.header("x-tidegauge-quarantined-lines"), "2", "{path}");
        let list = got.json();
        assert_eq!((&list["data"][0]["line_number"], &list["rejectedCount"], &list["quarantinedCount"]), (&json!(2), &json!(1), &json!(2)));
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{path}");
    }
    let whole = server.send(&format!("{V3}&accept_partial=false"), &[], "m v=5 5\nm v=t 7").await;
    whole.says(400, "line protocol parsing error");
    assert_eq!(whole.header("x-tidegauge-quarantined-lines"), "");
    assert_eq!(sql(&server, "SELECT count(*) AS n FROM _quarantine").await, json!([{ "n": 12 }]));
    assert_eq!(sql(&server, "SELECT count(*) AS n FROM m WHERE v = 5").await, json!([{ "n": 0 }]));
    server.get("/metrics").await.says(200, "tidegauge_quarantined_lines_total 12\n");

    // Its lines can be mended and written again, and let go.
    let mended = sql(&server, "SELECT DISTINCT line FROM _quarantine WHERE field = 'v' AND line LIKE '%\"2\"%'").await;
    let line = mended[0]["line"].as_str().expect("a line").replace("\"2\"", "2");
    server.write(&line).await.says(204, "");
    assert_eq!(sql(&server, "SELECT time FROM m WHERE v = 2").await, json!([{ "time": "1970-01-01T00:00:02" }]));
    let gone =
        json!({ "start": "1970-01-01T00:00:00Z", "stop": "2100-01-01T00:00:00Z", "predicate": "_measurement=_quarantine and field=v" });
    assert_eq!(server.post("/api/v2/delete?org=lab&bucket=gpu", gone).await.header("x-tidegauge-deleted-rows"), "12");

    // So do rows that a query writes.
    let script = r#"import "array"
        array.from(rows: [{_time: 1970-01-01T00:00:09Z, _measurement: "m", _field: "v", _value: "text"}]) |> to(bucket: "gpu")"#;
    server.flux(script).await.says(200, "text");
    assert_eq!(sql(&server, "SELECT line FROM _quarantine").await, json!([{ "line": "m v=\"text\" 9000000000" }]));
    set(&server, "reject").await;
    server.flux(script).await.says(400, "partial write: field type conflict");
    server.write("m v=t 1").await.says(422, "partial write: field type conflict");
}

/// A row that is too old is refused as that, and what is in quarantine is hidden when its time comes.
#[tokio::test(flavor = "multi_thread")]
async fn retention_is_that_of_the_bucket() {
    let server = Server::new().await;
    set(&server, "quarantine").await;
    let now = server.app.engine.now() / 1_000_000_000;
    let body = |age_s: i64| format!("m v=1 {}\nm v=t {}", now - age_s, now - age_s);
    assert_eq!(server.send(V2, &[], body(7_200)).await.header("x-tidegauge-quarantined-lines"), "1");
    assert_eq!(server.send(V2, &[], body(10)).await.header("x-tidegauge-quarantined-lines"), "1");
    let path = format!("PATCH /api/v2/buckets/{}", server.bucket_id);
    let kept = json!({ "retentionRules": [{ "type": "expire", "everySeconds": 3600 }] });
    server.send(&path, &[], kept.to_string()).await.says(200, "3600");
    assert_eq!(sql(&server, "SELECT count(*) AS n FROM _quarantine").await, json!([{ "n": 1 }]));
    let old = server.send(V2, &[], body(7_200)).await;
    old.says(422, "dropped because it violates a Retention Policy Lower Bound");
    assert_eq!((old.header("x-tidegauge-quarantined-lines"), &old.json()["rejectedCount"]), ("", &json!(2)));

    // All or nothing is nothing, also where lines are only too old.
    let mixed = format!("late v=1 {}\nlate v=2 {now}", now - 7_200);
    let whole = server.send(&format!("{V3}&accept_partial=false"), &[], mixed.clone()).await;
    whole.says(400, "line protocol parsing error");
    assert_eq!((&whole.json()["data"]["line_number"], &whole.json()["rejectedCount"]), (&json!(1), &json!(1)));
    server.get("/query?db=gpu&q=SHOW+MEASUREMENTS+WITH+MEASUREMENT+%3D+late").await.says(200, "{\"results\":[{\"statement_id\":0}]}");
    server.send(V3, &[], mixed).await.says(400, "partial write of line protocol occurred");
    assert_eq!(sql(&server, "SELECT v FROM late").await, json!([{ "v": 2.0 }]));
}
