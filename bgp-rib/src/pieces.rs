//! The messages of a stretch in one piece of memory, with who may see which of them.

use bgp_wire::Codec;
use bytes::Bytes;

use crate::log::Log;
use crate::slab::NONE;

/// Messages for `[from, to)`.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) from: u64,
    pub(crate) to: u64,
    stamp: u64,
    pub(crate) bytes: Bytes,
    /// Messages from here on are for single members only.
    common: usize,
    /// Routes announced, to members that are in no piece.
    announced: u32,
    pieces: Vec<Piece>,
    /// Members that a piece speaks of, with the piece; ordered.
    mentions: Vec<(u32, u32)>,
}

/// Messages that not everybody may see.
#[derive(Debug)]
struct Piece {
    start: usize,
    end: usize,
    /// Routes announced in it.
    routes: u32,
    audience: Audience,
}

/// Who may see a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Audience {
    /// Every member.
    All,
    /// Every member but these, `NONE` for nobody.
    Except([u32; 2]),
    /// This member alone.
    Only(u32),
}

impl Audience {
    pub(crate) fn except(members: [u32; 2]) -> Self {
        if members == [NONE; 2] { Self::All } else { Self::Except(members) }
    }

    /// Whether it is one member alone.
    pub(crate) const fn is_single(self) -> bool {
        matches!(self, Self::Only(_))
    }

    pub(crate) fn mentioned(self) -> impl Iterator<Item = u32> {
        let members = match self {
            Self::All => [NONE; 2],
            Self::Except(members) => members,
            Self::Only(member) => [member, NONE],
        };
        members.into_iter().filter(|&member| member != NONE)
    }
}

impl Batch {
    /// Whether nothing has moved away from its stretch since it was made.
    pub(crate) fn is_current(&self, log: &Log) -> bool {
        !log.moved_since(self.from, self.to, self.stamp)
    }

    /// Appends what one member may see; how many routes that announces.
    pub(crate) fn assemble(&self, member: u32, chunks: &mut Vec<Bytes>) -> u32 {
        let mut announced = self.announced;
        let mut from = 0;
        let mut push = |from: usize, to: usize| {
            if from < to {
                chunks.push(self.bytes.slice(from..to));
            }
        };
        let first = self.mentions.partition_point(|&(slot, _)| slot < member);
        for &(_, piece) in self.mentions[first..].iter().take_while(|&&(slot, _)| slot == member) {
            let piece = &self.pieces[piece as usize];
            if let Audience::Only(_) = piece.audience {
                push(from, self.common);
                push(piece.start, piece.end);
                announced += piece.routes;
                from = self.common;
            } else {
                push(from, piece.start);
                from = piece.end;
                announced -= piece.routes;
            }
        }
        push(from, self.common);
        announced
    }
}

/// Where messages of a batch begin and end, and for whom they are.
pub(crate) struct Writer {
    pub(crate) codec: Codec,
    pieces: Vec<Piece>,
    announced: u32,
}

impl Writer {
    pub(crate) const fn new(codec: Codec) -> Self {
        Self { codec, pieces: Vec::new(), announced: 0 }
    }

    /// The batch that all of it makes; `common`: where messages for single members begin.
    pub(crate) fn into_batch(self, (from, to, stamp): (u64, u64, u64), bytes: Bytes, common: usize) -> Batch {
        let Self { pieces, announced, .. } = self;
        let mut mentions: Vec<(u32, u32)> = Vec::new();
        for (at, piece) in (0..).zip(&pieces) {
            mentions.extend(piece.audience.mentioned().map(|member| (member, at)));
        }
        mentions.sort_unstable();
        Batch { from, to, stamp, bytes, common, announced, pieces, mentions }
    }

    pub(crate) fn close(&mut self, start: usize, end: usize, audience: Audience, routes: u32) {
        self.announced += if audience.is_single() { 0 } else { routes };
        if audience == Audience::All || start == end {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if last.audience == audience && last.end == start => {
                last.end = end;
                last.routes += routes;
            }
            _ => self.pieces.push(Piece { start, end, routes, audience }),
        }
    }
}
