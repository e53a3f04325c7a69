//! TCP connections of port 179, each direction put together in order.
use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_wire::Codec;

use super::record::Record;
use super::stream::Splitter;

const BGP_PORT: u16 = 179;
/// Segments that wait for one that is missing. Beyond them, which is more than a window of small segments, the capture
/// has lost it.
const MAX_WAITING: usize = 256;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
}

/// One TCP segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) flow: Flow,
    pub(crate) sequence: u32,
    pub(crate) syn: bool,
    pub(crate) data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a TCP segment; `None` for other ports and for what is cut short.
    pub(crate) fn parse(from: IpAddr, to: IpAddr, tcp: &'a [u8]) -> Option<Self> {
        let [f1, f0, t1, t0, s3, s2, s1, s0, _, _, _, _, offset, flags, ..] = tcp else { return None };
        let (source, target) = (u16::from_be_bytes([*f1, *f0]), u16::from_be_bytes([*t1, *t0]));
        if source != BGP_PORT && target != BGP_PORT {
            return None;
        }
        Some(Self {
            flow: Flow { from: (from, source), to: (to, target) },
            sequence: u32::from_be_bytes([*s3, *s2, *s1, *s0]),
            syn: flags & 0x02 != 0,
            data: tcp.get(usize::from(offset >> 4).saturating_mul(4)..)?,
        })
    }
}

struct Stream {
    splitter: Splitter,
    next: u32,
    /// By distance from `next` as it was at the stream's beginning.
    waiting: BTreeMap<u32, Vec<u8>>,
}

/// All connections of a capture.
pub(crate) struct Connections {
    codec: Codec,
    streams: BTreeMap<Flow, Stream>,
}

impl Connections {
    pub(crate) fn new(codec: &Codec) -> Self {
        Self { codec: *codec, streams: BTreeMap::new() }
    }

    /// Takes one segment and reports the messages that it completes.
    pub(crate) fn segment(&mut self, segment: &Segment<'_>, packet: u64, emit: &mut impl FnMut(Record)) {
        let Segment { flow, sequence, syn, data } = *segment;
        let (from, to) = (flow.from, flow.to);
        let source = format!("packet {packet}, {} port {} to {} port {}", from.0, from.1, to.0, to.1);
        if syn {
            let next = sequence.wrapping_add(1);
            let fresh = Stream { splitter: Splitter::new(&self.codec), next, waiting: BTreeMap::new() };
            if let Some(mut old) = self.streams.insert(flow, fresh) {
                old.splitter.give_up(emit);
            }
        }
        let sequence = if syn { sequence.wrapping_add(1) } else { sequence };
        if data.is_empty() {
            return;
        }
        let stream = self.streams.entry(flow).or_insert_with(|| {
            // The capture began later than the connection.
            let mut splitter = Splitter::new(&self.codec);
            splitter.begin_anywhere();
            Stream { splitter, next: sequence, waiting: BTreeMap::new() }
        });
        stream.waiting.entry(sequence).or_insert_with(|| data.to_vec());
        stream.drain(&source, emit);
        if stream.waiting.len() > MAX_WAITING {
            stream.pass_over_gap(&source, emit);
        }
    }

    /// The capture's end.
    pub(crate) fn finish(mut self, emit: &mut impl FnMut(Record)) {
        for stream in self.streams.values_mut() {
            while !stream.waiting.is_empty() {
                stream.pass_over_gap("end of capture", emit);
            }
            stream.splitter.give_up(emit);
        }
    }
}

impl Stream {
    /// The waiting segment that comes first, by distance: behind `next` counts as far ahead.
    fn nearest(&self) -> Option<u32> {
        self.waiting.keys().copied().min_by_key(|s| s.wrapping_sub(self.next))
    }

    /// Gives on everything that is in order; octets that came before are dropped.
    fn drain(&mut self, source: &str, emit: &mut impl FnMut(Record)) {
        loop {
            let next = self.next;
            let due = self.waiting.keys().copied().find(|s| next.wrapping_sub(*s) < 1 << 31);
            let Some(data) = due.and_then(|s| self.waiting.remove(&s).map(|d| (s, d))) else { return };
            let (sequence, data) = data;
            let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            let fresh = data.get(known..).unwrap_or_default();
            self.splitter.push(fresh, source, emit);
            self.next = next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(0));
        }
    }

    fn pass_over_gap(&mut self, source: &str, emit: &mut impl FnMut(Record)) {
        let Some(nearest) = self.nearest() else { return };
        let lost = nearest.wrapping_sub(self.next);
        emit(Record::error(source, &format!("{lost} octets are missing in the capture")));
        self.splitter.gap(emit);
        self.next = nearest;
        self.drain(source, emit);
    }
}
