//! How traffic over several next hops is divided among the legs that lead to them.
//!
//! A next hop's weight is its part of the whole, whatever leads to it: it is divided among the legs of the route that it
//! is behind, and next hops behind the same leg weigh there what they weigh together.

use super::route::{FibNextHop, KernelHop};

/// The greatest weight of a leg: `rtnh_hops` and the weight in a group of nexthop objects have one octet, counted from 0.
const MAX_WEIGHT: u64 = 256;
/// The finest division that is kept exact. Each next hop's weight is a fraction whose denominator is at most 2^16 (256
/// legs of weight 256): two such next hops always fit, and beyond that the error is less than one in 2^16.
const FINEST: u64 = 1 << 32;

/// The legs of one route, as they come together.
#[derive(Debug, Default)]
pub(super) struct Shares(Vec<Share>);

/// One leg has `part` of `of` parts of a next hop's weight.
#[derive(Debug)]
struct Share {
    leg: KernelHop,
    weight: u64,
    part: u64,
    of: u64,
}

impl Shares {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A next hop that is on this link itself.
    pub(super) fn direct(&mut self, hop: &FibNextHop, device: u32) {
        let leg = KernelHop { gateway: Some(hop.gateway), device, onlink: hop.onlink, weight: 1 };
        self.0.push(Share { leg, weight: weight(hop), part: 1, of: 1 });
    }

    /// A next hop behind a route with these legs; a leg without a gateway leads to the next hop itself.
    pub(super) fn behind(&mut self, hop: &FibNextHop, legs: &[KernelHop]) {
        let part = |leg: &KernelHop| u64::from(leg.weight.max(1));
        let of = legs.iter().map(part).sum();
        self.0.extend(legs.iter().map(|leg| {
            let gateway = leg.gateway.or(Some(hop.gateway));
            Share { leg: KernelHop { gateway, ..*leg }, weight: weight(hop), part: part(leg), of }
        }));
    }

    /// The legs, each with its part of the whole in units that they share.
    pub(super) fn legs(self) -> Vec<(KernelHop, u64)> {
        let common = self.0.iter().try_fold(1, |common, share| {
            let multiple = common / greatest_divisor(common, share.of) * share.of;
            (multiple <= FINEST).then_some(multiple)
        });
        let unit = common.unwrap_or(FINEST);
        let units = |share: &Share| {
            let units =
                u128::from(share.weight * share.part) * u128::from(unit) / u128::from(share.of.max(1));
            u64::try_from(units).unwrap_or(u64::MAX).max(1)
        };
        let legs: Vec<_> = self.0.iter().map(|share| (share.leg, units(share))).collect();
        // What was only multiplied to be divided does not show: weights that need no division stay as they are.
        let again = legs.iter().fold(unit, |divisor, (_, units)| greatest_divisor(divisor, *units));
        legs.into_iter().map(|(leg, units)| (leg, units / again)).collect()
    }
}

fn weight(hop: &FibNextHop) -> u64 {
    u64::from(hop.weight.max(1))
}

/// Weights that the kernel can express, in the same proportion as far as 256 steps go.
pub(crate) fn scaled(weights: &[u64]) -> Vec<u16> {
    let most = weights.iter().copied().max().unwrap_or(1);
    let divisor = weights.iter().fold(0, |divisor, weight| greatest_divisor(divisor, *weight)).max(1);
    let exact = most / divisor <= MAX_WEIGHT;
    let scale = |weight: u64| match weight {
        _ if most <= MAX_WEIGHT => weight,
        _ if exact => weight / divisor,
        _ => {
            let scaled =
                (u128::from(weight) * u128::from(MAX_WEIGHT) + u128::from(most / 2)) / u128::from(most);
            u64::try_from(scaled).unwrap_or(MAX_WEIGHT)
        }
    };
    weights.iter().map(|weight| u16::try_from(scale(*weight).clamp(1, MAX_WEIGHT)).unwrap_or(1)).collect()
}

fn greatest_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_beyond_an_octet_keep_their_proportion() {
        assert_eq!(scaled(&[3, 6]), [3, 6]);
        assert_eq!(scaled(&[256, 1]), [256, 1]);
        assert_eq!(scaled(&[512, 256]), [2, 1]);
        assert_eq!(scaled(&[1000, 501]), [256, 128]);
        assert_eq!(scaled(&[u64::MAX, 1]), [256, 1]);
        assert_eq!(scaled(&[0, 0]), [1, 1]);
        assert_eq!(scaled(&[]), [] as [u16; 0]);
    }

    #[test]
    fn a_division_that_no_common_unit_fits_is_as_good_as_exact() {
        let hop = FibNextHop::new([192, 0, 2, 1].into());
        let mut shares = Shares::default();
        for (at, of) in [65_521_u32, 65_519, 65_497, 65_479].into_iter().enumerate() {
            // Primes: the least common multiple of all four is about 2^64.
            let leg = |weight| KernelHop {
                gateway: None,
                device: u32::try_from(at).unwrap(),
                onlink: false,
                weight: u16::try_from(weight).unwrap(),
            };
            shares.behind(&hop, &[leg(of / 2), leg(of - of / 2)]);
        }
        let legs = shares.legs();
        let most = legs.iter().map(|(_, units)| *units).max().unwrap();
        let least = legs.iter().map(|(_, units)| *units).min().unwrap();
        assert_eq!(legs.len(), 8);
        assert!(most - least < most / 1000, "halves all of them: {least} to {most}");
    }
}
