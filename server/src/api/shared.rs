//! What all lists and changes share: pages, bounded values, and the journal of a change.

use crate::access::{Actor, Principal, Role};
use crate::error::{ApiError, Code, Result};
use crate::events::{LiveEvent, NewEvent, Outcome, record};
use crate::page::Page;
use crate::state::AppState;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Row, Transaction, params_from_iter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Largest whole number that every JSON parser keeps.
pub(super) const MAX_NUMBER: i64 = (1 << 53) - 1;

/// Items of a page: 1 to 500, 100 where nothing is said.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u16")]
pub(super) struct Limit(u16);

impl Limit {
    /// Items.
    pub(super) fn items(self) -> usize {
        self.0.into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u16> for Limit {
    type Error = &'static str;

    fn try_from(items: u16) -> Result<Self, Self::Error> {
        (1..=500).contains(&items).then_some(Self(items)).ok_or("limit is 1 to 500")
    }
}

/// A count of bytes, or milliseconds since 1970: 0 to 2⁵³ - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(value_type = i64, minimum = 0, maximum = 9007199254740991_i64)]
pub(super) struct Count(pub(super) i64);

impl TryFrom<i64> for Count {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        (0..=MAX_NUMBER).contains(&number).then_some(Self(number)).ok_or("a number is 0 to 2^53 - 1")
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        whole_number(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// A whole number; JSON may write one as `23.0` too.
pub(super) fn whole_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<i64, D::Error> {
    struct Whole;

    impl serde::de::Visitor<'_> for Whole {
        type Value = i64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E>(self, number: i64) -> std::result::Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<i64, E> {
            number.try_into().map_err(|_| E::custom("a number is too large"))
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<i64, E> {
            let is_whole = number.fract() == 0.0 && number.abs() <= MAX_NUMBER as f64;
            if is_whole { Ok(number as i64) } else { Err(E::custom("a number here is whole")) }
        }
    }

    deserializer.deserialize_i64(Whole)
}

/// A text of a query: at most 200 characters.
pub(super) fn bounded<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match text.as_ref().is_some_and(|text| text.chars().take(201).count() > 200) {
        true => Err(serde::de::Error::custom("a text of a query has at most 200 characters")),
        false => Ok(text),
    }
}

/// A text of at most `MAX` characters without control characters; it may be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Text<const MAX: usize>(pub(super) String);

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        bounded_text::<MAX>(&text, |letter| letter.is_control()).map(|()| Self(text))
    }
}

/// Lines of at most `MAX` characters in all; of control characters only the ends of lines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Lines<const MAX: usize>(pub(super) String);

impl<const MAX: usize> TryFrom<String> for Lines<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        bounded_text::<MAX>(&text, |letter| letter.is_control() && letter != '\n').map(|()| Self(text))
    }
}

