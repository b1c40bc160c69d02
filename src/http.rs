//! The HTTP door: extract, one Engine call, encode. It holds no rules of its own but a table of status codes.
//!
//! ```text
//! request -> layers::around (headers, CORS, panics, figures) -> router -> Auth, Call (who asks, what was sent)
//!         -> a handler: one Engine or Catalog call -> JSON, or format::* as a streamed body
//! ```
//!
//! [`router`] is the API's table of contents.

pub mod app;
mod auth;
mod body;
mod delete;
mod figures;
mod layers;
pub(crate) mod predicate;
mod problem;
mod pulse;
mod query;
mod query_v1;
mod query_v3;
mod resources;
mod upkeep;
mod write;

pub use app::{App, HttpSettings};
pub use delete::DELETED_ROWS;
pub use write::QUARANTINED_LINES;

use crate::{
    engine::Engine,
    model::{Failure, Result},
};
use axum::{
    Router,
    routing::{any, delete as delete_, get, post},
    serve::ListenerExt,
};
use resources::{authorizations, buckets, dbrps, labels, members, orgs, service, setup, users};
use std::future::Future;
use tokio::{net::TcpListener, task::JoinSet};

/// The version of InfluxDB whose API this is: clients read it to choose among their own ways of asking.
pub const VERSION: &str = "v2.7.12";

/// Every path that is served.
pub fn router(app: App) -> Router {
    surrounded(routes(), app)
}

/// Routes with what surrounds every request.
fn surrounded(routes: Router<App>, app: App) -> Router {
    let served = routes.fallback(layers::unknown).layer(axum::middleware::from_fn_with_state(app.clone(), layers::around)).with_state(app);
    Router::new().fallback_service(served).layer(axum::middleware::map_response(layers::method_not_allowed))
}

fn routes() -> Router<App> {
    let service = Router::new()
        .route("/ping", get(pulse::ping))
        .route("/health", get(pulse::health))
        .route("/ready", get(pulse::ready))
        .route("/metrics", get(pulse::metrics))
        .route("/api/v2", get(service::links))
        .route("/api/v2/flags", get(service::flags))
        .route("/api/v2/resources", get(service::resources));
    let rows = Router::new()
        .route("/api/v2/write", post(write::v2))
        .route("/api/v2/query", post(query::v2))
        .route("/api/v2/query/analyze", post(query::analyze))
        .route("/api/v2/delete", post(delete::v2))
        .route("/write", post(write::v1))
        .route("/query", get(query_v1::query).post(query_v1::query))
        .route("/api/v3/write_lp", post(write::v3))
        .route("/api/v3/query_sql", get(query_v3::sql).post(query_v3::sql))
        .route("/api/v3/query_influxql", get(query_v3::influxql).post(query_v3::influxql));
    let people = Router::new()
        .route("/api/v2/setup", get(setup::allowed).post(setup::run))
        .route("/api/v2/signin", post(setup::sign_in))
        .route("/api/v2/signout", post(setup::sign_out))
        .route("/api/v2/me", get(users::me))
        .route("/api/v2/me/password", post(users::own_password).put(users::own_password))
        .route("/api/v2/users", get(users::list).post(users::create))
        .route("/api/v2/users/{id}", get(users::one).patch(users::update).delete(users::remove))
        .route("/api/v2/users/{id}/password", post(users::password).put(users::password))
        .route("/api/v2/authorizations", get(authorizations::list).post(authorizations::create))
        .route("/api/v2/authorizations/{id}", get(authorizations::one).patch(authorizations::update).delete(authorizations::remove))
        .route("/api/v2/orgs", get(orgs::list).post(orgs::create))
        .route("/api/v2/orgs/{id}", get(orgs::one).patch(orgs::update).delete(orgs::remove))
        .route("/api/v2/orgs/{id}/secrets", get(orgs::secrets).patch(orgs::put_secrets))
        .route("/api/v2/orgs/{id}/secrets/delete", post(orgs::delete_secrets))
        .route("/api/v2/orgs/{id}/secrets/{key}", delete_(orgs::delete_secret))
        .route("/api/v2/{kind}/{id}/{role}", get(members::list).post(members::add))
        .route("/api/v2/{kind}/{id}/{role}/{user}", delete_(members::remove));
    let names = Router::new()
        .route("/api/v2/buckets", get(buckets::list).post(buckets::create))
        .route("/api/v2/buckets/{id}", get(buckets::one).patch(buckets::update).delete(buckets::remove))
        .route("/api/v2/buckets/{id}/labels", get(labels::of_bucket).post(labels::attach))
        .route("/api/v2/buckets/{id}/labels/{label}", delete_(labels::detach))
        .route("/api/v2/dbrps", get(dbrps::list).post(dbrps::create))
        .route("/api/v2/dbrps/{id}", get(dbrps::one).patch(dbrps::update).delete(dbrps::remove))
        .route("/api/v2/labels", get(labels::list).post(labels::create))
        .route("/api/v2/labels/{id}", get(labels::one).patch(labels::update).delete(labels::remove));
    let not_yet = service::NOT_YET.iter().fold(Router::new(), |router, name| {
        let path = format!("/api/v2/{name}");
        router.route(&path, any(service::not_yet)).route(&format!("{path}/{{*rest}}"), any(service::not_yet))
    });
    let own = Router::new()
        .route("/api/v2/tidegauge/verify", post(upkeep::verify))
        .route("/api/v2/tidegauge/inspect", get(upkeep::inspect))
        .route("/api/v2/tidegauge/compact", post(upkeep::compact));
    service.merge(rows).merge(people).merge(names).merge(own).merge(not_yet)
}

/// Answers requests (HTTP/1.1 and h2c) until `shutdown` is there; then running requests have `settings.drain` to end.
///
/// The caller closes the engine afterwards.
pub async fn serve(
    engine: Engine,
    listener: TcpListener,
    settings: HttpSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let drain = settings.drain;
    let router = router(App::new(engine, settings));
    let listener = listener.tap_io(|socket| {
        if let Err(e) = socket.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {e}");
        }
    });
    let (told, mut telling) = tokio::sync::watch::channel(false);
    let signal = async move {
        shutdown.await;
        // Nobody is left to hear it only when the server has ended already.
        let _ = told.send(true);
    };
    // In a task of its own: what accepts is then mostly the thread that goes on with the request, not one that has to be woken first.
    let mut server = JoinSet::new();
    server.spawn(axum::serve(listener, router).with_graceful_shutdown(signal).into_future());
    let late = async move {
        let _ = telling.wait_for(|told| *told).await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        Some(ended) = server.join_next() => Ok(ended.map_err(|e| Failure::internal(format!("accepting connections panicked: {e}")))??),
        () = late => Ok(()),
    }
}

#[cfg(test)]
mod tests;
