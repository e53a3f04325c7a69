//! Attribute type codes.
use core::fmt;

/// A path attribute's type code ([registry](https://www.iana.org/assignments/bgp-parameters#bgp-parameters-2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeCode(pub u8);

macro_rules! codes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl AttributeCode {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*

            /// The registered name, as the RFCs write it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    ORIGIN = 1, "RFC 4271 §5.1.1.";
    AS_PATH = 2, "RFC 4271 §5.1.2.";
    NEXT_HOP = 3, "RFC 4271 §5.1.3.";
    MULTI_EXIT_DISC = 4, "RFC 4271 §5.1.4.";
    LOCAL_PREF = 5, "RFC 4271 §5.1.5.";
    ATOMIC_AGGREGATE = 6, "RFC 4271 §5.1.6.";
    AGGREGATOR = 7, "RFC 4271 §5.1.7.";
    COMMUNITIES = 8, "RFC 1997.";
    ORIGINATOR_ID = 9, "RFC 4456 §8.";
    CLUSTER_LIST = 10, "RFC 4456 §8.";
    MP_REACH_NLRI = 14, "RFC 4760 §3.";
    MP_UNREACH_NLRI = 15, "RFC 4760 §4.";
    EXTENDED_COMMUNITIES = 16, "RFC 4360.";
    AS4_PATH = 17, "RFC 6793 §4.2.2.";
    AS4_AGGREGATOR = 18, "RFC 6793 §4.2.2.";
    PMSI_TUNNEL = 22, "RFC 6514 §5.";
    TUNNEL_ENCAPSULATION = 23, "RFC 9012 §2.";
    TRAFFIC_ENGINEERING = 24, "RFC 5543.";
    IPV6_EXTENDED_COMMUNITIES = 25, "RFC 5701.";
    AIGP = 26, "RFC 7311.";
    LINK_STATE = 29, "RFC 9552 §5.3.";
    LARGE_COMMUNITIES = 32, "RFC 8092.";
    BGPSEC_PATH = 33, "RFC 8205.";
    ONLY_TO_CUSTOMER = 35, "RFC 9234 §5.";
    SFP = 37, "RFC 9015.";
    PREFIX_SID = 40, "RFC 8669.";
    ATTR_SET = 128, "RFC 6368.";
}

/// The registered name, or `attribute 99`.
impl fmt::Display for AttributeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}
