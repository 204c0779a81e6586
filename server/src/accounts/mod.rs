//! Accounts: organisations, users, machines' keys, tokens, enrolment.
//!
//! ```text
//! login, machines/session, enrol ──▶ token (shown once) ──▶ principal ──▶ every other path
//! ```

mod address_twins;
mod audit;
mod claim_list;
mod claims;
mod enrolment;
mod enrolment_codes;
mod first_start;
mod grant_keys;
mod grants;
mod guesses;
mod machine_rights;
mod machine_sessions;
mod me;
pub(crate) mod passwords;
mod principal;
mod sessions;
mod token_cache;
mod token_list;
mod tokens;
mod user_passwords;
mod users;

pub use address_twins::{AddressTwin, address_twins, told_of};
pub(crate) use enrolment_codes::{LetsIn, insert as insert_code, new_code};
pub use first_start::{DEFAULT_ORGANISATION, first_start};
pub(crate) use users::{User, insert as insert_user};

use crate::state::AppState;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Wrong passwords, codes and proofs from one address: so many at once, and one more each time.
const WRONG_GUESSES: (i64, i64) = (30, 10_000);
/// Wrong tokens from one address.
const WRONG_TOKENS: (i64, i64) = (600, 100);
/// Refused tokens are noted at most once a minute and address.
const NOTED_REFUSALS: (i64, i64) = (1, 60_000);

/// What is known of accounts besides the database: guesses, and tokens that were good a moment ago.
pub struct Accounts {
    passwords: passwords::Passwords,
    tokens: token_cache::TokenCache,
    wrong_passwords: guesses::Accounts,
    wrong_guesses: guesses::Buckets<IpAddr>,
    wrong_tokens: guesses::Buckets<IpAddr>,
    noted_refusals: guesses::Buckets<IpAddr>,
    refuses_unknown_machines: AtomicBool,
}

impl Default for Accounts {
    fn default() -> Self {
        let buckets = |(capacity, refill_ms)| guesses::Buckets::new(capacity, refill_ms);
        Self {
            passwords: passwords::Passwords::default(),
            tokens: token_cache::TokenCache::default(),
            wrong_passwords: guesses::Accounts::default(),
            wrong_guesses: buckets(WRONG_GUESSES),
            wrong_tokens: buckets(WRONG_TOKENS),
            noted_refusals: buckets(NOTED_REFUSALS),
            refuses_unknown_machines: AtomicBool::new(false),
        }
    }
}

impl Accounts {
    /// To be called after anything that ends tokens, as when a machine is deleted: each is read anew.
    pub fn forget_tokens(&self) {
        self.tokens.forget();
    }

    /// Whether a machine that nobody knows may ask to be approved.
    pub fn takes_unknown_machines(&self) -> bool {
        !self.refuses_unknown_machines.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn take_unknown_machines(&self, takes: bool) {
        self.refuses_unknown_machines.store(!takes, Ordering::Relaxed);
    }
}

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(me::time))
        .routes(routes!(me::me))
        .routes(routes!(sessions::login))
        .routes(routes!(sessions::logout))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::change, users::delete))
        .routes(routes!(user_passwords::set))
        .routes(routes!(token_list::list, token_list::create))
        .routes(routes!(token_list::revoke))
        .routes(routes!(enrolment_codes::list, enrolment_codes::create))
        .routes(routes!(enrolment_codes::delete))
        .routes(routes!(enrolment::enrol))
        .routes(routes!(machine_sessions::open))
        .routes(routes!(claims::claim))
        .routes(routes!(claim_list::list))
        .routes(routes!(claim_list::approve))
        .routes(routes!(claim_list::refuse))
        .routes(routes!(machine_rights::list))
        .routes(routes!(machine_rights::get, machine_rights::put, machine_rights::delete))
        .routes(routes!(grants::list, grants::create))
        .routes(routes!(grants::delete))
        .routes(routes!(grant_keys::put))
        .routes(routes!(grant_keys::get))
}
