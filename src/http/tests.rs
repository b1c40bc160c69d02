mod duplicates;
mod hardship;
mod retention;
mod type_conflicts;
mod upkeep;

use super::*;
use crate::engine::EngineSettings;
use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::io::Write;
use tower::ServiceExt;

/// A server without a socket, set up with organisation `lab`, bucket `gpu` and the operator's token `t`.
struct Server {
    app: App,
    router: Router,
    bucket_id: String,
    org_id: String,
    _folder: tempfile::TempDir,
}

struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    fn says(&self, status: u16, text: &str) {
        assert_eq!(
            (self.status.as_u16(), self.text.contains(text)),
            (status, true),
            "wanted {status} {text}, got {} {}",
            self.status,
            self.text
        );
    }
}

async fn read(answer: Response<Body>) -> Got {
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    Got { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

impl Server {
    /// Not set up.
    async fn bare(settings: HttpSettings, change: impl FnOnce(&mut EngineSettings)) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let mut engine = EngineSettings::at(folder.path());
        change(&mut engine);
        let app = App::new(Engine::open(engine).await.expect("an engine"), settings);
        Server { router: router(app.clone()), app, bucket_id: String::new(), org_id: String::new(), _folder: folder }
    }

    async fn with(settings: HttpSettings) -> Server {
        Self::bare(settings, |_| ()).await.set_up().await
    }

    async fn set_up(self) -> Server {
        let mut server = self;
        let body = json!({ "username": "ana", "password": "long enough", "org": "lab", "bucket": "gpu", "token": "t" });
        let made = server.send("POST /api/v2/setup", &[("authorization", "")], body.to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        server.bucket_id = text(&made.json()["bucket"]["id"]);
        server.org_id = text(&made.json()["org"]["id"]);
        server
    }

    async fn new() -> Server {
        Self::with(HttpSettings::default()).await
    }

    /// `what` is a method and a path; the operator's token is shown unless `headers` say otherwise.
    async fn send(&self, what: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
        read(self.begin(what, headers, body).await).await
    }

    /// The answer as it begins, with its body still to come.
    async fn begin(&self, what: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", "Token t");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request");
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    async fn get(&self, path: &str) -> Got {
        self.send(&format!("GET {path}"), &[], "").await
    }

    async fn post(&self, path: &str, body: Value) -> Got {
        self.send(&format!("POST {path}"), &[], body.to_string()).await
    }

    async fn write(&self, lines: &str) -> Got {
        self.send("POST /api/v2/write?org=lab&bucket=gpu", &[], lines.to_string()).await
    }

    async fn flux(&self, text: &str) -> Got {
        self.send("POST /api/v2/query?org=lab", &[("content-type", "application/vnd.flux")], text.to_string()).await
    }
}

const ALL: &str = "from(bucket: \"gpu\") |> range(start: 0)";

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_server_lives_and_can_be_set_up_once() {
    let server = Server::bare(HttpSettings::default(), |_| ()).await;
    let ping = server.send("GET /ping", &[("authorization", "")], "").await;
    assert_eq!((ping.status, ping.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!((ping.header("x-influxdb-build"), ping.header("x-influxdb-version").starts_with("v2.7")), ("OSS", true));
    let health = server.get("/health").await.json();
    assert_eq!(
        (&health["name"], &health["status"], &health["message"]),
        (&json!("influxdb"), &json!("pass"), &json!("ready for queries and writes"))
    );
    server.get("/ready").await.says(200, "\"ready\"");
    assert_eq!(server.get("/api/v2/setup").await.json(), json!({ "allowed": true }));
    let short = json!({ "username": "ana", "password": "short", "org": "lab", "bucket": "gpu" });
    server.post("/api/v2/setup", short).await.says(400, "passwords must be between 8 and 72 characters long");
    let body = json!({ "username": "ana", "password": "long enough", "org": "lab", "bucket": "gpu", "retentionPeriodSeconds": 7200 });
    let made = server.post("/api/v2/setup", body.clone()).await;
    made.says(201, "\"everySeconds\":7200");
    assert_eq!(made.json()["auth"]["token"].as_str().expect("a token").len(), 88);
    assert_eq!(server.get("/api/v2/setup").await.json(), json!({ "allowed": false }));
    server.post("/api/v2/setup", body).await.says(422, "onboarding has already been completed");
    server
        .get("/metrics")
        .await
        .says(200, "http_api_requests_total{handler=\"platform\",method=\"GET\",path=\"/ping\",response_code=\"204\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_showing_something_and_every_form_is_taken() {
    let server = Server::new().await;
    let me = |headers: &'static [(&'static str, &'static str)]| server.send("GET /api/v2/me", headers, "");
    for refused in
        [&[("authorization", "")], &[("authorization", "Token wrong")], &[("authorization", "Basic !")], &[("authorization", "Digest t")]]
    {
        let got = me(refused).await;
        assert_eq!(got.json(), json!({ "code": "unauthorized", "message": "unauthorized access" }));
        assert_eq!((got.status.as_u16(), got.header("x-platform-error-code")), (401, "unauthorized"));
    }
    // `ana:long enough`
    for taken in [&[("authorization", "bearer t")], &[("authorization", "Basic YW5hOmxvbmcgZW5vdWdo")]] {
        me(taken).await.says(200, "\"name\":\"ana\"");
    }
    let signed = server.send("POST /api/v2/signin", &[("authorization", "Basic YW5hOmxvbmcgZW5vdWdo")], "").await;
    let cookie = signed.header("set-cookie").to_string();
    assert!(
        signed.status == StatusCode::NO_CONTENT && cookie.starts_with("influxdb-oss-session=") && cookie.contains("Path=/api/; "),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a cookie");
    let shown = [("authorization", ""), ("cookie", cookie)];
    server.send("GET /api/v2/me", &shown, "").await.says(200, "ana");
    server.send("POST /api/v2/signout", &shown, "").await.says(204, "");
    server.send("GET /api/v2/me", &shown, "").await.says(401, "unauthorized access");
    server.send("POST /api/v2/signin", &[("authorization", "Basic YW5hOndyb25n")], "").await.says(401, "unauthorized access");
    server.send("GET /api/v2/nothing", &[("authorization", "")], "").await.says(401, "unauthorized access");
    server.get("/api/v2/nothing").await.says(404, "path not found");
    server.get("/nothing").await.says(404, "path not found");
    let wrong = server.get("/api/v2/write").await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["message"].as_str()), (405, Some("allow: POST")));
    server.get("/api/v2/tasks").await.says(501, "tasks are part of InfluxDB's API");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_in_and_bad_ones_are_named() {
    let server = Server::new().await;
    server.write("m,host=a v=1 10\n# comment\n\nm,host=b v=2 20").await.says(204, "");
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(b"m,host=c v=3 30").expect("packed");
    let path = "POST /api/v2/write?org=lab&bucket=gpu&precision=s";
    server.send(path, &[("content-encoding", "gzip")], packed.finish().expect("packed")).await.says(204, "");
    server.send(path, &[("content-encoding", "gzip")], "not gzip").await.says(400, "unable to read data: gzip");

    let bad = server.write("m v=4 40\nm v=x 50\nm v= 60").await;
    bad.says(400, "unable to parse 'm v=x 50': invalid boolean (line 2)\\nunable to parse 'm v= 60': missing field value (line 3)");
    assert_eq!((&bad.json()["code"], &bad.json()["line"]), (&json!("invalid"), &json!(2)));
    let clash = server.write("m v=5 50\nm v=\"text\" 60").await;
    clash.says(422, "failure writing points to database: partial write: field type conflict: input field \\\"v\\\" on measurement \\\"m\\\" is type string, already exists as type float dropped=1");
    let rows = server.flux(&format!("{ALL} |> group() |> count()")).await;
    assert!(rows.text.contains(",5\r\n"), "the good lines of both are stored: {}", rows.text);

    server.send("POST /api/v2/write?org=lab&bucket=none", &[], "m v=1").await.says(404, "bucket \\\"none\\\" not found");
    server.send("POST /api/v2/write?org=none&bucket=gpu", &[], "m v=1").await.says(404, "organization name \\\"none\\\" not found");
    server.send("POST /api/v2/write?org=lab", &[], "m v=1").await.says(404, "bucket not found");
    server
        .send("POST /api/v2/write?org=lab&bucket=gpu&precision=h", &[], "m v=1")
        .await
        .says(400, "invalid precision; valid precision units are ns, us, ms, and s");

    let small = Server::with(HttpSettings { body_bytes_max: 1000, ..HttpSettings::default() }).await;
    let too_large = small.write(&"m v=1\n".repeat(1000)).await;
    too_large.says(413, "points batch is too large");
    let mut bomb = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    bomb.write_all(&[b'\n'; 100_000]).expect("packed");
    let path = "POST /api/v2/write?org=lab&bucket=gpu";
    small.send(path, &[("content-encoding", "gzip")], bomb.finish().expect("packed")).await.says(413, "points batch is too large");
    let question = format!("{ALL}{}", " ".repeat(1000));
    small.flux(&question).await.says(413, "unable to read data: request body is too large: the limit is 1000 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_answers_in_annotated_csv_and_its_errors_in_json() {
    let server = Server::new().await;
    server.write("m,host=a v=1.5 1000000000").await.says(204, "");
    let plain = server.flux(ALL).await;
    assert_eq!(plain.header("content-type"), "text/csv; charset=utf-8");
    assert!(
        plain.text.starts_with(",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n,_result,0,1970-01-01T00:00:00Z,"),
        "{}",
        plain.text
    );
    let annotations = json!(["datatype", "group", "default"]);
    let params = json!({ "type": "File", "body": [{ "type": "OptionStatement", "assignment": { "type": "VariableAssignment",
        "id": { "type": "Identifier", "name": "host" }, "init": { "type": "StringLiteral", "value": "a" } } }] });
    let query = format!("{ALL} |> filter(fn: (r) => r.host == host) |> keep(columns: [\"_value\"])");
    let body = json!({ "query": query, "type": "flux", "dialect": { "annotations": annotations }, "extern": params });
    let asked = server.post("/api/v2/query?org=lab", body).await;
    assert_eq!(
        asked.text,
        "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,1.5\r\n\r\n"
    );
    let gzip =
        server.send("POST /api/v2/query?org=lab", &[("content-type", "application/vnd.flux"), ("accept-encoding", "gzip")], ALL).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");

    server.flux("from(bucket: \"none\") |> range(start: 0)").await.says(404, "could not find bucket \\\"none\\\"");
    server.flux("from(bucket: ").await.says(400, "compilation failed: error @1:");
    let unbounded = "cannot submit unbounded read to \\\"gpu\\\"; try bounding 'from' with a call to 'range'";
    server.flux("from(bucket: \"gpu\")").await.says(400, unbounded);
    server.flux("from(bucket: \"gpu\") |> filter(fn: (r) => r.host == \"a\") |> range(start: 0)").await.says(200, ",a\r\n");
    server.flux("x = 1").await.says(400, "this Flux script returns no streaming data. Consider adding a \\\"yield\\\"");
    server.post("/api/v2/query", json!({ "query": "1", "type": "sql" })).await.says(400, "unknown query type: sql");
    server.send("POST /api/v2/query", &[], "{").await.says(400, "failed to decode request body");
    server.send("POST /api/v2/query", &[], "{}").await.says(400, "request body requires either query or AST");
    let analyzed = server.post("/api/v2/query/analyze", json!({ "query": "a =\n )" })).await.json();
    assert_eq!(analyzed["errors"][0]["line"], 2, "{analyzed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_deleted_by_time_and_tags() {
    let server = Server::new().await;
    server.write("m,host=a v=1 10\nm,host=a v=2 20\nm,host=b v=3 20\nn,host=a v=4 20").await.says(204, "");
    let delete = |body: Value| async { server.post("/api/v2/delete?org=lab&bucket=gpu", body).await };
    let (start, stop) = ("1970-01-01T00:00:00.000000015Z", "1970-01-01T00:00:00.00000002Z");
    let answer = delete(json!({ "start": start, "stop": stop, "predicate": "_measurement=\"m\" AND host=\"a\"" })).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str(), answer.header("x-tidegauge-deleted-rows")), (204, "", "1"));
    let left = server.flux(&format!("{ALL} |> group() |> sum()")).await;
    assert!(left.text.contains(",8\r\n"), "{}", left.text);
    delete(json!({ "start": "yesterday", "stop": stop })).await.says(400, "invalid RFC3339Nano for field start");
    delete(json!({ "start": start, "stop": stop, "predicate": "a=1 OR b=2" })).await.says(400, "logical operator OR is not supported");
    server
        .post("/api/v2/delete?org=lab", json!({ "start": start, "stop": stop }))
        .await
        .says(400, "Please provide either bucketID or bucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_deleted_by_field_and_value_and_what_cannot_be_honoured_is_refused() {
    let server = Server::new().await;
    let (start, stop) = ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z");
    let delete = |predicate: &'static str| {
        let body = json!({ "start": start, "stop": stop, "predicate": predicate });
        let server = &server;
        async move { server.post("/api/v2/delete?org=lab&bucket=gpu", body).await }
    };
    let rows =
        "m,host=a v=1,n=1i,s=\"x\",b=true 10\nm,host=a v=91,n=7i 20\nm,host=b v=95 30\nm,host=b v=99,n=9i 90000000000\nn,host=a v=96 20";
    server.write(rows).await.says(204, "");
    // Each with what it deletes, and with the values that are left: v of m, n of m, v of n.
    let steps = [
        (r#"_measurement="m" AND _field="v" AND _value>90 AND host="a""#, "1", [3, 3, 1]),
        (r#"_field=v and _value > 1000"#, "0", [3, 3, 1]),
        (r#"_field="nope""#, "0", [3, 3, 1]),
        (r#"_measurement=m and _value = "x""#, "1", [3, 3, 1]),
        (r#"_measurement=m and _value = true"#, "1", [3, 3, 1]),
        // v=1 and n=1 are values of one row.
        (r#"_value <= 1"#, "1", [2, 2, 1]),
        (r#"_field != "v""#, "1", [2, 1, 1]),
        (r#"_field = "v""#, "2", [1, 1, 0]),
    ];
    for (predicate, count, left) in steps {
        let answer = delete(predicate).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-tidegauge-deleted-rows")), (204, count), "{predicate}: {}", answer.text);
        let counts = server.send("GET /query?db=gpu&q=SELECT+count(v),count(n)+FROM+m", &[], "").await.json();
        let of_m = &counts["results"][0]["series"][0]["values"][0];
        let counts = server.send("GET /query?db=gpu&q=SELECT+count(v)+FROM+n", &[], "").await.json();
        let of_n = &counts["results"][0]["series"][0]["values"][0][1];
        let found = [&of_m[1], &of_m[2], of_n].map(|n| n.as_i64().unwrap_or(0));
        assert_eq!(found, left, "{predicate}");
    }
    server.write("m3,v=1 f=1 20").await.says(204, "");
    let refused = [
        ("v = 99", "v is a field of m and no tag: write _field=\"v\" AND _value=... to delete its values"),
        // A tag of m3, a field of m and n.
        ("v != 99", "v is a field of m and no tag"),
        ("v != 99 and _value > 0", "v is a field of m and no tag"),
        ("_value = 10m", "bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
        ("_value =~ /x/", "operator: \\\"=~\\\" at position: 7 is not supported yet"),
        ("_field > v", "operator: \\\">\\\" at position: 7 is not supported yet"),
        ("_field = v and _field = n", "a value has one _field: the predicate names two"),
        ("_measurement != m", "delete by `_measurement !=` is not supported: name the measurement with ="),
        ("_time = 5", "bad tag key _time: tags, _measurement, _field and _value can be named; times go into start and stop"),
        ("_field = v or _value > 5", "the logical operator OR is not supported yet at position 11"),
    ];
    for (predicate, text) in refused {
        delete(predicate).await.says(400, &text.replace("\"v\"", "\\\"v\\\""));
    }
    server.get("/query?db=gpu&q=SELECT+count(v)+FROM+m").await.says(200, ",1]");
    assert_eq!(delete("_measurement=m3 and v != 99").await.header("x-tidegauge-deleted-rows"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_compared_as_numbers_and_a_type_that_is_named_counts() {
    let server = Server::new().await;
    server.write("m v=-0.0 1\nm v=0 2\nm v=1 3\nm v=-1 4\nm i=5i 5\nm u=5u 6\nm v=5 7\nm i=0i 8").await.says(204, "");
    let delete = |predicate: &'static str| {
        let body = json!({ "start": "1970-01-01T00:00:00Z", "stop": "1970-01-01T00:01:00Z", "predicate": predicate });
        let server = &server;
        async move { server.post("/api/v2/delete?org=lab&bucket=gpu", body).await.header("x-tidegauge-deleted-rows").to_string() }
    };
    let steps = [
        ("_value < 0 and _value > -1", "0"),
        ("_field = i and _value < -0.0", "0"),
        ("_field = i and _value = -0.0", "1"),
        ("_field = v and _value > -0.0 and _value < 1", "0"),
        ("_value = 0", "2"),
        ("_value = 5u", "1"),
        ("_value = 5i", "1"),
        ("_value = 5", "1"),
        ("_value <= 1", "2"),
    ];
    for (predicate, count) in steps {
        assert_eq!(delete(predicate).await, count, "{predicate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_language_deletes_and_tells_how_many_to_those_who_may_write() {
    let server = Server::new().await;
    server.write("m,host=a v=1 10\nm,host=a v=91 20\nm,host=b v=95 30\nm,host=b v=99 40\nm,host=c v=1 50").await.says(204, "");
    let token = |actions: &'static [&'static str]| {
        let resource = json!({ "type": "buckets", "id": server.bucket_id, "orgID": server.org_id });
        let permissions: Vec<Value> = actions.iter().map(|action| json!({ "action": action, "resource": resource })).collect();
        let body = json!({ "orgID": server.org_id, "permissions": permissions });
        let server = &server;
        async move {
            let made = server.post("/api/v2/authorizations", body).await;
            format!("Token {}", made.json()["token"].as_str().expect("a token"))
        }
    };
    let (reader, writer) = (token(&["read"]).await, token(&["read", "write"]).await);
    let sql = |who: &str, text: &str| {
        let (who, body) = (who.to_string(), json!({ "db": "gpu", "q": text }).to_string());
        let server = &server;
        async move { server.send("POST /api/v3/query_sql", &[("authorization", &who)], body).await }
    };
    let influxql = |who: &str, text: &str| {
        let (who, form) = (who.to_string(), format!("db=gpu&q={}", text.replace(' ', "+")));
        let server = &server;
        let kind = ("content-type", "application/x-www-form-urlencoded");
        async move { server.send("POST /query", &[("authorization", &who), kind], form).await }
    };
    let over_v2 = |who: &str| {
        let body = json!({ "start": "1970-01-01T00:00:00Z", "stop": "1970-01-02T00:00:00Z", "predicate": "host=c" }).to_string();
        let (who, server) = (who.to_string(), &server);
        async move { server.send("POST /api/v2/delete?org=lab&bucket=gpu", &[("authorization", &who)], body).await }
    };
    for text in ["DELETE FROM m WHERE v > 90", "DELETE FROM m", "DELETE FROM m WHERE 1 = 2"] {
        let refused = sql(&reader, text).await;
        assert_eq!((refused.status.as_u16(), refused.text.as_str()), (403, ""), "{text}");
    }
    for text in ["DELETE FROM m", "DELETE FROM m WHERE v > 90", "DROP SERIES FROM m", "DROP MEASUREMENT m"] {
        influxql(&reader, text).await.says(200, "insufficient permissions");
    }
    over_v2(&reader).await.says(403, "insufficient permissions to delete");
    sql(&reader, "SELECT count(*) AS n FROM m").await.says(200, "[{\"n\":5}]");

    let by_get = |method: &str| {
        let (what, who) = (format!("{method} /api/v3/query_sql?db=gpu&q=DELETE+FROM+m"), writer.clone());
        let server = &server;
        async move { server.send(&what, &[("authorization", &who)], "").await }
    };
    by_get("GET").await.says(400, "send it with POST");
    by_get("HEAD").await.says(400, "");
    sql(&reader, "SELECT count(*) AS n FROM m").await.says(200, "[{\"n\":5}]");

    sql(&writer, "DELETE FROM m WHERE v > 90 AND host = 'a'").await.says(200, "[{\"count\":1}]");
    sql(&writer, "DELETE FROM m WHERE time < '1970-01-02' AND host = 'a'").await.says(200, "[{\"count\":1}]");
    let by_value = influxql(&writer, "DELETE FROM m WHERE v = 95").await;
    by_value.says(200, "\"columns\":[\"time\",\"deleted\"],\"values\":[[\"1970-01-01T00:00:00Z\",1]]");
    let by_tag = influxql(&writer, "DELETE FROM m WHERE host = 'b'").await;
    assert_eq!(by_tag.text, "{\"results\":[{\"statement_id\":0}]}\n", "as InfluxDB answers it");
    assert_eq!((by_value.header("x-tidegauge-deleted-rows"), by_tag.header("x-tidegauge-deleted-rows")), ("1", "1"));
    assert_eq!(over_v2(&writer).await.header("x-tidegauge-deleted-rows"), "1");
    sql(&writer, "SELECT count(*) AS n FROM m").await.says(200, "[{\"n\":0}]");
    server.write("m,host=a v=1 10\nm,host=a v=2 20\nn v=1 1").await.says(204, "");
    let dropped = influxql(&writer, "DROP MEASUREMENT m").await;
    assert_eq!((dropped.text.as_str(), dropped.header("x-tidegauge-deleted-rows")), ("{\"results\":[{\"statement_id\":0}]}\n", "2"));
    sql(&writer, "DELETE FROM m").await.says(404, "table 'gpu.m' not found");
    sql(&writer, "EXPLAIN DELETE FROM n").await.says(400, "EXPLAIN is not possible");
    sql(&writer, "SELECT count(*) AS n FROM n").await.says(200, "[{\"n\":1}]");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_made_listed_changed_and_removed() {
    let server = Server::new().await;
    let rule = json!([{ "type": "expire", "everySeconds": 3600 }]);
    let made = server.post("/api/v2/buckets", json!({ "orgID": server.org_id, "name": "cpu", "retentionRules": rule })).await;
    made.says(201, "\"shardGroupDurationSeconds\":3600");
    let bucket = format!("/api/v2/buckets/{}", made.json()["id"].as_str().expect("an id"));
    server.post("/api/v2/buckets", json!({ "orgID": server.org_id, "name": "cpu" })).await.says(422, "bucket with name cpu already exists");
    let listed = server.get("/api/v2/buckets?org=lab&limit=2").await.json();
    let names: Vec<_> = listed["buckets"].as_array().expect("a list").iter().map(|b| b["name"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["_monitoring", "_tasks"]);
    assert_eq!(listed["links"]["next"], "/api/v2/buckets?descending=false&limit=2&offset=2&org=lab");
    server.get("/api/v2/buckets?limit=101").await.says(400, "limit must be between 1 and 100");
    server.get("/api/v2/buckets?name=none").await.says(200, "\"buckets\":[]");
    server.get("/api/v2/buckets?name=none&org=lab").await.says(404, "bucket \\\"none\\\" not found");
    server
        .send(&format!("PATCH {bucket}"), &[], json!({ "name": "cpus", "retentionRules": [{ "everySeconds": 0 }] }).to_string())
        .await
        .says(200, "\"everySeconds\":0");
    server.get("/api/v2/buckets/nonsense").await.says(400, "id must have a length of 16 bytes");

    let label =
        server.post("/api/v2/labels", json!({ "orgID": server.org_id, "name": "red", "properties": { "color": "f00" } })).await.json();
    let label = label["label"]["id"].as_str().expect("an id").to_string();
    server.post(&format!("{bucket}/labels"), json!({ "labelID": label })).await.says(201, "\"red\"");
    server.get(&bucket).await.says(200, "\"color\":\"f00\"");
    server.send(&format!("DELETE {bucket}/labels/{label}"), &[], "").await.says(204, "");
    server.get(&format!("{bucket}/labels")).await.says(200, "\"labels\":[]");

    let user = server.post("/api/v2/users", json!({ "name": "ben" })).await.json()["id"].as_str().expect("an id").to_string();
    server.post(&format!("/api/v2/users/{user}/password"), json!({ "password": "long enough" })).await.says(204, "");
    server.post(&format!("/api/v2/orgs/{}/members", server.org_id), json!({ "id": user })).await.says(201, "\"role\":\"member\"");
    server.get(&format!("/api/v2/orgs/{}/members", server.org_id)).await.says(200, "\"ben\"");
    // `ben:long enough`: a member reads and does not write.
    let ben = [("authorization", "Basic YmVuOmxvbmcgZW5vdWdo")];
    server.send("GET /api/v2/buckets?org=lab", &ben, "").await.says(200, "\"cpus\"");
    server.send("POST /api/v2/write?org=lab&bucket=gpu", &ben, "m v=1").await.says(403, "insufficient permissions for write");
    server.send(&format!("DELETE /api/v2/orgs/{}/members/{user}", server.org_id), &[], "").await.says(204, "");

    let permission = json!({ "action": "read", "resource": { "type": "buckets", "id": server.bucket_id, "orgID": server.org_id } });
    let made = server
        .post("/api/v2/authorizations", json!({ "orgID": server.org_id, "permissions": [permission], "description": "reader" }))
        .await;
    made.says(201, "\"name\":\"gpu\"");
    let token = format!("Token {}", made.json()["token"].as_str().expect("a token"));
    server
        .send("POST /api/v2/write?org=lab&bucket=gpu", &[("authorization", &token)], "m v=1")
        .await
        .says(403, "insufficient permissions for write");
    server.send("GET /api/v2/buckets", &[("authorization", &token)], "").await.says(200, "\"gpu\"");
    let hidden = server.get("/api/v2/authorizations").await;
    assert!(hidden.status == StatusCode::OK && !hidden.text.contains(token.trim_start_matches("Token ")), "only hashes are kept");

    server.get("/api/v2/orgs?org=none").await.says(404, "organization name \\\"none\\\" not found");
    server.send(&format!("PATCH /api/v2/orgs/{}/secrets", server.org_id), &[], json!({ "key": "value" }).to_string()).await.says(204, "");
    let secrets = server.get(&format!("/api/v2/orgs/{}/secrets", server.org_id)).await;
    assert!(secrets.text.contains("\"key\"") && !secrets.text.contains("value"), "{}", secrets.text);

    server.send("POST /api/v2/write?org=lab&bucket=cpus", &[], "m v=1 1").await.says(204, "");
    server.send(&format!("DELETE {bucket}"), &[], "").await.says(204, "");
    server.get(&bucket).await.says(404, "bucket not found");
}

/// Telegraf throws away what a 404 answers, and keeps what a 401 or 403 does.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_right_is_forbidden_and_one_that_is_switched_off_is_unauthorized() {
    let server = Server::new().await;
    server.post("/api/v2/buckets", json!({ "orgID": server.org_id, "name": "own" })).await.says(201, "own");
    let own = server.get("/api/v2/buckets?name=own").await.json()["buckets"][0]["id"].clone();
    let token = async |resource: Value| {
        let permissions = json!([{ "action": "write", "resource": resource }]);
        let made = server.post("/api/v2/authorizations", json!({ "orgID": server.org_id, "permissions": permissions })).await.json();
        (made["id"].as_str().expect("an id").to_string(), format!("Token {}", made["token"].as_str().expect("a token")))
    };
    let (_, other_bucket) = token(json!({ "type": "buckets", "id": own, "orgID": server.org_id })).await;
    let (_, no_bucket) = token(json!({ "type": "dashboards", "orgID": server.org_id })).await;
    let elsewhere = server.post("/api/v2/orgs", json!({ "name": "elsewhere" })).await.json()["id"].clone();
    let (_, other_org) = token(json!({ "type": "buckets", "orgID": elsewhere })).await;
    let (range, line) = (json!({ "start": "1970-01-01T00:00:00Z", "stop": "1970-01-02T00:00:00Z" }).to_string(), "m v=1 1");
    for token in [&other_bucket, &no_bucket, &other_org] {
        let shown = [("authorization", token.as_str())];
        let wrote = server.send("POST /api/v2/write?org=lab&bucket=gpu", &shown, line).await;
        assert_eq!(wrote.json(), json!({ "code": "forbidden", "message": "insufficient permissions for write" }), "{}", wrote.status);
        assert_eq!((wrote.status.as_u16(), wrote.header("x-platform-error-code")), (403, "forbidden"));
        server.send("POST /write?db=gpu&org=lab", &shown, line).await.says(403, "insufficient permissions for write");
        server.send("POST /api/v2/delete?org=lab&bucket=gpu", &shown, range.clone()).await.says(403, "insufficient permissions to delete");
        server.send("POST /api/v2/write?org=lab&bucket=none", &shown, line).await.says(404, "bucket \\\"none\\\" not found");
        server.send("POST /api/v2/query?org=lab", &[shown[0], ("content-type", "application/vnd.flux")], ALL).await.says(404, "");
    }
    for token in [&other_bucket, &no_bucket] {
        server.send("POST /api/v3/write_lp?db=gpu", &[("authorization", token)], line).await.says(403, "");
    }
    server.send("POST /api/v2/write?org=lab&bucket=own", &[("authorization", &other_bucket)], line).await.says(204, "");

    let (id, off) = token(json!({ "type": "buckets", "orgID": server.org_id })).await;
    let switched = server.send(&format!("PATCH /api/v2/authorizations/{id}"), &[], json!({ "status": "inactive" }).to_string()).await;
    switched.says(200, "inactive");
    let shown = [("authorization", off.as_str())];
    for path in ["buckets", "buckets?org=lab", "orgs", "authorizations", "users", "labels", "me", "dbrps?org=lab", "flags", "nothing"] {
        let got = server.send(&format!("GET /api/v2/{path}"), &shown, "").await;
        assert_eq!((got.status.as_u16(), got.json()["message"].as_str()), (401, Some("token is inactive")), "{path}");
    }
    let asked = server.send("POST /api/v2/query?org=lab", &[shown[0], ("content-type", "application/vnd.flux")], ALL).await;
    asked.says(401, "token is inactive");
    server.send("POST /api/v2/write?org=lab&bucket=gpu", &shown, line).await.says(403, "insufficient permissions for write");
    server.send("POST /api/v2/delete?org=lab&bucket=gpu", &shown, range).await.says(403, "insufficient permissions to delete");
    let password = off.trim_start_matches("Token ");
    let basic = format!("/query?u=any&p={}&db=gpu&q=SHOW+MEASUREMENTS", password.replace('=', "%3D"));
    server.send(&format!("GET {basic}"), &[("authorization", "")], "").await.says(401, "unauthorized access");
    server.send("GET /query?db=gpu&q=SHOW+MEASUREMENTS", &shown, "").await.says(401, "unauthorized access");
    server.send("POST /write?db=gpu", &shown, line).await.says(401, "unauthorized access");
    server.send("POST /api/v3/write_lp?db=gpu", &shown, line).await.says(401, "");
    server.send("GET /api/v3/query_sql?db=gpu&q=SELECT+1", &shown, "").await.says(401, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_1x_find_what_they_know() {
    let server = Server::new().await;
    let ana = [("authorization", ""), ("content-type", "application/x-www-form-urlencoded")];
    let login = "u=ana&p=long+enough";
    let made = server.send(&format!("POST /query?{login}"), &ana, "q=CREATE+DATABASE+metrics").await;
    assert_eq!(made.text, "{\"results\":[{\"statement_id\":0}]}\n");
    server
        .send(&format!("POST /write?db=metrics&precision=s&{login}"), &ana[..1], "cpu,host=a v=1 1\ncpu,host=a v=2 2")
        .await
        .says(204, "");
    let asked = server.send(&format!("GET /query?db=metrics&epoch=s&{login}&q=SELECT+v+FROM+cpu"), &ana[..1], "").await;
    assert_eq!(
        asked.text,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"cpu\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1],[2,2]]}]}]}\n"
    );
    server.send("POST /write?db=metrics", &[], "gone,host=a v=1 1").await.says(204, "");
    server
        .send(&format!("POST /query?db=metrics&{login}"), &ana, "q=DROP+MEASUREMENT+gone")
        .await
        .says(200, "{\"results\":[{\"statement_id\":0}]}");
    server.get("/query?db=metrics&q=SHOW+MEASUREMENTS").await.says(200, "\"values\":[[\"cpu\"]]");
    server.send("POST /write?db=metrics", &[], "gone,v=tag host=\"field\" 1").await.says(204, "");
    server.get("/query?db=metrics&q=SHOW+TAG+KEYS+FROM+gone").await.says(200, "\"values\":[[\"v\"]]");
    server.get("/query?db=metrics&q=SELECT+mean(v)+FROM+cpu").await.says(200, "[[\"1970-01-01T00:00:00Z\",1.5]]");
    let wrong = server.get("/query?db=metrics&q=SELEC").await;
    wrong.says(400, "error parsing query: found SELEC, expected SELECT");
    assert!(wrong.header("x-influxdb-error").starts_with("error parsing query"));
    let long = server.get(&format!("/query?db=metrics&q={}", "x".repeat(3000))).await;
    long.says(400, &"x".repeat(3000));
    assert_eq!(long.header("x-influxdb-error").len(), 1024);
    server.get("/query?db=none&q=SELECT+v+FROM+cpu").await.says(200, "\"error\":\"database not found: none\"");
    server.get("/query").await.says(400, "missing required parameter");
    server.send("POST /write?db=none", &[], "m v=1").await.says(404, "database not found: \\\"none\\\"");
    server.send("POST /write", &[], "m v=1").await.says(400, "missing db");
    server.send("POST /write?db=metrics", &[], "cpu v=1 1\ncpu v=\"x\" 2").await.says(400, "partial write: field type conflict");
    server.send("GET /query?q=SHOW+DATABASES", &[("authorization", "")], "").await.says(401, "unauthorized access");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_3_write_and_ask_in_two_languages() {
    let server = Server::new().await;
    server.send("POST /api/v3/write_lp?db=new&precision=second", &[], "m,host=a v=1 1\nm,host=b v=2 2").await.says(204, "");
    let partial = server.send("POST /api/v3/write_lp?db=new", &[], "m v=1 1\nm v=x 2").await;
    partial.says(400, "\"error\":\"partial write of line protocol occurred\"");
    assert_eq!(partial.json()["data"][0]["line_number"], 2);
    let sql = json!({ "db": "new", "q": "SELECT host, v FROM m WHERE v > $least ORDER BY v", "params": { "least": 1.5 } });
    let asked = server.post("/api/v3/query_sql", sql).await;
    assert_eq!((asked.text.as_str(), asked.header("content-type")), ("[{\"host\":\"b\",\"v\":2.0}]", "application/json; charset=utf-8"));
    let csv = server.get("/api/v3/query_influxql?db=new&q=SELECT+v+FROM+m+WHERE+host='a'&format=csv").await;
    csv.says(200, "m,1970-01-01T00:00:01,1.0");
    server.get("/api/v3/query_influxql?db=new&q=SELECT+v+FROM+m;+SELECT+v+FROM+m").await.says(400, "one statement is answered at a time");
    for path in ["query_sql?db=none&q=SELECT+1", "query_sql?db=none&q=SELECT+*+FROM+m", "query_sql?db=none&q=SELECT+*+FROM+new.m"] {
        let got = server.get(&format!("/api/v3/{path}")).await;
        assert_eq!((got.status.as_u16(), got.text.as_str()), (404, "{\"error\":\"database not found: none\"}"), "{path}");
    }
    server.post("/api/v3/query_sql", json!({ "db": "none", "q": "SELECT 1" })).await.says(404, "database not found: none");
    for (pattern, reason) in [("(a{1000}){1000}", "regular expression is too large"), ("(", "invalid regular expression: unclosed group")] {
        for condition in [format!("host ~ '{pattern}'"), format!("host !~* '{pattern}'"), format!("regexp_like(host, '{pattern}')")] {
            let asked = json!({ "db": "new", "q": format!("SELECT v FROM m WHERE {condition}") });
            server.post("/api/v3/query_sql", asked).await.says(400, reason);
        }
    }
    server.get("/api/v3/query_sql?q=SELECT+1").await.says(400, "{\"error\":\"missing parameter `db`: name the database\"}");
    server.get("/api/v3/query_sql?db=new&q=SELECT+1&format=xml").await.says(400, "unknown format");
    let stranger = server.send("GET /api/v3/query_sql?db=new&q=SELECT+1", &[("authorization", "")], "").await;
    assert_eq!((stranger.status.as_u16(), stranger.text.as_str()), (401, ""));
    let arrow = [("content-type", "application/vnd.flux"), ("accept", "application/vnd.apache.arrow.stream")];
    let flux = "from(bucket: \"new\") |> range(start: 0)";
    let got = server.send("POST /api/v2/query?org=lab", &arrow, flux).await;
    assert_eq!((got.status.as_u16(), got.header("content-type")), (200, "application/vnd.apache.arrow.stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_ask() {
    let server = Server::new().await;
    let asked = [("origin", "http://board"), ("authorization", ""), ("access-control-request-headers", "authorization")];
    let preflight = server.send("OPTIONS /api/v2/query", &asked, "").await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-origin")), (204, "http://board"));
    assert_eq!(preflight.header("access-control-allow-headers"), "authorization");
    let got = server.send("GET /health", &[("origin", "http://board")], "").await;
    assert_eq!((got.header("access-control-allow-origin"), got.header(header::VARY.as_str())), ("http://board", "Origin"));
}
