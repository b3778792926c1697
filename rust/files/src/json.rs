//! The members of a JSON object with their places in the text.
//! Depends on serde. Invariant: no member is lost, not even one whose name comes twice; nesting of any depth needs no stack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order, values as text.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Where a piece of `text` begins in it.
pub(crate) fn place(text: &str, piece: &str) -> u64 {
    (piece.as_ptr() as usize - text.as_ptr() as usize) as u64
}

/// Where an error lies in the text, and what it says.
pub(crate) fn describe(text: &str, error: &serde_json::Error) -> (u64, String) {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let place = (before + error.column().saturating_sub(1)).min(text.len());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    (place as u64, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_order_and_duplicates() {
        let text = r#"{"b": 1, "a": {"c": [2]}, "b": "3"}"#;
        let Members(members) = serde_json::from_str(text).unwrap();
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
        assert_eq!(place(text, members[1].1.get()), 14);
    }

    #[test]
    fn errors_know_their_byte() {
        let text = "{\"a\": 1,\n \"b\": ?}";
        let error = serde_json::from_str::<Members<'_>>(text).err().unwrap();
        assert_eq!(describe(text, &error).0, 15);
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let text = format!("{{\"a\": {}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(serde_json::from_str::<Members<'_>>(&text).unwrap().0.len(), 1);
    }
}
