//! The audit trail: what is done is noted with it, in one transaction, and told to listeners after it.

use crate::access::Principal;
use crate::error::Result;
use crate::events::{self, LiveEvent, NewEvent, Outcome};
use crate::state::AppState;
use rusqlite::Transaction;
use std::net::IpAddr;

/// Who acts, for the audit trail.
#[derive(Debug, Clone)]
pub(super) struct By {
    pub organisation: String,
    pub actor: String,
    pub address: IpAddr,
}

impl By {
    /// One who has a token.
    pub fn principal(principal: &Principal) -> Self {
        let organisation = principal.organisation.clone();
        Self { organisation, actor: principal.name(), address: principal.address }
    }

    /// One who has shown nothing yet.
    pub fn nobody(organisation: &str, address: IpAddr) -> Self {
        Self { organisation: organisation.to_owned(), actor: "nobody".to_owned(), address }
    }

    /// Something that was done to `subject`.
    pub fn did(&self, kind: &'static str, subject: impl Into<String>) -> Note {
        Note(NewEvent {
            organisation: self.organisation.clone(),
            kind,
            actor: self.actor.clone(),
            machine: None,
            subject: subject.into(),
            address: Some(self.address.to_string()),
            outcome: Outcome::Done,
            detail: String::new(),
        })
    }

    /// Something that was not allowed.
    pub fn refused(&self, kind: &'static str, subject: impl Into<String>) -> Note {
        let mut note = self.did(kind, subject);
        note.0.outcome = Outcome::Refused;
        note
    }
}

/// An event that is being put together.
pub(super) struct Note(NewEvent);

impl Note {
    pub fn machine(mut self, machine: &str) -> Self {
        self.0.machine = Some(machine.to_owned());
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }
}

/// Events of one transaction.
#[derive(Default)]
pub(super) struct Audit(Vec<LiveEvent>);

impl Audit {
    /// Notes an event with the rest of the transaction.
    pub fn note(&mut self, transaction: &Transaction<'_>, note: Note) -> Result<()> {
        self.0.push(events::record(transaction, &note.0)?);
        Ok(())
    }
}

/// Writes in one transaction what `work` does and notes; listeners hear of it once it is durable.
pub(super) async fn write<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Transaction<'_>, &mut Audit) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (result, audit) = state
        .database
        .write(move |transaction| {
            let mut audit = Audit::default();
            Ok((work(transaction, &mut audit)?, audit))
        })
        .await?;
    audit.0.into_iter().for_each(|event| state.events.tell(event));
    Ok(result)
}

/// Notes in the background: the answer comes at the same time whether or not there is something to note.
pub(super) fn note_later(state: &AppState, note: Note) {
    let state = state.clone();
    tokio::spawn(async move {
        if let Err(error) = write(&state, |transaction, audit| audit.note(transaction, note)).await {
            tracing::error!("could not note an event: {error}");
        }
    });
}
