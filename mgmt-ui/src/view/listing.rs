//! Lists as RabbitMQ's API gives them: filtered, sorted, cut into pages, with chosen columns.
//!
//! A page costs one look at each row's sort key and the rendering of that page's rows: the rows
//! before and behind it are selected away, not sorted.

mod filter;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use axum::http::StatusCode;

use self::filter::Filter;
use super::details::Windows;
use super::json::{Json, Object, Written};
use crate::http::{ApiError, Query};

const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: i64 = 500;

/// What a row is sorted by. Numbers come before words, as Erlang has it; what is missing counts
/// as zero.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    /// A number.
    Number(f64),
    /// A boolean or `null`, by its name.
    Word(&'static str),
    /// A string.
    Text(String),
    /// An array or object, written out.
    Other(String),
}

impl Key {
    /// The key of a value.
    pub(crate) fn of(value: Option<&Json>) -> Self {
        match value {
            None => Self::MISSING,
            Some(Json::Null) => Self::Word("null"),
            Some(Json::Bool(false)) => Self::Word("false"),
            Some(Json::Bool(true)) => Self::Word("true"),
            Some(Json::Int(n)) => Self::Number(*n as f64),
            Some(Json::Uint(n)) => Self::Number(*n as f64),
            Some(Json::Float(n)) => Self::Number(*n),
            Some(Json::Text(text)) => Self::Text(text.clone().into_owned()),
            Some(other) => Self::Other(String::from_utf8_lossy(&other.to_bytes()).into_owned()),
        }
    }

    /// What a row without the field has.
    pub(crate) const MISSING: Self = Self::Number(0.0);

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Word(_) => 1,
            Self::Other(_) => 2,
            Self::Text(_) => 3,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) | (Self::Other(a), Self::Other(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// One row of a list.
pub(crate) trait Row {
    /// What the filter looks at.
    fn name(&self) -> Cow<'_, str>;

    /// Another name people know it by: a word of the console's filter finds that, too.
    fn also_named(&self) -> Option<String> {
        None
    }

    /// The order when no other is asked for; no two rows are equal.
    fn order(&self, other: &Self) -> Ordering;

    /// The sort key at a path, when there is a quicker way than rendering the row.
    fn key(&self, path: &str) -> Option<Key> {
        let _ = path;
        None
    }

    /// The row as it is shown.
    fn render(&self, listing: &Listing) -> Object;
}

/// What a request wants of a list.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    columns: Option<Columns>,
    sort: Option<String>,
    reverse: bool,
    page: Option<Page>,
    /// Static fields only.
    pub(crate) disable_stats: bool,
    /// With `disable_stats`: the depth of queues all the same.
    pub(crate) queue_totals: bool,
    /// Which samples are wanted.
    pub(crate) windows: Windows,
}

#[derive(Debug)]
struct Page {
    number: usize,
    size: usize,
    filter: Option<Filter>,
}

/// Columns to keep: none for the whole value, else names within it.
#[derive(Debug, Default, Clone, PartialEq)]
struct Columns(BTreeMap<String, Columns>);

impl Listing {
    /// Reads the parameters of a request.
    pub(crate) fn of(query: &Query) -> Result<Self, ApiError> {
        let sort = query.get("sort").filter(|sort| !sort.is_empty());
        Ok(Self {
            columns: query.get("columns").and_then(Columns::parse),
            sort: sort.map(str::to_owned),
            reverse: query.flag("sort_reverse"),
            page: page(query)?,
            disable_stats: query.flag("disable_stats"),
            queue_totals: query.flag("enable_queue_totals"),
            windows: Windows::of(query)?,
        })
    }

    /// Whether a field can matter to the answer; to skip what is costly and not asked for.
    pub(crate) fn wants(&self, field: &str) -> bool {
        let within = |path: &str| path.split('.').next() == Some(field);
        match &self.columns {
            None => true,
            Some(columns) => {
                columns.0.contains_key(field)
                    || self.sort.as_deref().is_some_and(within)
                    || self.filter().is_some_and(|filter| filter.looks_at(field))
            }
        }
    }

    fn filter(&self) -> Option<&Filter> {
        self.page.as_ref()?.filter.as_ref()
    }

    /// One object with the chosen columns.
    pub(crate) fn one(&self, object: Object) -> Json {
        self.cut(object).into()
    }

    fn cut(&self, object: Object) -> Object {
        match &self.columns {
            Some(columns) => columns.of(&object),
            None => object,
        }
    }

    /// The list or page.
    pub(crate) fn answer<R: Row>(&self, rows: Vec<R>) -> Result<Written, ApiError> {
        let total = rows.len();
        let rows = match self.filter() {
            Some(filter) => {
                let mut rows = rows;
                rows.retain(|row| filter.matches(row, self));
                rows
            }
            None => rows,
        };
        let filtered = rows.len();
        let Some(page) = &self.page else {
            let rows = self.select(rows, 0, filtered);
            let mut bytes = Vec::new();
            self.write(&rows, &mut bytes);
            return Ok(Written(bytes));
        };
        let start = (page.number - 1).saturating_mul(page.size);
        if start >= filtered && page.number > 1 {
            return Err(ApiError::Refused {
                status: StatusCode::BAD_REQUEST,
                error: "page_out_of_range",
                reason: format!(
                    "Page out of range, page: {} page size: {}, len: {filtered}",
                    page.number, page.size
                ),
            });
        }
        let rows = self.select(rows, start, page.size);
        let mut head = Object::new();
        head.put("filtered_count", filtered);
        head.put("item_count", rows.len());
        head.put("page", page.number);
        head.put("page_count", filtered.div_ceil(page.size));
        head.put("page_size", page.size);
        head.put("total_count", total);
        let mut bytes = Json::from(head).to_bytes();
        bytes.pop();
        bytes.extend_from_slice(b",\"items\":");
        self.write(&rows, &mut bytes);
        bytes.push(b'}');
        Ok(Written(bytes))
    }

    /// Rows `start..start + n` of the sorted list.
    fn select<R: Row>(&self, rows: Vec<R>, start: usize, n: usize) -> Vec<R> {
        let key = |row: &R| match &self.sort {
            None => Key::MISSING,
            Some(path) => row.key(path).unwrap_or_else(|| {
                let rendered = Json::from(row.render(self));
                Key::of(rendered.at(path))
            }),
        };
        // Only keys and places are moved about; rows are large.
        let mut places: Vec<(Key, usize)> = rows.iter().map(key).zip(0..).collect();
        let compare = |(a, x): &(Key, usize), (b, y): &(Key, usize)| {
            let order = a.compare(b).then_with(|| rows[*x].order(&rows[*y]));
            if self.reverse { order.reverse() } else { order }
        };
        if start >= places.len() || n == 0 {
            return Vec::new();
        }
        if start > 0 {
            places.select_nth_unstable_by(start, compare);
            places.drain(..start);
        }
        if n < places.len() {
            places.select_nth_unstable_by(n - 1, compare);
            places.truncate(n);
        }
        places.sort_unstable_by(compare);
        let mut rows: Vec<Option<R>> = rows.into_iter().map(Some).collect();
        let chosen = places.into_iter();
        chosen.filter_map(|(_, place)| rows[place].take()).collect()
    }

    fn write<R: Row>(&self, rows: &[R], bytes: &mut Vec<u8>) {
        bytes.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            Json::from(self.cut(row.render(self))).write_to(bytes);
        }
        bytes.push(b']');
    }
}

