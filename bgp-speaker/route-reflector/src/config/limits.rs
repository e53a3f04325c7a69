//! How much a peer may tell and be told: a number, or a table that says more about it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::add_path::Word;
use super::parse::{bound, percent};
use super::value::{LimitAction, number, refuse};

number!(
    /// How many there may be.
    Most(u64), "a number from 1 on (without quotes)", bound
);
number!(
    /// A part of what may be.
    Percent(u8), "a percentage from 0 to 100 (without quotes)", percent
);

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// How many there may be.
    pub(crate) max: u64,
    /// What becomes of more.
    pub(crate) action: Option<LimitAction>,
    /// At which part of it there is a warning; at 75 % when missing.
    pub(crate) warn_at: Option<u8>,
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Table {
            max: Most,
            action: Option<LimitAction>,
            warn_at: Option<Percent>,
        }
        struct Limit;
        impl<'de> Visitor<'de> for Limit {
            type Value = Bound;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 1 on, or { max = 1000, action = \"warn\", warn-at = 80 }")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Bound, E> {
                let max = bound(number).map_err(|(what, mend)| refuse(what, mend))?;
                Ok(Bound { max, action: None, warn_at: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Bound, A::Error> {
                let Table { max, action, warn_at } = Table::deserialize(MapAccessDeserializer::new(table))?;
                Ok(Bound { max: max.0, action, warn_at: warn_at.map(|part| part.0) })
            }
        }
        from.deserialize_any(Limit)
    }
}

impl Word for Bound {
    const EXPECTED: &'static str = "a number from 1 on, or one for each family: { ipv4-unicast = 1000, ipv6-unicast = { max = 50, action = \"warn\" } }";
}
