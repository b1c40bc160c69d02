//! What a bucket makes of values that are written twice: as it is said over the API, and as it is read in three languages.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_says_what_becomes_of_values_that_are_written_twice() {
    let server = Server::new().await;
    let bucket = format!("/api/v2/buckets/{}", server.bucket_id);
    let change = async |change: Value| server.send(&format!("PATCH {bucket}"), &[], change.to_string()).await;
    server.get(&bucket).await.says(200, "\"duplicates\":\"last\"");
    let refused = "duplicates are last, first, sum, max or min, not `mean`";
    server.post("/api/v2/buckets", json!({ "orgID": server.org_id, "name": "x", "duplicates": "mean" })).await.says(400, refused);
    change(json!({ "duplicates": "mean" })).await.says(400, refused);
    server
        .post("/api/v2/buckets", json!({ "orgID": server.org_id, "name": "x", "duplicates": "max" }))
        .await
        .says(201, "\"duplicates\":\"max\"");
    server.get("/api/v2/buckets?name=x").await.says(200, "\"duplicates\":\"max\"");
    for (policy, expected, older) in [("sum", 6, 5), ("first", 2, 2), ("max", 3, 3), ("min", 1, 2), ("last", 1, 3)] {
        change(json!({ "duplicates": policy })).await.says(200, &format!("\"duplicates\":\"{policy}\""));
        change(json!({ "description": policy })).await.says(200, &format!("\"duplicates\":\"{policy}\""));
        let m = format!("of_{policy}");
        server.write(&format!("{m},host=a v=2 10\n{m},host=a v=3 10\n{m},host=a v=9 5")).await.says(204, "");
        for (expected, written) in [(older, false), (expected, true)] {
            if written {
                server.write(&format!("{m},host=a v=1 10")).await.says(204, "");
            }
            for flushed in [false, true] {
                if flushed {
                    server.app.engine.storage().flush().await.expect("flushed");
                }
                let sql = json!({ "db": "gpu", "q": format!("SELECT v FROM {m} ORDER BY time DESC LIMIT 1") });
                server.post("/api/v3/query_sql", sql).await.says(200, &format!("[{{\"v\":{expected}.0}}]"));
                let last = format!("/query?db=gpu&epoch=ns&q=SELECT+last(v)+FROM+{m}+GROUP+BY+host");
                server.get(&last).await.says(200, &format!("\"values\":[[10,{expected}]]"));
                let last = format!(
                    r#"from(bucket: "gpu") |> range(start: 0) |> filter(fn: (r) => r._measurement == "{m}") |> last() |> keep(columns: ["_value"])"#
                );
                server.flux(&last).await.says(200, &format!(",{expected}\r\n"));
                let count = format!("/query?db=gpu&epoch=ns&q=SELECT+count(v)+FROM+{m}");
                server.get(&count).await.says(200, "\"values\":[[0,2]]");
            }
        }
    }
}