impl Columns {
    /// `a,b.c`: none when nothing is named.
    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for column in text.split(',').filter(|column| !column.is_empty()) {
            let mut at = &mut all;
            for name in column.split('.') {
                at = at.0.entry(name.to_owned()).or_default();
            }
        }
        (!all.0.is_empty()).then_some(all)
    }

    fn of(&self, object: &Object) -> Object {
        let mut kept = Object::new();
        for (name, value) in object.fields() {
            let Some(within) = self.0.get(name) else {
                continue;
            };
            let value = match value {
                Json::Object(inner) if !within.0.is_empty() => within.of(inner).into(),
                whole if within.0.is_empty() => whole.clone(),
                // Nothing within what is no object.
                _ => continue,
            };
            kept.put(name.to_owned(), value);
        }
        kept
    }
}

/// The page asked for; none unless `page` is there.
fn page(query: &Query) -> Result<Option<Page>, ApiError> {
    let invalid = || ApiError::bad_request("Pagination parameters are invalid");
    let number = |name| match query.get(name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<i64>().map(Some).map_err(|_| invalid()),
    };
    let (page, size) = (number("page")?, number("page_size")?);
    let Some(page) = page else { return Ok(None) };
    let fits = size.is_none_or(|size| (1..=PAGE_SIZE_MAX).contains(&size));
    if page < 1 || !fits {
        let size = size.map_or_else(|| "undefined".to_owned(), |size| size.to_string());
        return Err(ApiError::Refused {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_pagination_parameters",
            reason: format!("Invalid pagination parameters: page number {page}, page size {size}"),
        });
    }
    let filter = Filter::of(query, invalid)?;
    Ok(Some(Page {
        number: usize::try_from(page).unwrap_or(usize::MAX),
        size: size.map_or(PAGE_SIZE, |size| size as usize),
        filter,
    }))
}

#[cfg(test)]
mod tests;
