//! Signals: the first asks the job to stop, the second ends the process.

use crate::exit::{Exit, Failure, Result};
use holotype_repo::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::{LazyLock, Mutex, PoisonError};

static TOKEN: LazyLock<CancelToken> = LazyLock::new(CancelToken::new);
static CAUGHT: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// A token that SIGINT and SIGTERM pull.
pub fn cancel_token() -> Result<CancelToken> {
    catch(SIGINT)?;
    catch(SIGTERM)?;
    Ok(TOKEN.clone())
}

/// Catches SIGINT alone. Called before the terminal is asked for a password: there, Ctrl-C must
/// not end the process before the terminal is as it was. SIGTERM still ends it.
pub fn catch_interrupt() -> Result<()> {
    catch(SIGINT)
}

fn catch(signal: i32) -> Result<()> {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    if caught.contains(&signal) {
        return Ok(());
    }
    // The order matters: the shutdown looks at the flag before this signal sets it.
    flag::register_conditional_shutdown(signal, Exit::Cancelled as i32, TOKEN.flag())
        .and_then(|_| flag::register(signal, TOKEN.flag()))
        .map_err(|error| Failure::io("signals", "handle them", error))?;
    caught.push(signal);
    Ok(())
}
