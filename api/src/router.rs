//! The whole HTTP surface.

use crate::auth::{self, Class, Entrance};
use crate::dialects::{Dialect, Door, external, shape, v1};
use crate::openapi::serve;
use crate::refusal::Refusal;
use crate::state::ApiState;
use crate::{console, crossing, health, inbound, request, showing, tracking, unsubscribe};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// Every route, under the layers that give it its id, its door and its words for errors.
pub fn router(state: ApiState) -> Router {
    let native = || {
        let routes =
            guarded(native(), Class::Native, &state).merge(guarded(messaging(), Class::Messaging, &state));
        behind(routes, Dialect::V1, &state)
    };
    let external = guarded(external(), Class::External, &state);
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/o/{file}", get(tracking::open))
        .route("/c/{token}", get(tracking::click))
        .route("/u/{token}", get(unsubscribe::page).post(unsubscribe::act))
        .route("/webhooks/inbound", post(inbound::text))
        .route("/webhooks/status", post(inbound::status));
    let door = Door { state: state.clone(), dialect: Dialect::V1 };
    Router::new()
        .nest("/api/external", behind(external, Dialect::External, &state))
        .nest("/api/v1", native())
        .nest("/v1", native())
        .merge(serve::routes(&state).layer(packed()))
        .merge(console::routes(&state))
        .merge(open)
        .fallback(nothing)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(door, shape))
        .layer(from_fn(request::observe))
        .with_state(state)
}

/// S1, endpoint by endpoint.
fn external() -> Router<ApiState> {
    Router::new()
        .route("/status", get(external::status))
        .route("/leads", post(external::create_lead))
        .route("/leads/bulk", post(external::create_leads))
        .route("/campaigns", get(external::list_campaigns).post(external::create_campaign))
        .route(
            "/campaigns/{id}",
            get(external::get_campaign).put(external::update_campaign).delete(external::delete_campaign),
        )
        .route("/campaigns/{id}/pause", post(external::pause_campaign))
        .route("/campaigns/{id}/unpause", post(external::unpause_campaign))
}

/// The native surface.
fn native() -> Router<ApiState> {
    use v1::{
        analytics, businesses, campaigns, drafts, events, inbound, keys, leads, mailbox, messages, profiles,
        runs, simulation, spending, suppressions, usage, webhooks,
    };
    Router::new()
        .route("/health", get(health::native))
        .route("/campaigns", get(campaigns::list).post(campaigns::create))
        .route("/campaigns/{id}", get(campaigns::get).put(campaigns::replace).delete(campaigns::archive))
        .route("/campaigns/{id}/start", post(campaigns::start))
        .route("/campaigns/{id}/resume", post(campaigns::resume))
        .route("/campaigns/{id}/pause", post(campaigns::pause))
        .route("/campaigns/{id}/leads", post(campaigns::enrol))
        .route("/campaigns/{id}/businesses", post(businesses::add))
        .route("/campaigns/{id}/generate", post(runs::generate))
        .route("/campaigns/{id}/send", post(runs::send))
        .route("/campaigns/{id}/analytics", get(analytics::of_campaign))
        .route("/analytics", get(analytics::of_account))
        .route("/campaigns/{id}/drafts", get(drafts::list))
        .route("/campaigns/{id}/drafts/approve", post(drafts::approve_many))
        .route("/drafts/{id}", get(drafts::get).patch(drafts::edit))
        .route("/drafts/{id}/approve", post(drafts::approve))
        .route("/drafts/{id}/reject", post(drafts::reject))
        .route("/drafts/{id}/regenerate", post(drafts::regenerate))
        .route("/spending", get(spending::get).put(spending::set_cap))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/events", get(runs::events))
        .route("/campaigns/{id}/simulation", get(simulation::get))
        .route("/campaigns/{id}/test", post(messages::test))
        .route("/inbound", get(inbound::list).post(inbound::create))
        .route("/inbound/{id}", get(inbound::get))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", get(keys::get).delete(keys::revoke))
        .route("/keys/{id}/rotate", post(keys::rotate))
        .route("/mailbox", get(mailbox::list))
        .route("/mailbox/{id}", get(mailbox::get))
        .route("/usage", get(usage::get))
        .route("/leads", get(leads::list).post(leads::create))
        .route("/leads/bulk", post(leads::create_many))
        .route("/leads/{id}", get(leads::get).delete(leads::delete))
        .route("/leads/{id}/explain", get(messages::explain_lead))
        .route("/messages", get(messages::list))
        .route("/messages/{id}", get(messages::get))
        .route("/messages/{id}/explain", get(messages::explain))
        .route("/messages/{id}/release", post(messages::release))
        .route("/messages/{id}/cancel", post(messages::cancel))
        .route("/sending-profiles", get(profiles::list).post(profiles::create))
        .route("/sending-profiles/{id}", get(profiles::get).patch(profiles::change))
        .route("/suppressions", get(suppressions::list).post(suppressions::create))
        .route("/events", get(events::list).post(events::create))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/webhooks/{id}",
            get(webhooks::get).patch(webhooks::change).put(webhooks::update).delete(webhooks::delete),
        )
        .route("/webhooks/{id}/test", post(webhooks::test))
        .route("/webhooks/{id}/rotate-secret", post(webhooks::rotate))
        .route("/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/webhooks/{id}/replay", post(webhooks::replay))
}

