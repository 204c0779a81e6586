//! Lists in pages: in a fixed order, each page names where the next begins.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Items of a page where the client does not say.
const DEFAULT_ITEMS: u32 = 100;
/// Items of the largest page.
pub const MAX_ITEMS: u32 = 1000;

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before; the first page without it.
    #[param(max_length = 200)]
    pub after: Option<String>,
    /// At most this many items, up to 1000; 100 without it.
    #[serde(default, deserialize_with = "within_bounds")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

fn within_bounds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(limit) if !(1..=MAX_ITEMS).contains(&limit) => {
            Err(serde::de::Error::custom(format_args!("limit is 1 to {MAX_ITEMS}")))
        }
        limit => Ok(limit),
    }
}

impl PageQuery {
    /// Items of the page, within the bounds.
    pub fn items(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_ITEMS).clamp(1, MAX_ITEMS)
    }

    /// Where the page begins: after this.
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `after` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of what a query for one item more than `limit` gave; `key` is what the list is ordered by.
    pub fn of(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_where_the_next_begins() {
        let page = |items: &[u32]| Page::of(items.to_vec(), 2, u32::to_string);
        assert_eq!((page(&[1, 2, 3]).items, page(&[1, 2, 3]).next), (vec![1, 2], Some("2".to_owned())));
        assert_eq!((page(&[1, 2]).items, page(&[1, 2]).next), (vec![1, 2], None));
        assert_eq!(page(&[]).next, None);
        let limit = |limit| PageQuery { after: None, limit }.items();
        assert_eq!((limit(None), limit(Some(0)), limit(Some(5000))), (100, 1, 1000));
    }
}
