//! The API: one table of routes, served on the control socket (peer credentials decide) and under `/admin` of the
//! admin address (a token decides). A resource is one file.

mod cache;
mod config;
mod drain;
mod events;
mod explain;
mod feedback;
mod keys;
mod ledger;
mod limits;
mod metrics;
mod openapi;
mod peer;
mod problem;
mod revisions;
pub mod routes;
mod status;
mod usage;

use std::sync::Arc;

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use sha2::{Digest, Sha256};
use tokio::net::UnixListener;
use tollgate_config::parse::MAX_TEXT_BYTES;

use crate::plane::{Actor, Plane};

pub use peer::{Access, Peer};
pub use problem::ApiProblem;

/// What handlers return.
type Answer<T> = Result<T, ApiProblem>;

fn api(plane: &Arc<Plane>) -> Router {
    let mut router = Router::new();
    for route in routes::ROUTES {
        router = router.route(route.path, (route.handler)());
    }
    router
        .fallback(async || ApiProblem::new(StatusCode::NOT_FOUND, "no such path; /v1/openapi.json lists them"))
        .method_not_allowed_fallback(async || {
            ApiProblem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "not this method; /v1/openapi.json lists them",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_TEXT_BYTES))
        .with_state(plane.clone())
}

/// Serves the control socket until the process ends.
pub async fn serve_socket(plane: Arc<Plane>, listener: UnixListener) {
    let router = api(&plane).layer(from_fn_with_state(plane, admit_peer));
    let service = router.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the control socket ended");
    }
}

pub fn admin_router(plane: Arc<Plane>) -> Router {
    let admin = api(&plane).layer(from_fn_with_state(plane.clone(), admit_token));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics::show))
        .with_state(plane)
        .nest("/admin", admin)
}

async fn admit_peer(
    State(plane): State<Arc<Plane>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let access = peer.access(&plane.control_socket);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if access == Access::None || (access == Access::Read && !reads) {
        let may = if access == Access::Read {
            "may read here and not write"
        } else {
            "may not use this socket"
        };
        let actor = peer.actor();
        let detail = format!(
            "{} {may}; root and the socket's owner write, members of its group read",
            actor.name
        );
        return Err(ApiProblem::new(StatusCode::FORBIDDEN, detail));
    }
    request.extensions_mut().insert(peer.actor());
    Ok(next.run(request).await)
}

async fn admit_token(State(plane): State<Arc<Plane>>, mut request: Request, next: Next) -> Answer<Response> {
    let unauthorized = |detail: &str| Err(ApiProblem::new(StatusCode::UNAUTHORIZED, detail));
    let Some(expected) = plane.current().truth.admin_token_sha256 else {
        return unauthorized("/admin is closed: the configuration names no admin.token");
    };
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return unauthorized("send the admin token as Authorization: Bearer");
    };
    // The hashes are compared: how long that takes says nothing about the token.
    let given: [u8; 32] = Sha256::digest(token.trim()).into();
    if given != expected {
        return unauthorized("not the admin token");
    }
    request.extensions_mut().insert(Actor::named("admin token"));
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests;
