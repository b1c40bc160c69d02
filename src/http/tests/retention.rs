//! A shorter retention acts at once: on what is read, and on the files.

use super::*;
use std::time::Duration;

const HOUR: i64 = 3_600_000_000_000;

impl Server {
    /// Waits for a line of `/metrics`, for much less long than maintenance waits.
    async fn shows(&self, line: &str) {
        for _ in 0..100 {
            if self.get("/metrics").await.text.contains(&format!("\n{line}\n")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no `{line}` in {}", self.get("/metrics").await.text);
    }

    async fn count(&self) -> usize {
        let counted = self.flux(r#"from(bucket: "gpu") |> range(start: 0) |> count() |> keep(columns: ["_value"])"#).await.text;
        let cell = counted.trim_end().rsplit(',').next();
        cell.and_then(|cell| cell.parse().ok()).unwrap_or_else(|| panic!("no count in {counted}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_retention_acts_at_once() {
    let later = |settings: &mut EngineSettings| settings.maintenance.interval = Some(Duration::from_secs(3_600));
    let server = Server::bare(HttpSettings::default(), later).await.set_up().await;
    let bucket = format!("/api/v2/buckets/{}", server.bucket_id);
    let keep = async |seconds: i64| {
        let rules = json!({ "retentionRules": [{ "type": "expire", "everySeconds": seconds }] });
        server.send(&format!("PATCH {bucket}"), &[], rules.to_string()).await.says(200, &format!("\"everySeconds\":{seconds}"));
    };
    let policy = "POST /query?db=gpu&q=ALTER%20RETENTION%20POLICY%20autogen%20ON%20gpu%20DURATION%201h";
    for round in 1..=2usize {
        for time in [server.app.engine.now() - 2 * HOUR, server.app.engine.now()] {
            server.write(&format!("m v=1 {time}")).await.says(204, "");
            server.app.engine.storage().flush().await.expect("flushed");
        }
        assert_eq!(server.count().await, round + 1, "round {round}");
        match round {
            1 => keep(3_600).await,
            _ => server.send(policy, &[], "").await.says(200, "\"statement_id\":0"),
        }
        assert_eq!(server.count().await, round, "round {round}: hidden");
        server.shows(&format!("tidegauge_expired_files_total {round}")).await;
        server.shows(&format!("tidegauge_files {round}")).await;
        // What it has given up does not come back.
        keep(0).await;
        assert_eq!(server.count().await, round, "round {round}: gone");
    }
}
