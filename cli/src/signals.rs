//! Signals: the first asks the job to stop, the second ends the process.

use crate::exit::{Exit, Failure, Result};
use holotype_repo::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A token that SIGINT and SIGTERM pull. Made when secrets are in hand: while the terminal is asked
/// for a password, signals end the process at once.
pub fn cancel_token() -> Result<CancelToken> {
    let token = CancelToken::new();
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before this signal sets it.
        flag::register_conditional_shutdown(signal, Exit::Cancelled as i32, token.flag())
            .and_then(|_| flag::register(signal, token.flag()))
            .map_err(|error| Failure::io("signals", "handle them", error))?;
    }
    Ok(token)
}