fn bounded_text<const MAX: usize>(text: &str, is_refused: impl Fn(char) -> bool) -> Result<(), String> {
    if text.chars().take(MAX + 1).count() > MAX {
        return Err(format!("a text here has at most {MAX} characters"));
    }
    match text.chars().any(is_refused) {
        true => Err("a text here has no control characters".to_owned()),
        false => Ok(()),
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

/// A query that grows by its filters. Values are always bound, never written into the text.
pub(super) struct Select {
    sql: String,
    values: Vec<Value>,
}

impl Select {
    /// Begins with `sql`, whose `?` are `values`.
    pub(super) fn new(sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Self {
        Self { sql: sql.into(), values: values.into_iter().collect() }
    }

    /// One more condition; all its `?` are `value`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        let value = value.into();
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(condition.matches('?').map(|_| value.clone()));
    }

    /// One more condition with several values.
    pub(super) fn and_all(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// The one row that there is.
    pub(super) fn row<T>(self, connection: &Connection, map: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        Ok(statement.query_row(params_from_iter(self.values), map)?)
    }

    /// The page of `limit` items in `order`; `key` says where the next one begins.
    pub(super) fn page<T>(
        mut self,
        connection: &Connection,
        order: &str,
        limit: Option<Limit>,
        map: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>> {
        let limit = u32::from(limit.unwrap_or_default().0);
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT {}", limit + 1));
        let mut statement = connection.prepare_cached(&self.sql)?;
        let rows = statement.query_map(params_from_iter(self.values), |row| map(row))?;
        Ok(Page::of(rows.collect::<rusqlite::Result<_>>()?, limit, key))
    }
}

/// A cursor of two parts.
pub(super) fn pair(first: i64, second: impl std::fmt::Display) -> String {
    format!("{first}.{second}")
}

/// The two parts of a cursor.
pub(super) fn split_pair(cursor: &str) -> Result<(i64, &str)> {
    let parts = cursor.split_once('.').and_then(|(first, second)| Some((first.parse().ok()?, second)));
    parts.ok_or_else(bad_cursor)
}

/// A cursor that none of our answers gave.
pub(super) fn bad_cursor() -> ApiError {
    invalid("after: this is not the `next` of a page of this list")
}

/// The request makes no sense.
pub(super) fn invalid(why: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidRequest, why)
}

/// The state does not allow it.
pub(super) fn conflict(why: impl Into<String>) -> ApiError {
    ApiError::new(Code::Conflict, why)
}

/// `%text%` for LIKE with `ESCAPE '\'`.
pub(super) fn contains_pattern(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// A row, or the refusal that names `what`.
pub(super) fn one<T>(row: rusqlite::Result<T>, what: &str) -> Result<T> {
    row.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => ApiError::not_found(format!("such {what}")),
        other => other.into(),
    })
}

/// `changed` rows: none means that `what` is not there, a name that is taken is a conflict.
pub(super) fn changed(changed: rusqlite::Result<usize>, what: &str) -> Result<()> {
    match changed {
        Ok(0) => Err(ApiError::not_found(format!("such {what}"))),
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => {
            Err(conflict(format!("another {what} has that name; choose another one")))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_unique_violation(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Tables whose rows belong to an organisation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Machines,
    Groups,
    Tasks,
    KernelImages,
}

/// That `id` is a row of this organisation.
pub(super) fn require(connection: &Connection, table: Table, organisation: &str, id: &str) -> Result<()> {
    let (table, what) = match table {
        Table::Machines => ("machines", "machine"),
        Table::Groups => ("groups", "group"),
        Table::Tasks => ("tasks", "task"),
        Table::KernelImages => ("kernel_images", "kernel image"),
    };
    let sql = format!("SELECT 1 FROM {table} WHERE id = ?1 AND organisation = ?2");
    one(connection.prepare_cached(&sql)?.query_row([id, organisation], |_| Ok(())), what)
}

/// A user may see every machine of the organisation, a machine itself alone.
pub(super) fn may_see_machine(principal: &Principal, machine: &str) -> Result<()> {
    match &principal.actor {
        Actor::Machine { id } if id != machine => Err(ApiError::not_found("such machine")),
        _ => Ok(()),
    }
}

/// An operator, or the machine itself.
pub(super) fn may_describe_machine(principal: &Principal, machine: &str) -> Result<()> {
    match &principal.actor {
        Actor::Machine { .. } => may_see_machine(principal, machine),
        Actor::User { .. } => principal.require_user(Role::Operator).map(drop),
    }
}

/// What a change leaves in the audit trail, and tells listeners once it is committed.
pub(super) struct Journal {
    organisation: String,
    actor: String,
    address: Option<String>,
    live: Vec<LiveEvent>,
}

impl Journal {
    /// Of a request.
    pub(super) fn of(principal: &Principal) -> Self {
        let address = Some(principal.address.to_string());
        Self { organisation: principal.organisation.clone(), actor: principal.name(), address, live: Vec::new() }
    }

    /// Of the server's own doing.
    pub(super) fn of_server(organisation: &str) -> Self {
        Self { organisation: organisation.to_owned(), actor: "server".to_owned(), address: None, live: Vec::new() }
    }

    /// Notes what was done.
    pub(super) fn note(
        &mut self,
        transaction: &Transaction<'_>,
        kind: &'static str,
        machine: Option<&str>,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Result<()> {
        self.note_outcome(transaction, kind, machine, subject, detail, Outcome::Done)
    }

    /// Notes how something ended.
    pub(super) fn note_outcome(
        &mut self,
        transaction: &Transaction<'_>,
        kind: &'static str,
        machine: Option<&str>,
        subject: impl Into<String>,
        detail: impl Into<String>,
        outcome: Outcome,
    ) -> Result<()> {
        let event = NewEvent {
            organisation: self.organisation.clone(),
            kind,
            actor: self.actor.clone(),
            machine: machine.map(str::to_owned),
            subject: subject.into(),
            address: self.address.clone(),
            outcome,
            detail: detail.into(),
        };
        self.live.push(record(transaction, &event)?);
        Ok(())
    }

    /// Tells listeners of the progress of a run.
    pub(super) fn progress(&mut self, data: serde_json::Value) {
        let organisation = self.organisation.clone();
        self.live.push(LiveEvent { organisation, name: "progress", number: None, data });
    }

    /// What is to be told after the commit.
    pub(super) fn into_live(self) -> Vec<LiveEvent> {
        self.live
    }
}

/// Changes the database in one transaction, and tells listeners once it is committed.
pub(super) async fn change<T: Send + 'static>(
    state: &AppState,
    principal: &Principal,
    work: impl FnOnce(&Transaction<'_>, &mut Journal) -> Result<T> + Send + 'static,
) -> Result<T> {
    let mut journal = Journal::of(principal);
    let (value, journal) = state
        .database
        .write(move |transaction| {
            let value = work(transaction, &mut journal)?;
            Ok((value, journal))
        })
        .await?;
    journal.into_live().into_iter().for_each(|event| state.events.tell(event));
    Ok(value)
}
