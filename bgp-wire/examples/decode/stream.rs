//! Octets as they come on a connection, cut into messages.
use bgp_wire::{Codec, HEADER_LEN};
use bytes::Bytes;

use super::record::Record;

pub(crate) const MARKER: [u8; 16] = [0xff; 16];

/// Messages back to back.
pub(crate) fn messages(bytes: &[u8], codec: &Codec, emit: &mut impl FnMut(Record)) {
    let mut splitter = Splitter::new(codec);
    splitter.push(bytes, "octet", emit);
    splitter.give_up(emit);
}

/// Collects octets and cuts messages off. After something that is no message it looks for the next marker.
pub(crate) struct Splitter {
    codec: Codec,
    buffer: Vec<u8>,
    /// Where the buffer's first octet came from, and how many octets that source had given before.
    source: String,
    offset: usize,
    lost: bool,
}

impl Splitter {
    pub(crate) fn new(codec: &Codec) -> Self {
        Self { codec: *codec, buffer: Vec::new(), source: String::new(), offset: 0, lost: false }
    }

    /// Whether no message is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Adds octets and reports the messages that they complete.
    pub(crate) fn push(&mut self, octets: &[u8], source: &str, emit: &mut impl FnMut(Record)) {
        if self.buffer.is_empty() {
            self.source = source.to_owned();
        }
        self.buffer.extend_from_slice(octets);
        let all = Bytes::from(core::mem::take(&mut self.buffer));
        let mut rest = all.clone();
        loop {
            if self.lost {
                let skip = next_marker(&rest);
                self.advance(&mut rest, skip, source);
                // Less than a marker at the end may be the beginning of one.
                self.lost = rest.len() < MARKER.len();
            }
            if rest.is_empty() || self.lost {
                break;
            }
            match self.codec.frame(&rest) {
                Ok(Some(frame)) => {
                    let message = rest.slice(..frame.len.min(rest.len()));
                    emit(Record::message(&self.label(), &message, &self.codec));
                    self.advance(&mut rest, frame.len, source);
                }
                Ok(None) => break,
                Err(notification) => {
                    emit(Record::reset(&self.label(), &rest, &notification));
                    self.advance(&mut rest, 1, source);
                    self.lost = true;
                }
            }
        }
        self.buffer = rest.to_vec();
    }

    fn advance(&mut self, rest: &mut Bytes, by: usize, source: &str) {
        let by = by.min(rest.len());
        *rest = rest.slice(by..);
        self.offset = self.offset.saturating_add(by);
        if self.source != source {
            self.source = source.to_owned();
        }
    }

    /// `octet 55` counts, other sources are places of their own.
    fn label(&self) -> String {
        if self.source == "octet" { format!("octet {}", self.offset) } else { self.source.clone() }
    }

    /// Reports an unfinished message and forgets it.
    pub(crate) fn give_up(&mut self, emit: &mut impl FnMut(Record)) {
        let held = core::mem::take(&mut self.buffer);
        if held.is_empty() || self.lost {
            return;
        }
        let why = match held.get(16..18) {
            Some([high, low]) if held.len() >= HEADER_LEN => {
                let len = u16::from_be_bytes([*high, *low]);
                format!("the message is cut short: {} of {len} octets", held.len())
            }
            _ => format!("the message is cut short: {} octets", held.len()),
        };
        emit(Record::error(&self.label(), &why));
        self.offset = self.offset.saturating_add(held.len());
    }

    /// Octets are missing here: what is open cannot be finished, and the next marker is to be found.
    pub(crate) fn gap(&mut self, emit: &mut impl FnMut(Record)) {
        self.give_up(emit);
        self.lost = true;
    }

    /// Begins a connection's stream in its middle.
    pub(crate) fn begin_anywhere(&mut self) {
        self.lost = true;
    }

    /// The next octets are a beginning again.
    pub(crate) fn skip_garbage(&mut self) {
        if self.lost {
            self.buffer.clear();
            self.lost = false;
        }
    }
}

/// Where the next marker begins, or may begin at the end; else behind everything.
fn next_marker(octets: &[u8]) -> usize {
    let mut run = 0usize;
    for (at, octet) in octets.iter().enumerate() {
        run = if *octet == 0xff { run.saturating_add(1) } else { 0 };
        if run == MARKER.len() {
            return at.saturating_add(1).saturating_sub(run);
        }
    }
    octets.len().saturating_sub(run)
}
