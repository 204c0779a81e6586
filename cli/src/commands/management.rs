//! What the commands for a server's machines, groups, tasks and lists share.

use crate::exit::{Failure, Result};
use crate::server_api::{ServerApi, escape};
use serde_json::Value;

/// The text of a field; empty where there is none.
pub fn text<'a>(item: &'a Value, field: &str) -> &'a str {
    item[field].as_str().unwrap_or_default()
}

/// A time for people.
pub fn time(item: &Value, field: &str) -> String {
    let time = item[field].as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

/// A length for people.
pub fn size(item: &Value, field: &str) -> String {
    item[field].as_u64().map_or_else(|| "-".to_owned(), crate::units::size)
}

/// The id of the one thing in `list` (as `machines`) that has this name or id.
pub fn id(api: &ServerApi, list: &str, what: &str, name: &str) -> Result<String> {
    if name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(name.to_owned());
    }
    let found: Vec<Value> = api.list(&format!("/{list}?name={}", escape(name)))?;
    match found.as_slice() {
        [one] => Ok(text(one, "id").to_owned()),
        [] => Err(Failure::failed("not-found", format!("{what} {name}: there is none of that name on the server"))),
        many => {
            let ids: Vec<&str> = many.iter().map(|item| text(item, "id")).collect();
            let why = format!("{what} {name}: several have that name; give one of the ids {}", ids.join(", "));
            Err(Failure::usage(why))
        }
    }
}

/// A query of the filters that are given.
pub fn query(filters: &[(&str, Option<&str>)]) -> String {
    let given = filters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escape((*value)?))));
    let given: Vec<String> = given.collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

/// At most `limit` items of a list that may be very long.
pub fn first(api: &ServerApi, path: &str, limit: u32) -> Result<Vec<Value>> {
    let (mut items, mut after) = (Vec::new(), String::new());
    let join = if path.contains('?') { '&' } else { '?' };
    while items.len() < limit as usize {
        let page_items = (limit as usize - items.len()).min(500);
        let page: Value = api.get(&format!("{path}{join}limit={page_items}{after}"))?;
        items.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", escape(next)),
            None => break,
        }
    }
    items.truncate(limit as usize);
    Ok(items)
}
