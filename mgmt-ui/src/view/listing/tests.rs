use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Rows of a made-up list.
#[derive(Clone, Debug)]
struct Thing {
    name: String,
    size: Option<i64>,
}

impl Row for Thing {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }

    fn render(&self, _: &Listing) -> Object {
        let mut inner = Object::new();
        if let Some(size) = self.size {
            inner.put("size", size);
        }
        inner.put("unit", "m");
        let mut object = Object::new();
        object.put("name", self.name.clone());
        object.put("inner", inner);
        object
    }
}

fn listing(parameters: &[(&str, String)]) -> Result<Listing, ApiError> {
    let pairs = parameters.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
    Listing::of(&Query::from(pairs.collect::<HashMap<_, _>>()))
}

fn ask(parameters: &[(&str, &str)]) -> Result<Listing, ApiError> {
    let owned: Vec<_> = parameters
        .iter()
        .map(|(k, v)| (*k, (*v).to_owned()))
        .collect();
    listing(&owned)
}

fn reason(parameters: &[(&str, &str)]) -> String {
    match ask(parameters) {
        Err(ApiError::Refused { error, reason, .. }) => format!("{error}: {reason}"),
        other => panic!("{other:?}"),
    }
}

fn things(n: usize) -> Vec<Thing> {
    let thing = |i: usize| Thing {
        name: format!("t{i:03}"),
        size: (!i.is_multiple_of(3)).then_some((i * 7 % 10) as i64),
    };
    (0..n).map(thing).collect()
}

fn json_of(listing: &Listing, rows: Vec<Thing>) -> Value {
    serde_json::from_slice(&listing.answer(rows).unwrap().0).unwrap()
}

#[test]
fn wrong_parameters_are_refused_in_rabbitmqs_words() {
    assert_eq!(
        reason(&[("page", "0")]),
        "invalid_pagination_parameters: Invalid pagination parameters: page number 0, page size \
         undefined"
    );
    assert_eq!(
        reason(&[("page", "1"), ("page_size", "501")]),
        "invalid_pagination_parameters: Invalid pagination parameters: page number 1, page size \
         501"
    );
    for wrong in [
        &[("page", "x")][..],
        &[("page", "1"), ("page_size", "x")],
        &[("page", "1"), ("name", "["), ("use_regex", "true")],
    ] {
        assert_eq!(
            reason(wrong),
            "bad_request: Pagination parameters are invalid"
        );
    }
    assert_eq!(
        reason(&[("lengths_age", "60000"), ("lengths_incr", "1")]),
        "bad_request: Invalid range parameters: age 60000, incr 1"
    );
    // Half a pair counts for nothing, and so does a size without a page.
    assert!(ask(&[("lengths_age", "60000"), ("page_size", "9999")]).is_ok());
}

#[test]
fn a_page_beyond_the_end_is_an_error_and_an_empty_list_is_not() {
    let beyond = ask(&[("page", "50")]).unwrap();
    let Err(ApiError::Refused { error, reason, .. }) = beyond.answer(things(10)) else {
        panic!("not refused");
    };
    assert_eq!(error, "page_out_of_range");
    assert_eq!(
        reason,
        "Page out of range, page: 50 page size: 100, len: 10"
    );
    let first = ask(&[("page", "1"), ("page_size", "2")]).unwrap();
    let wanted = json!({
        "filtered_count": 0, "item_count": 0, "items": [], "page": 1, "page_count": 0,
        "page_size": 2, "total_count": 0,
    });
    assert_eq!(json_of(&first, Vec::new()), wanted);
}

#[test]
fn columns_reach_into_objects() {
    let chosen = ask(&[("columns", "inner.unit,nope,name.x")]).unwrap();
    assert_eq!(
        json_of(&chosen, things(1)),
        json!([{ "inner": { "unit": "m" } }])
    );
    let whole = ask(&[("columns", "inner")]).unwrap();
    assert_eq!(
        json_of(&whole, things(2))[1],
        json!({ "inner": { "size": 7, "unit": "m" } })
    );
    assert!(chosen.wants("inner") && !chosen.wants("other"));
}

#[test]
fn without_a_page_nothing_is_filtered() {
    let all = ask(&[("name", "t001"), ("page_size", "1")]).unwrap();
    assert_eq!(json_of(&all, things(3)).as_array().unwrap().len(), 3);
}

proptest! {
    /// Filter, sort and page agree with doing it the slow way.
    #[test]
    fn pages_are_those_of_the_sorted_list(
        sizes in prop::collection::vec(prop::option::of(-5i64..5), 0..60),
        sorted in any::<bool>(),
        reverse in any::<bool>(),
        filter in prop::option::of(0u8..10),
        regex in any::<bool>(),
        page in 1usize..6,
        page_size in 1usize..20,
    ) {
        let rows: Vec<Thing> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| Thing { name: format!("T{:02}", (i * 37) % 97), size: *size })
            .collect();
        let mut naive = rows.clone();
        if let Some(digit) = filter {
            naive.retain(|row| match regex {
                true => row.name.ends_with(char::from(b'0' + digit)),
                false => row.name.contains(char::from(b'0' + digit)),
            });
        }
        let filtered = naive.len();
        naive.sort_by(|a, b| a.name.cmp(&b.name));
        if sorted {
            naive.sort_by_key(|row| row.size.unwrap_or(0));
        }
        if reverse {
            naive.reverse();
        }
        let mut parameters = vec![
            ("page", page.to_string()),
            ("page_size", page_size.to_string()),
            ("sort_reverse", reverse.to_string()),
            ("use_regex", regex.to_string()),
        ];
        if sorted {
            parameters.push(("sort", "inner.size".to_owned()));
        }
        if let Some(digit) = filter {
            let text = if regex { format!("^t.*{digit}$") } else { digit.to_string() };
            parameters.push(("name", text));
        }
        let answer = listing(&parameters).unwrap().answer(rows.clone());
        let start = (page - 1) * page_size;
        if page > 1 && start >= filtered {
            prop_assert!(answer.is_err());
            return Ok(());
        }
        let wanted: Vec<&str> = naive.iter().skip(start).take(page_size).map(|row| &*row.name).collect();
        let found: Value = serde_json::from_slice(&answer.unwrap().0).unwrap();
        let items = found["items"].as_array().unwrap();
        let names: Vec<&str> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        prop_assert_eq!(names, wanted);
        prop_assert_eq!(&found["total_count"], &json!(rows.len()));
        prop_assert_eq!(&found["filtered_count"], &json!(filtered));
        prop_assert_eq!(&found["item_count"], &json!(items.len()));
        prop_assert_eq!(&found["page_count"], &json!(filtered.div_ceil(page_size)));
    }
}
