//! The OpenAPI document, from the faces themselves: each is annotated beside its code and named here once.
//!
//! What every operation has in common (its refusals, its headers, the faces of its ids) is added in one place,
//! [`complete`], so that an annotation says only what is its own: method, path, bodies and scope.

pub mod bodies;
mod complete;
mod older;
mod postman;
pub mod serve;

use crate::dialects::{external, v1};
use crate::{health, inbound};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;
use utoipa::OpenApi;

/// The native surface. A new face is annotated and named here.
#[derive(OpenApi)]
#[openapi(paths(
    v1::campaigns::create,
    v1::campaigns::list,
    v1::campaigns::get,
    v1::campaigns::replace,
    v1::campaigns::archive,
    v1::campaigns::start,
    v1::campaigns::resume,
    v1::campaigns::pause,
    v1::campaigns::trigger,
    v1::campaigns::enrol,
    v1::businesses::add,
    v1::runs::generate,
    v1::runs::send,
    v1::runs::list,
    v1::runs::get,
    v1::runs::events,
    v1::drafts::list,
    v1::drafts::approve_many,
    v1::drafts::get,
    v1::drafts::edit,
    v1::drafts::approve,
    v1::drafts::reject,
    v1::drafts::regenerate,
    v1::analytics::of_campaign,
    v1::analytics::of_account,
    v1::reporting::summary,
    v1::reporting::messages,
    v1::monitoring::dashboard,
    v1::monitoring::inbound,
    v1::spending::get,
    v1::spending::set_cap,
    health::native,
    v1::simulation::get,
    v1::messages::test,
    v1::keys::create,
    v1::keys::list,
    v1::keys::get,
    v1::keys::rotate,
    v1::keys::revoke,
    v1::mailbox::list,
    v1::mailbox::get,
    v1::usage::get,
    v1::leads::create,
    v1::leads::create_many,
    v1::leads::list,
    v1::leads::get,
    v1::leads::delete,
    v1::users::list,
    v1::users::create,
    v1::users::get,
    v1::users::change,
    v1::users::delete,
    v1::users::consents,
    v1::imports::upload,
    v1::imports::list,
    v1::imports::get,
    v1::imports::errors,
    v1::messages::explain_lead,
    v1::messages::list,
    v1::messages::get,
    v1::messages::explain,
    v1::messages::release,
    v1::messages::cancel,
    v1::profiles::create,
    v1::profiles::list,
    v1::profiles::get,
    v1::profiles::change,
    v1::suppressions::create,
    v1::suppressions::list,
    v1::templates::create,
    v1::templates::list,
    v1::templates::get,
    v1::templates::update,
    v1::templates::delete,
    v1::templates::preview,
    v1::segments::create,
    v1::segments::list,
    v1::segments::get,
    v1::segments::update,
    v1::segments::delete,
    v1::segments::evaluate,
    v1::events::list,
    v1::events::create,
    v1::inbound::create,
    v1::inbound::list,
    v1::inbound::get,
    v1::webhooks::create,
    v1::webhooks::list,
    v1::webhooks::get,
    v1::webhooks::change,
    v1::webhooks::update,
    v1::webhooks::delete,
    v1::webhooks::test,
    v1::webhooks::rotate,
    v1::webhooks::deliveries,
    v1::webhooks::replay,
))]
struct Native;

/// The external dialect (S1).
#[derive(OpenApi)]
#[openapi(paths(
    external::status,
    external::create_lead,
    external::create_leads,
    external::list_campaigns,
    external::get_campaign,
    external::create_campaign,
    external::update_campaign,
    external::pause_campaign,
    external::unpause_campaign,
    external::delete_campaign,
))]
struct External;

/// Everything, with the bodies that no face names itself.
#[derive(OpenApi)]
#[openapi(
    paths(inbound::text, inbound::status),
    info(
        title = "Sendwright",
        description = "A self-hosted outreach engine: sequences of steps go out by e-mail, every message at most once, \
                       every event recorded. `/v1` is another name for `/api/v1`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    nest((path = "/api/v1", api = Native), (path = "/api/external", api = External)),
    components(schemas(bodies::common::Error, bodies::external::ExternalError)),
)]
struct Surface;

/// One operation: what the door needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The route's template, such as `/api/v1/leads/{id}`.
    pub path: String,
    /// The scope that a key needs for it; none where it has not been given one.
    pub scope: Option<String>,
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let written = serde_json::to_value(Surface::openapi()).unwrap_or_default();
    complete::complete(written)
});

static OLDER: LazyLock<Value> = LazyLock::new(|| older::rendered(&DOCUMENT));

static SCOPES: LazyLock<HashMap<(&'static str, String), String>> = LazyLock::new(|| {
    let scoped = |route: Route| Some(((route.method, route.path), route.scope?));
    routes().into_iter().filter_map(scoped).collect()
});

/// The document, OpenAPI 3.1.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The same for tools that read OpenAPI 3.0.
pub fn document_3_0() -> &'static Value {
    &OLDER
}

/// A Postman collection (2.1) with every operation in it.
pub fn postman() -> Value {
    postman::collection(&DOCUMENT)
}

/// The route table: every operation of the document that a key opens. What a provider signs is opened by nobody else.
pub fn routes() -> Vec<Route> {
    let mut found = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if complete::is_signed(operation) {
                continue;
            }
            let scope = operation["security"][0]["key"][0].as_str();
            let Some(method) = complete::METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(method))
            else {
                continue;
            };
            found.push(Route { method, path: path.clone(), scope: scope.map(str::to_owned) });
        }
    }
    found.sort();
    found
}

/// The names of a row that a GET shows, where it takes `fields`: of its answer, or of the rows of its list.
pub(crate) fn fields_of(template: &str) -> Option<Vec<String>> {
    let operation = &DOCUMENT["paths"].get(native(template))?["get"];
    let takes = operation["parameters"].as_array()?.iter().any(|p| p["name"] == "fields");
    let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    let properties = properties(answer);
    let row = match properties.iter().any(|(name, _)| *name == "next_cursor") {
        true => self::properties(properties.iter().find_map(|(_, property)| property.get("items"))?),
        false => properties,
    };
    takes.then(|| row.into_iter().map(|(name, _)| name.clone()).collect())
}

/// Every property of a schema, of the one that it names and of its parts.
fn properties(schema: &'static Value) -> Vec<(&'static String, &'static Value)> {
    if let Some(name) = schema["$ref"].as_str() {
        return DOCUMENT.pointer(name.trim_start_matches('#')).map(properties).unwrap_or_default();
    }
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(properties);
    parts.chain(schema["properties"].as_object().into_iter().flatten()).collect()
}

/// `/v1` is another name for `/api/v1`.
pub(crate) fn native(template: &str) -> String {
    match template.strip_prefix("/v1") {
        Some(rest) => format!("/api/v1{rest}"),
        None => template.to_owned(),
    }
}

/// The scope that a route asks for, by its method and template; `/v1` is `/api/v1`. HEAD asks for what GET does.
pub(crate) fn scope_of(method: &str, template: &str) -> Option<&'static str> {
    let method = if method == "HEAD" { "GET" } else { method };
    let method = complete::METHODS.into_iter().find(|known| *known == method)?;
    SCOPES.get(&(method, native(template))).map(String::as_str)
}