/// What S2 alone has of the native surface.
fn messaging() -> Router<ApiState> {
    use v1::{campaigns, imports, monitoring, reporting, segments, templates, users};
    Router::new()
        .route("/campaigns/{id}/trigger", post(campaigns::trigger))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::get).put(users::change).delete(users::delete))
        .route("/users/{id}/consents", get(users::consents))
        .route("/users/bulk/upload", post(imports::upload).layer(DefaultBodyLimit::disable()))
        .route("/imports", get(imports::list))
        .route("/imports/{id}", get(imports::get))
        .route("/imports/{id}/errors", get(imports::errors))
        .route("/templates", get(templates::list).post(templates::create))
        .route("/templates/{id}", get(templates::get).put(templates::update).delete(templates::delete))
        .route("/templates/{id}/preview", post(templates::preview))
        .route("/segments", get(segments::list).post(segments::create))
        .route("/segments/{id}", get(segments::get).put(segments::update).delete(segments::delete))
        .route("/segments/{id}/evaluate", post(segments::evaluate))
        .route("/reporting/campaigns/{id}/summary", get(reporting::summary))
        .route("/reporting/messages/status", get(reporting::messages))
        .route("/monitoring/dashboard", get(monitoring::dashboard))
        .route("/monitoring/inbound", get(monitoring::inbound))
}

/// Routes behind the keys.
fn guarded(routes: Router<ApiState>, class: Class, state: &ApiState) -> Router<ApiState> {
    let entrance = Entrance { state: state.clone(), class };
    let routes = routes.route_layer(from_fn(crossing::begin_anew)).route_layer(from_fn(showing::show));
    routes.route_layer(from_fn_with_state(entrance, auth::guard))
}

/// A prefix: its routes, and every error in its words.
fn behind(routes: Router<ApiState>, dialect: Dialect, state: &ApiState) -> Router<ApiState> {
    let door = Door { state: state.clone(), dialect };
    routes
        .fallback(nothing)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(door, shape))
        .layer(packed())
}

/// gzip and br for callers that take them; a stream of events stays plain.
fn packed() -> CompressionLayer {
    CompressionLayer::new().quality(CompressionLevel::Precise(4))
}

async fn nothing() -> Refusal {
    Refusal::NotFound("there is nothing at this path".into())
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic's own text may hold anything; the hook has logged it.
    Refusal::Internal.into_response()
}
