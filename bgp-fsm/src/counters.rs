//! What a session counts.

/// Messages and passages since the session was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// OPENs received.
    pub opens_in: u64,
    /// OPENs sent.
    pub opens_out: u64,
    /// KEEPALIVEs received.
    pub keepalives_in: u64,
    /// KEEPALIVEs sent.
    pub keepalives_out: u64,
    /// NOTIFICATIONs received.
    pub notifications_in: u64,
    /// NOTIFICATIONs sent.
    pub notifications_out: u64,
    /// UPDATEs received.
    pub updates_in: u64,
    /// ROUTE-REFRESHes received.
    pub refreshes_in: u64,
    /// Attempts to connect.
    pub connects: u64,
    /// Connections refused because the session was in Idle or had two already, and silent ones that gave way to another.
    pub refused: u64,
    /// Connections closed by collision resolution (RFC 4271 §6.8).
    pub collisions: u64,
    /// Times that the session reached Established.
    pub established: u64,
}
