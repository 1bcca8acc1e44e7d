//! A policy and an operator policy made one (row L-3): keys only one has stay, those both have
//! merge by their own rule.

use super::{Definition, keys};

/// The merged definition.
pub fn merge_definitions(own: Option<&Definition>, operator: Option<&Definition>) -> Definition {
    let mut merged = own.cloned().unwrap_or_default();
    for (name, value) in operator.into_iter().flatten() {
        match (merged.get_mut(name), keys::find(name)) {
            (Some(own), Some(key)) => *own = key.merge.merge(own, value).clone(),
            _ => {
                merged.insert(name.clone(), value.clone());
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn merged(own: Value, operator: Value) -> Value {
        let definition = merge_definitions(own.as_object(), operator.as_object());
        Value::Object(definition)
    }

    #[test]
    fn l3_keys_of_both_merge() {
        assert_eq!(
            merged(
                json!({"max-length": 10, "dead-letter-exchange": "x", "overflow": "drop-head"}),
                json!({"max-length": 5, "expires": 7, "overflow": "reject-publish"}),
            ),
            json!({"max-length": 5, "dead-letter-exchange": "x", "overflow": "reject-publish",
                "expires": 7})
        );
        assert_eq!(
            merged(
                json!({"delivery-limit": -1, "target-group-size": 3}),
                json!({"delivery-limit": 5, "target-group-size": 5}),
            ),
            json!({"delivery-limit": 5, "target-group-size": 5})
        );
        assert_eq!(
            merged(
                json!({"delayed-retry-min": 1, "delayed-retry-max": 9, "delayed-retry-type": "all"}),
                json!({"delayed-retry-min": 2, "delayed-retry-max": 8,
                    "delayed-retry-type": "failed"}),
            ),
            json!({"delayed-retry-min": 2, "delayed-retry-max": 8, "delayed-retry-type": "failed"})
        );
    }

    fn definition() -> impl Strategy<Value = Definition> {
        let number = prop_oneof![
            Just("message-ttl"),
            Just("expires"),
            Just("max-length"),
            Just("max-length-bytes"),
            Just("max-in-memory-length"),
            Just("max-in-memory-bytes"),
        ];
        let entry = prop_oneof![
            4 => (number, 1..5i64).prop_map(|(key, n)| (key, json!(n))),
            1 => (-2..4i64).prop_map(|n| ("delivery-limit", json!(n))),
            1 => prop_oneof![Just("drop-head"), Just("reject-publish")]
                .prop_map(|text| ("overflow", json!(text))),
        ];
        prop::collection::vec(entry, 0..6).prop_map(|entries| {
            let entries = entries.into_iter();
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        })
    }

    proptest! {
        /// No key is lost or made up; what only one has stays; of what both have the stricter
        /// one counts, whatever the order; merging with nothing or with itself changes nothing.
        #[test]
        fn l3_an_operator_policy_only_makes_it_stricter(own in definition(), op in definition()) {
            let both = merge_definitions(Some(&own), Some(&op));
            for key in own.keys().chain(op.keys()) {
                prop_assert!(both.contains_key(key));
            }
            for (key, value) in &both {
                let (own, op) = (own.get(key), op.get(key));
                prop_assert!(own == Some(value) || op == Some(value));
                let number = |value: Option<&Value>| value.and_then(Value::as_i64);
                if let (Some(own), Some(op), Some(merged)) =
                    (number(own), number(op), value.as_i64())
                {
                    let negative = key == "delivery-limit" && (own < 0 || op < 0);
                    prop_assert_eq!(merged, if negative { own.max(op) } else { own.min(op) });
                } else if own.is_some() && op.is_some() {
                    prop_assert_eq!(op, Some(value));
                }
            }
            prop_assert_eq!(&merge_definitions(Some(&own), None), &own);
            prop_assert_eq!(&merge_definitions(None, Some(&own)), &own);
            prop_assert_eq!(&merge_definitions(Some(&own), Some(&own)), &own);
            prop_assert_eq!(&merge_definitions(Some(&both), Some(&op)), &both);
        }
    }
}
