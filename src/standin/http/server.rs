//! The routes, and the life of the process from its first listening to its end.

use std::{io::Write as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::standin::{
    faults::condition::Condition,
    stand_in::{Options, StandIn, StandInError},
};

use super::{
    chat,
    release::Release,
    sleep,
    socket::{Cut, Socket},
};

/// How long `/health` says 503 after the engine's death, and how long connections are then refused before the process
/// ends (`docs/facts/vllm.md`, "Deaths": 0.75 to 2.5 s and 2 to 4 s, or 0.2 s at most and 1.1 s).
fn last_moments(release: Release) -> (Duration, Duration) {
    match release {
        Release::V0_11_2 => (Duration::from_millis(1500), Duration::from_millis(1500)),
        Release::V0_32_0 => (Duration::from_millis(200), Duration::from_millis(1100)),
    }
}

/// Serves until a signal, or until the fault script makes the engine die. Prints `listening on ADDRESS` on standard
/// output once requests are answered.
///
/// # Errors
/// The server cannot be set up: see [`StandInError`].
pub fn run(options: Options) -> Result<(), StandInError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(options));
    // Drops every request, which kills its Tesseract child.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(options: Options) -> Result<(), StandInError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = options.listen.clone();
    let stand_in = Arc::new(StandIn::prepare(options).await?);
    let socket = Socket::bind(&address).await.map_err(|source| StandInError::Bind { address, source })?;
    announce(&stand_in, &socket.url()?);
    let service = routes(&stand_in).into_make_service_with_connect_info::<Cut>();
    tokio::select! {
        result = async { axum::serve(socket, service).await } => return Ok(result?),
        _ = terminate.recv() => tracing::info!("ended by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("ended by SIGINT"),
        () = exit_after_death(&stand_in) => {
            tracing::error!("the engine is dead: the server no longer listens");
        }
    }
    if stand_in.condition.now() == Condition::Dead {
        tokio::time::sleep(last_moments(stand_in.options.release).1).await;
    }
    Ok(())
}

async fn exit_after_death(stand_in: &StandIn) {
    stand_in.condition.death().await;
    tracing::error!("FAULT INJECTED: the engine died by the fault script");
    tokio::time::sleep(last_moments(stand_in.options.release).0).await;
}

fn announce(stand_in: &StandIn, url: &str) {
    tracing::warn!(
        dialect = ?stand_in.model.dialect,
        kind = %stand_in.kind(),
        model = stand_in.model.name,
        url,
        "THIS IS A STAND-IN SERVER, NOT A MODEL: its answers are {}",
        match stand_in.kind() {
            crate::model::ServerKind::StandInSynthetic => "synthetic",
            _ => "read by Tesseract",
        }
    );
    // The process that started the server may have closed the pipe. The address is in the log too.
    let _ = writeln!(std::io::stdout(), "listening on {url}");
}

fn routes(stand_in: &Arc<StandIn>) -> Router {
    stand_in
        .options
        .sleep
        .map_or_else(Router::new, sleep::routes)
        .route("/health", get(health))
        .route("/ping", get(health).post(health))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat::completions))
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async { detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .layer(middleware::from_fn_with_state(Arc::clone(stand_in), authorize))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(stand_in))
}

fn detail(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "detail": text }))).into_response()
}

/// Demands the key below `/v1` only, as a real server does.
async fn authorize(State(stand_in): State<Arc<StandIn>>, request: Request, next: Next) -> Response {
    let authorized = stand_in.options.api_key.as_ref().is_none_or(|key| {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && given == key)
    });
    if !authorized && request.uri().path().starts_with("/v1") {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "Unauthorized" }))).into_response();
    }
    next.run(request).await
}

async fn health(State(stand_in): State<Arc<StandIn>>) -> StatusCode {
    match stand_in.condition.now() {
        Condition::Healthy | Condition::Hung => StatusCode::OK,
        Condition::Dead => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn version(State(stand_in): State<Arc<StandIn>>) -> Response {
    Json(json!({ "version": format!("{}+{}", stand_in.options.release, stand_in.kind()) })).into_response()
}

async fn metrics(State(stand_in): State<Arc<StandIn>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=1.0.0; charset=utf-8")], stand_in.metrics.render()).into_response()
}

async fn models(State(stand_in): State<Arc<StandIn>>) -> Response {
    let model = &stand_in.model;
    let created = jiff::Timestamp::now().as_second();
    let permission = json!({
        "id": "modelperm-stand-in", "object": "model_permission", "created": created, "allow_create_engine": false,
        "allow_sampling": true, "allow_logprobs": true, "allow_search_indices": false, "allow_view": true,
        "allow_fine_tuning": false, "organization": "*", "group": null, "is_blocking": false,
    });
    Json(json!({ "object": "list", "data": [{
        "id": model.name, "object": "model", "created": created,
        "owned_by": format!("bocr-{}", stand_in.kind()), "root": stand_in.kind().name(), "parent": null,
        "max_model_len": model.max_model_len, "permission": [permission],
    }]}))
    .into_response()
}
