//! Attribute values in words.
use super::{
    Aggregator, AsPathView, AttributeCode, ClusterList, Communities, ExtendedCommunities, LargeCommunities,
    Origin, RawAttribute, aigp_metric,
};
use crate::parse::front32;
use crate::{Asn, Codec, RouterId};

impl RawAttribute<'_> {
    /// The value in words, as a log or a tool shows it; `None` for one that is not interpreted.
    #[must_use]
    pub fn describe(&self, codec: &Codec) -> Option<String> {
        let value = self.value;
        match self.code {
            AttributeCode::ORIGIN => Origin::decode(value).map(|o| o.to_string()),
            AttributeCode::AS_PATH => Some(AsPathView::new(value, codec.four_octet_as).to_string()),
            AttributeCode::AS4_PATH => Some(AsPathView::new(value, true).to_string()),
            AttributeCode::MULTI_EXIT_DISC | AttributeCode::LOCAL_PREF => {
                front32(value).map(|n| n.to_string())
            }
            AttributeCode::NEXT_HOP | AttributeCode::ORIGINATOR_ID => {
                front32(value).map(|id| RouterId(id).to_string())
            }
            AttributeCode::ONLY_TO_CUSTOMER => front32(value).map(|asn| Asn(asn).to_string()),
            AttributeCode::ATOMIC_AGGREGATE => Some(String::new()),
            AttributeCode::AGGREGATOR | AttributeCode::AS4_AGGREGATOR => {
                Aggregator::decode(value).map(|a| a.to_string())
            }
            AttributeCode::COMMUNITIES => Some(words(Communities(value).iter())),
            AttributeCode::CLUSTER_LIST => Some(words(ClusterList(value).iter())),
            AttributeCode::EXTENDED_COMMUNITIES => Some(words(ExtendedCommunities(value).iter())),
            AttributeCode::LARGE_COMMUNITIES => Some(words(LargeCommunities(value).iter())),
            AttributeCode::AIGP => aigp_metric(value).map(|n| n.to_string()),
            _ => None,
        }
    }
}

fn words(items: impl Iterator<Item: core::fmt::Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}
