//! The timers of a session.

use std::time::Duration;

use crate::error::SpeakerError;

/// The shortest hold time besides "off" (RFC 4271 §4.2).
pub const MIN_HOLD_TIME: Duration = Duration::from_secs(3);
/// The shortest SendHold time unless another is chosen (RFC 9687).
const MIN_SEND_HOLD: Duration = Duration::from_secs(480);
/// What TCP waits longer than SendHold, which begins to count later: TCP from the moment that the peer's window closes,
/// SendHold from when our own buffer is full as well, which a table on its way does within seconds.
const AFTER_SEND_HOLD: Duration = Duration::from_secs(60);

/// The timers of one session (RFC 4271 §10). Each may differ from peer to peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Proposed hold time; zero turns hold and keepalives off. Default 90 s.
    pub hold_time: Duration,
    /// Time between keepalives; `None` is a third of the negotiated hold time.
    pub keepalive: Option<Duration>,
    /// How long one attempt to connect may take, and the pause to the next. Default 5 s.
    pub connect_retry: Duration,
    /// First pause after a session failed; it doubles with each failure. Default 1 s.
    pub idle_hold_min: Duration,
    /// Longest pause after failures. Default 30 s.
    pub idle_hold_max: Duration,
    /// Time in Established that makes up for one failure. Default 60 s.
    pub idle_hold_forgive: Duration,
    /// How long a connection may take until the peer's OPEN is there. Default 240 s (RFC 4271 §8.2.2).
    pub open_hold: Duration,
    /// Wait this long for the peer's OPEN before sending ours (DelayOpen, RFC 4271 §8.1.1). Default: no wait.
    pub delay_open: Option<Duration>,
    /// How long a peer whose BGP Identifier wins is awaited to choose between its connection and ours when both have called
    /// at once (RFC 4271 §6.8); zero decides at once. Default 1 s.
    pub collision_wait: Duration,
    /// How long a peer may take nothing of what we have for it (RFC 9687); zero turns it off, and so does a negotiated hold
    /// time of zero. Default: 8 minutes, or twice the hold time if that is longer.
    pub send_hold: Option<Duration>,
    /// How long sent octets may stay unacknowledged, or untaken by a peer that acknowledges and does not read, before TCP gives
    /// the connection up (`TCP_USER_TIMEOUT`, RFC 5482). A shorter time than the default finds a path that carries nothing
    /// one way before the hold time does, and gives up a peer that does not read before `send_hold` does. Default: a minute
    /// longer than `send_hold`, which therefore has the first word.
    pub tcp_user_timeout: Option<Duration>,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            hold_time: Duration::from_secs(90),
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            idle_hold_min: Duration::from_secs(1),
            idle_hold_max: Duration::from_secs(30),
            idle_hold_forgive: Duration::from_secs(60),
            open_hold: Duration::from_secs(240),
            delay_open: None,
            collision_wait: Duration::from_secs(1),
            send_hold: None,
            tcp_user_timeout: None,
        }
    }
}

impl Timers {
    /// How long a peer that is to come may be silent: two attempts to connect.
    pub(crate) fn patience(&self) -> Duration {
        self.connect_retry.saturating_mul(2)
    }

    /// How long the peer of a session with this negotiated hold time may take no octet; zero is for ever (RFC 9687).
    pub(crate) fn send_hold_for(&self, hold_time: Duration) -> Duration {
        self.send_hold.unwrap_or_else(|| hold_time.saturating_mul(2).max(MIN_SEND_HOLD))
    }

    /// When TCP gives up a connection that carries nothing to the peer; `None` is when the system does by itself. Without a
    /// hold time there is no SendHold either (RFC 9687 §4.3), and TCP has no reason to be stricter.
    pub(crate) fn user_timeout_for(&self, hold_time: Duration) -> Option<Duration> {
        self.tcp_user_timeout.or_else(|| {
            let send_hold = self.send_hold_for(hold_time);
            let off = hold_time.is_zero() || send_hold.is_zero();
            (!off).then(|| send_hold.saturating_add(AFTER_SEND_HOLD))
        })
    }

    pub(crate) fn check(&self) -> Result<(), SpeakerError> {
        let hold = self.hold_time;
        if !hold.is_zero() && (hold < MIN_HOLD_TIME || hold > Duration::from_secs(u64::from(u16::MAX))) {
            return Err(SpeakerError::HoldTime(hold));
        }
        if let Some(keepalive) = self.keepalive
            && (keepalive.is_zero() || (!hold.is_zero() && keepalive >= hold))
        {
            return Err(SpeakerError::KeepaliveTime { keepalive, hold });
        }
        for (name, timer) in [
            ("connect-retry time", self.connect_retry),
            ("shortest idle-hold time", self.idle_hold_min),
            ("longest idle-hold time", self.idle_hold_max),
            ("idle-hold forgiveness", self.idle_hold_forgive),
            ("open-hold time", self.open_hold),
            ("TCP user timeout", self.tcp_user_timeout.unwrap_or(Duration::MAX)),
        ] {
            if timer.is_zero() {
                return Err(SpeakerError::ZeroTimer(name));
            }
        }
        Ok(())
    }
}
