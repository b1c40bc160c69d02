//! Packages that reach other servers: they can be imported, and every call says what is missing and what to do instead.

use super::{Call, function::functions};
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
};

/// Fails: this server opens no connection for a script yet.
pub fn refuse(call: &mut Call<'_>, instead: &str) -> FluxResult<Value> {
    let name = call.function.name.trim_start_matches('_');
    Err(FluxError::invalid(format!("{name}: scripts cannot reach other servers yet: {instead}")).at(call.span))
}

const WRITE: &str = "fetch the data with another program and write it with `tidegauge write` or POST /api/v2/write";
const READ: &str = "query with /api/v2/query or `tidegauge query` and send the result with another program";

/// `sql`.
pub mod sql {
    use super::*;
    functions! {
        "from" "(driverName: string, dataSourceName: string, query: string) => stream[A]" "Rows of a query to an SQL database; not available yet." |c| refuse(c, WRITE);
        "to" "(<-tables: stream[A], driverName: string, dataSourceName: string, table: string, ?batchSize: int) => stream[A]" "Writes rows into an SQL database; not available yet." |c| refuse(c, READ);
    }
}

/// `kafka`.
pub mod kafka {
    use super::*;
    functions! {
        "to" "(<-tables: stream[A], brokers: [string], topic: string, ?balancer: string, ?name: string, ?nameColumn: string, ?timeColumn: string, ?tagColumns: [string], ?valueColumns: [string]) => stream[A]"
            "Sends rows to Kafka; not available yet." |c| refuse(c, READ);
    }
}

/// `socket`.
pub mod socket {
    use super::*;
    functions! {
        "from" "(url: string, ?decoder: string) => stream[A]" "Rows from a socket; not available yet." |c| refuse(c, WRITE);
    }
}

/// `experimental/mqtt`.
pub mod mqtt {
    use super::*;
    functions! {
        "to" "(<-tables: stream[A], broker: string, ?topic: string, ?qos: int, ?retain: bool, ?clientid: string, ?username: string, ?password: string, ?name: string, ?timeout: duration, ?timeColumn: string, ?tagColumns: [string], ?valueColumns: [string]) => stream[B]"
            "Sends rows to an MQTT broker; not available yet." |c| refuse(c, READ);
        "publish" "(broker: string, topic: string, message: string, ?qos: int, ?retain: bool, ?clientid: string, ?username: string, ?password: string, ?timeout: duration) => bool"
            "Sends a message to an MQTT broker; not available yet." |c| refuse(c, READ);
    }
}

/// `experimental/bigtable`.
pub mod bigtable {
    use super::*;
    functions! {
        "from" "(token: string, project: string, instance: string, table: string) => stream[A]" "Rows of Bigtable; not available yet." |c| refuse(c, WRITE);
    }
}

/// `experimental/csv`.
pub mod csv {
    use super::*;
    functions! {
        "from" "(url: string) => stream[A]" "Tables of annotated CSV at a URL; not available yet." |c| refuse(c, WRITE);
    }
}

/// `contrib/qxip/clickhouse`.
pub mod clickhouse {
    use super::*;
    functions! {
        "query" "(?url: string, query: string, ?limit: int, ?cors: string, ?max_bytes: int, ?format: string) => stream[A]" "Rows of a query to ClickHouse; not available yet." |c| refuse(c, WRITE);
    }
}

/// `experimental/http`.
pub mod http {
    use super::*;
    functions! {
        "get" "(url: string, ?headers: A, ?timeout: duration) => {statusCode: int, body: bytes, headers: B}" "What a URL answers; not available yet." |c| refuse(c, WRITE);
    }
}

/// `experimental/influxdb`.
pub mod influxdb {
    use super::*;
    functions! {
        "api" "(method: string, path: string, ?host: string, ?token: string, ?body: bytes, ?headers: [string: string], ?query: [string: string], ?timeout: duration) => {statusCode: int, body: bytes, headers: [string: string]}"
            "What InfluxDB's API answers; not available yet." |c| refuse(c, "call the API with another program");
    }
}
