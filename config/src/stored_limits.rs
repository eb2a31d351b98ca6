//! A key's limits as they are kept beside a million others: their text, and nothing where there are none. A tree of values
//! takes twenty times as much. Knows no limit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What the document has of a key's limits: a list, or null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StoredLimits(Box<str>);

impl StoredLimits {
    /// As who checks or shows them wants them.
    pub fn value(&self) -> Value {
        match self.0.is_empty() {
            true => Value::Null,
            // It was one when it was stored.
            false => serde_json::from_str(&self.0).unwrap_or_default(),
        }
    }
}

impl From<Value> for StoredLimits {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Null => Box::default(),
            value => value.to_string().into(),
        })
    }
}

impl Serialize for StoredLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StoredLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::StoredLimits;

    #[test]
    fn what_is_stored_is_what_was_said() {
        for said in [
            json!(null),
            json!([]),
            json!([{"requests": 100, "per": "1m"}, {"budget": "1.50 USD", "per": "day"}]),
        ] {
            let stored = StoredLimits::from(said.clone());
            assert_eq!(stored.value(), said);
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(text, said.to_string());
            assert_eq!(serde_json::from_str::<StoredLimits>(&text).unwrap(), stored);
        }
        assert_eq!(size_of::<StoredLimits>(), 16);
    }
}
