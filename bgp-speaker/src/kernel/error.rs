//! What the kernel refused and what to do about it, in words.

use std::fmt;
use std::io;

/// Linux errno values that the follower acts on.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "some are only told by netlink"))]
pub(super) mod errno {
    pub(in crate::kernel) const EPERM: i32 = 1;
    pub(in crate::kernel) const ENOENT: i32 = 2;
    pub(in crate::kernel) const ESRCH: i32 = 3;
    pub(in crate::kernel) const EAGAIN: i32 = 11;
    pub(in crate::kernel) const ENOMEM: i32 = 12;
    pub(in crate::kernel) const EEXIST: i32 = 17;
    pub(in crate::kernel) const ENODEV: i32 = 19;
    pub(in crate::kernel) const EINVAL: i32 = 22;
    pub(in crate::kernel) const EAFNOSUPPORT: i32 = 97;
    pub(in crate::kernel) const ENETDOWN: i32 = 100;
    pub(in crate::kernel) const ENETUNREACH: i32 = 101;
    pub(in crate::kernel) const ENOBUFS: i32 = 105;
    pub(in crate::kernel) const EHOSTUNREACH: i32 = 113;
    pub(in crate::kernel) const EOPNOTSUPP: i32 = 95;
}

/// Why the kernel (or the follower in its place) refused one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// Positive errno.
    pub errno: i32,
    /// The kernel's own words (NETLINK_EXT_ACK), or ours; may be empty.
    pub text: String,
}

impl RouteError {
    /// An error with words.
    pub fn new(errno: i32, text: impl Into<String>) -> Self {
        Self { errno, text: text.into() }
    }

    /// What usually mends it.
    pub fn mend(&self) -> Option<&'static str> {
        Some(match self.errno {
            errno::EPERM => PERMISSION,
            errno::ENOMEM => {
                "the kernel is out of memory for routes: free memory, or raise net.ipv6.route.max_size on kernels \
                 before 6.3"
            }
            errno::EEXIST => {
                "another program holds this prefix with the same metric: use another metric or table, or remove its route"
            }
            errno::ENETUNREACH | errno::EHOSTUNREACH => {
                "the gateway is on no connected network and no route leads to it; retried when a link, address or \
                 route changes"
            }
            errno::ENODEV => "the interface does not exist; retried when it appears",
            errno::ENETDOWN => "the interface is down; retried when it comes up",
            errno::EOPNOTSUPP => "this kernel lacks the feature: check IPv6 and CONFIG_IP_ROUTE_MULTIPATH",
            _ => return None,
        })
    }
}

const PERMISSION: &str = "writing kernel routes needs CAP_NET_ADMIN: run as root, give the program the capability \
    (setcap cap_net_admin+ep), or set AmbientCapabilities=CAP_NET_ADMIN in its systemd unit";

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        match self.mend() {
            Some(mend) => write!(f, " ({mend})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RouteError {}

/// Why the way to the kernel itself failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FibError {
    /// The process may not write routes.
    NotPermitted,
    /// The kernel dropped messages for us (ENOBUFS): what we believe about its tables may be wrong.
    Overrun,
    /// This platform has no kernel export.
    Unsupported(&'static str),
    /// The settings cannot work.
    Config(ConfigError),
    /// The kernel refused a whole request (a dump, a lookup).
    Refused(RouteError),
    /// A system call failed.
    Io(&'static str, io::Error),
}

impl fmt::Display for FibError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str(PERMISSION),
            Self::Overrun => {
                f.write_str("the kernel dropped netlink messages (ENOBUFS): reading its table again")
            }
            Self::Unsupported(what) => f.write_str(what),
            Self::Config(error) => write!(f, "{error}"),
            Self::Refused(error) => write!(f, "{error}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for FibError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Refused(error) => Some(error),
            Self::Config(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConfigError> for FibError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Why a [`KernelConfig`](super::KernelConfig) cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Protocols 0 to 4 belong to the kernel and the administrator: the sweep would remove their routes.
    Protocol(u8),
    /// Table 0 is no table, and 255 (local) holds the kernel's own addresses.
    Table(u32),
    /// Metric 0 is no metric of its own: IPv6 turns it into 1024.
    Metric,
    /// A VRF has a table of its own, which is not the main one.
    Vrf,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(number) => write!(
                f,
                "kernel protocol {number} belongs to the kernel or the administrator; use 5 to 255, for example 186 (bgp)"
            ),
            Self::Table(number) => {
                write!(
                    f,
                    "kernel table {number} cannot hold BGP routes; use 254 (main) or a table of your own"
                )
            }
            Self::Metric => f.write_str("kernel metric 0 means 1024 in IPv6; use a metric of at least 1"),
            Self::Vrf => f.write_str(
                "a VRF has a table of its own and not 254 (main); use the one that it was made with",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_why_and_the_mend() {
        let words = RouteError::new(errno::ENETUNREACH, "Nexthop has invalid gateway").to_string();
        assert!(words.contains("Nexthop has invalid gateway"), "{words}");
        assert!(words.contains("no connected network"), "{words}");
        assert!(RouteError::new(errno::EPERM, "").to_string().contains("CAP_NET_ADMIN"));
    }
}
