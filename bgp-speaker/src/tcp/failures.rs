//! What Linux counts of segments that it dropped for their signature.

use crate::status::SignatureFailures;

/// The counters of the network namespace that the calling thread is in.
const NETSTAT: &str = "/proc/thread-self/net/netstat";

/// The counters, where the system has them.
pub(crate) fn signature_failures() -> Option<SignatureFailures> {
    read(&std::fs::read_to_string(NETSTAT).ok()?)
}

/// Reads pairs of lines, names and then values, as proc_pid_net(5) has them.
fn read(text: &str) -> Option<SignatureFailures> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    // A kernel without TCP-AO has none of its names.
    let value = |name: &str| {
        let at = names.split(' ').position(|word| word == name)?;
        values.split(' ').nth(at)?.parse().ok()
    };
    Some(SignatureFailures {
        md5_wrong: value("TCPMD5Failure").unwrap_or_default(),
        md5_missing: value("TCPMD5NotFound").unwrap_or_default(),
        md5_unexpected: value("TCPMD5Unexpected").unwrap_or_default(),
        ao_wrong: value("TCPAOBad").unwrap_or_default(),
        ao_unknown_key: value("TCPAOKeyNotFound").unwrap_or_default(),
        ao_missing: value("TCPAORequired").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Failure TCPAOBad\nTcpExt: 1 2 3 4\nIpExt: InNoRoutes\nIpExt: 9\n";
        let expected =
            SignatureFailures { md5_missing: 2, md5_wrong: 3, ao_wrong: 4, ..SignatureFailures::default() };
        assert_eq!(read(text), Some(expected));
        assert_eq!(read("TcpExt: TCPMD5NotFound\n"), None);
    }
}
