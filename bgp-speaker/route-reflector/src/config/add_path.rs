//! Several paths of a prefix on a session (RFC 7911): one word for every family, or a word for each.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{BoolDeserializer, I64Deserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::parse::{most_taken, paths_to_send};
use super::value::{Family, quoted, refuse};

quoted!(
    /// Which paths of a prefix go to a peer that takes several.
    #[derive(Copy)]
    AddPathSend(bgp_speaker::AddPathSend),
    "which paths to send: \"all\", \"equal-cost\", \"per-as\", \"best 2\"", paths_to_send
);

/// Whether to take several paths of a prefix, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddPathReceive {
    /// Just one.
    Off,
    /// As many as the peer sends.
    On,
    /// So many, if the peer knows of such limits (draft-abraitis-idr-addpath-paths-limit).
    AtMost(u16),
}

impl<'de> Deserialize<'de> for AddPathReceive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;
        impl Visitor<'_> for Take {
            type Value = AddPathReceive;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(AddPathReceive::EXPECTED)
            }
            fn visit_bool<E: Error>(self, take: bool) -> Result<AddPathReceive, E> {
                Ok(if take { AddPathReceive::On } else { AddPathReceive::Off })
            }
            fn visit_i64<E: Error>(self, most: i64) -> Result<AddPathReceive, E> {
                most_taken(most).map(AddPathReceive::AtMost).map_err(|(what, mend)| refuse(what, mend))
            }
        }
        from.deserialize_any(Take)
    }
}

/// A word that may stand for every family, or for one of them.
pub(crate) trait Word: for<'de> Deserialize<'de> {
    /// What to write.
    const EXPECTED: &'static str;
}

impl Word for AddPathReceive {
    const EXPECTED: &'static str =
        "true, false, a number of paths, or { ipv4-unicast = true, ipv6-unicast = 4 }";
}

impl Word for AddPathSend {
    const EXPECTED: &'static str =
        "which paths to send: \"all\", \"equal-cost\", \"per-as\", \"best 2\", or { ipv4-unicast = \"all\" }";
}

/// One word for every family of a session, or a word for each that is named.
#[derive(Debug, Clone)]
pub(crate) enum PerFamily<T> {
    /// `key = word`.
    All(T),
    /// `key = { family = word }`.
    Each(Vec<(Spanned<Family>, T)>),
}

impl<'de, T: Word> Deserialize<'de> for PerFamily<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words<T>(PhantomData<T>);
        impl<'de, T: Word> Visitor<'de> for Words<T> {
            type Value = PerFamily<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }
            fn visit_bool<E: Error>(self, word: bool) -> Result<PerFamily<T>, E> {
                T::deserialize(BoolDeserializer::new(word)).map(PerFamily::All)
            }
            fn visit_i64<E: Error>(self, word: i64) -> Result<PerFamily<T>, E> {
                T::deserialize(I64Deserializer::new(word)).map(PerFamily::All)
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<PerFamily<T>, E> {
                T::deserialize(StrDeserializer::new(word)).map(PerFamily::All)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<PerFamily<T>, A::Error> {
                let mut each = Vec::new();
                while let Some(row) = table.next_entry()? {
                    each.push(row);
                }
                Ok(PerFamily::Each(each))
            }
        }
        from.deserialize_any(Words(PhantomData))
    }
}
