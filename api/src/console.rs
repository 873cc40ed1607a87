//! The console: plain pages over the same operations as the API. No script; every form carries a token.

mod analytics;
mod dashboard;
mod form;
mod guard;
mod home;
mod mailbox;
mod page;
mod session;

pub(crate) use guard::is_at_home;

use crate::state::ApiState;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

/// Who may see the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whoever sits at this machine: the process listens on loopback, at this port. Host and Origin are
    /// checked on every request, so that no web site can reach it through somebody's browser.
    Loopback {
        /// The port it listens at.
        port: u16,
    },
    /// Whoever has a key.
    Keyed,
}

/// How the console is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Console {
    /// Who may see it.
    pub mode: Mode,
    /// People reach it over https, so that its cookie is never sent without.
    pub is_https: bool,
}

impl Console {
    /// For `up` on a loopback address.
    pub fn loopback(port: u16) -> Self {
        Self { mode: Mode::Loopback { port }, is_https: false }
    }

    /// Whether it is for whoever sits at this machine.
    pub fn is_loopback(&self) -> bool {
        matches!(self.mode, Mode::Loopback { .. })
    }

    /// For every other address.
    pub fn keyed(is_https: bool) -> Self {
        Self { mode: Mode::Keyed, is_https }
    }
}

/// Every page, behind its guard.
pub fn routes(state: &ApiState) -> Router<ApiState> {
    let open = Router::new()
        .route("/console.css", get(page::style))
        .route("/login", get(session::login).post(session::enter));
    Router::new()
        .route("/", get(home::show))
        .route("/console/campaigns/{id}/analytics", get(analytics::show))
        .route("/console/dashboard", get(dashboard::show))
        .route("/console/campaigns/{id}/start", post(home::start))
        .route("/console/campaigns/{id}/pause", post(home::pause))
        .route("/console/keys/{id}/revoke", post(home::revoke))
        .route("/logout", post(session::leave))
        .route("/mailbox", get(mailbox::list))
        .route("/mailbox/messages", get(mailbox::messages))
        .route("/mailbox/{id}", get(mailbox::show))
        .route("/mailbox/{id}/html", get(mailbox::html))
        .route("/mailbox/{id}/raw", get(mailbox::raw))
        .route_layer(from_fn_with_state(state.clone(), guard::admit))
        .merge(open)
        .route_layer(from_fn_with_state(state.clone(), guard::locate))
}
