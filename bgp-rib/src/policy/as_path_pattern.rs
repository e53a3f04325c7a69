//! Regular expressions whose letters are AS numbers.
//!
//! The automaton has one state per AS in the expression (Glushkov's construction, no empty moves), and all its active
//! states are one word. Matching is a single pass: steps of the path times states, whatever the expression.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;
use std::sync::Arc;

use super::as_path::PathSoFar;
use super::span::{AsnSet, Span, number};

/// States of an expression: what one word holds, and far more than an expression over AS numbers needs.
const MAX_STATES: usize = 128;

/// Groups within groups: enough for any expression, and it bounds the recursion of reading one.
const MAX_DEPTH: usize = 16;

/// Octets of an expression: a list of a few hundred AS numbers; longer lists are sets.
const MAX_LEN: usize = 4096;

/// An expression over AS numbers, found anywhere in a path unless it begins with `^` or ends with `$`.
///
/// | written | means |
/// |---|---|
/// | `65000` | this AS (a whole number, never a part of one) |
/// | `.` | any AS |
/// | `[64512-65534 23456]` | one of these; `[^...]` one of the others |
/// | `a b`, `a_b` | one after the other |
/// | `a \| b`, `( )` | either; grouping |
/// | `*`, `+`, `?`, `{2}`, `{2,}`, `{2,5}` | how often what stands before |
///
/// An AS_SET is one step and fits wherever one of its members does.
#[derive(Clone)]
pub struct AsPathPattern(Arc<Automaton>);

struct Automaton {
    text: Box<str>,
    /// What each state takes.
    letters: Vec<AsnSet>,
    /// The states that may come behind each.
    follow: Vec<u128>,
    first: u128,
    last: u128,
    /// The empty run of steps fits.
    nullable: bool,
    from_start: bool,
    to_end: bool,
}

/// Why a text is no expression over AS numbers, and at which octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPattern {
    /// Where, in octets from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub problem: PatternProblem,
}

/// What is wrong with an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PatternProblem {
    /// Something else is needed here.
    Unexpected,
    /// The number is no AS number.
    Number,
    /// A range ends before it begins, or something is to occur no time at all.
    EmptyRange,
    /// More than 128 AS numbers and classes, repetitions written out.
    TooLarge,
    /// More than 16 groups within each other.
    TooDeep,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.problem {
            PatternProblem::Unexpected => "an AS number, `.`, `[...]` or `(...)` is needed here",
            PatternProblem::Number => "not an AS number",
            PatternProblem::EmptyRange => "a range that holds nothing",
            PatternProblem::TooLarge => "too large: use a set of AS numbers",
            PatternProblem::TooDeep => "too many groups within each other",
        };
        write!(f, "{what} (at octet {})", self.at)
    }
}

impl core::error::Error for BadPattern {}

impl AsPathPattern {
    pub(crate) fn matches(&self, path: PathSoFar<'_>) -> bool {
        let Automaton { letters, follow, first, last, nullable, from_start, to_end, .. } = &*self.0;
        let (first, last) = (*first, *last);
        if *nullable && !(*from_start && *to_end) {
            return true;
        }
        let mut active = 0u128;
        let mut empty = true;
        for step in path.steps() {
            let mut reached = if empty || !from_start { first } else { 0 };
            reached |= states(active).filter_map(|state| follow.get(state)).fold(0, |all, next| all | next);
            let takes = |state: &usize| letters.get(*state).is_some_and(|letter| step.is_any_of(letter));
            active = states(reached).filter(takes).fold(0, |all, state| all | 1 << state);
            empty = false;
            if !to_end && active & last != 0 {
                return true;
            }
            if *from_start && active == 0 {
                return false;
            }
        }
        active & last != 0 || (*nullable && empty)
    }
}

/// The states in a word, ascending.
fn states(mut word: u128) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let state = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (state < u128::BITS).then_some(state as usize)
    })
}

impl FromStr for AsPathPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text.len() > MAX_LEN {
            return Err(BadPattern { at: MAX_LEN, problem: PatternProblem::TooLarge });
        }
        let trimmed = text.trim();
        let (from_start, rest) = trimmed.strip_prefix('^').map_or((false, trimmed), |rest| (true, rest));
        let (to_end, body) = rest.strip_suffix('$').map_or((false, rest), |body| (true, body));
        let offset = text.len() - text.trim_start().len() + usize::from(from_start);
        let automaton = Automaton {
            text: text.into(),
            letters: Vec::new(),
            follow: Vec::new(),
            first: 0,
            last: 0,
            nullable: false,
            from_start,
            to_end,
        };
        let mut builder = Builder { automaton };
        // `^$` is the empty path.
        let whole = if from_start && to_end && body.trim().is_empty() {
            Part { nullable: true, first: 0, last: 0 }
        } else {
            let node = Reader { text: body.as_bytes(), at: 0 }.whole().map_err(|bad| bad.moved(offset))?;
            builder.emit(&node).map_err(|problem| BadPattern { at: 0, problem })?
        };
        let Builder { mut automaton } = builder;
        (automaton.nullable, automaton.first, automaton.last) = (whole.nullable, whole.first, whole.last);
        Ok(Self(Arc::new(automaton)))
    }
}

impl BadPattern {
    fn moved(self, by: usize) -> Self {
        Self { at: self.at + by, ..self }
    }
}

/// An expression as a tree.
enum Node {
    Letter(AsnSet),
    Row(Vec<Node>),
    Either(Vec<Node>),
    Repeat(Box<Node>, u32, Option<u32>),
}

/// Reads an expression; every node that it makes holds at least one letter.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn whole(mut self) -> Result<Node, BadPattern> {
        let node = self.either(0)?;
        if self.peek().is_some() { Err(self.bad(PatternProblem::Unexpected)) } else { Ok(node) }
    }

    fn bad(&self, problem: PatternProblem) -> BadPattern {
        BadPattern { at: self.at, problem }
    }

    /// The next octet that is neither blank nor `_`.
    fn peek(&mut self) -> Option<u8> {
        while let Some(octet) = self.text.get(self.at) {
            if !octet.is_ascii_whitespace() && *octet != b'_' {
                return Some(*octet);
            }
            self.at += 1;
        }
        None
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, octet: u8) -> Result<(), BadPattern> {
        if self.take(octet) { Ok(()) } else { Err(self.bad(PatternProblem::Unexpected)) }
    }

    fn either(&mut self, depth: usize) -> Result<Node, BadPattern> {
        let mut nodes = vec![self.row(depth)?];
        while self.take(b'|') {
            nodes.push(self.row(depth)?);
        }
        Ok(Node::Either(nodes))
    }

    fn row(&mut self, depth: usize) -> Result<Node, BadPattern> {
        let mut nodes = vec![self.repeated(depth)?];
        while !matches!(self.peek(), None | Some(b'|' | b')')) {
            nodes.push(self.repeated(depth)?);
        }
        Ok(Node::Row(nodes))
    }

    fn repeated(&mut self, depth: usize) -> Result<Node, BadPattern> {
        let mut node = self.one(depth)?;
        // A repetition of a repetition lies as deep as a group.
        for _ in depth..=MAX_DEPTH {
            let (min, max) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => {
                    self.at += 1;
                    let (min, max) = self.times()?;
                    node = Node::Repeat(Box::new(node), min, max);
                    continue;
                }
                _ => return Ok(node),
            };
            self.at += 1;
            node = Node::Repeat(Box::new(node), min, max);
        }
        Err(self.bad(PatternProblem::TooDeep))
    }

    /// `2}`, `2,}` or `2,5}`.
    fn times(&mut self) -> Result<(u32, Option<u32>), BadPattern> {
        let min = self.number()?;
        let max = match (self.take(b','), self.peek()) {
            (false, _) => Some(min),
            (true, Some(b'}')) => None,
            (true, _) => Some(self.number()?),
        };
        self.expect(b'}')?;
        if max.is_some_and(|max| max == 0 || max < min) {
            return Err(self.bad(PatternProblem::EmptyRange));
        }
        Ok((min, max))
    }

    fn one(&mut self, depth: usize) -> Result<Node, BadPattern> {
        match self.peek() {
            Some(b'(') if depth >= MAX_DEPTH => Err(self.bad(PatternProblem::TooDeep)),
            Some(b'(') => {
                self.at += 1;
                let node = self.either(depth + 1)?;
                self.expect(b')')?;
                Ok(node)
            }
            Some(b'[') => {
                self.at += 1;
                self.class().map(Node::Letter)
            }
            Some(b'.') => {
                self.at += 1;
                Ok(Node::Letter(AsnSet::from(0..=u32::MAX)))
            }
            Some(b'0'..=b'9') => Ok(Node::Letter([Span::exactly(self.number()?)].into_iter().collect())),
            _ => Err(self.bad(PatternProblem::Unexpected)),
        }
    }

    fn class(&mut self) -> Result<AsnSet, BadPattern> {
        let others = self.take(b'^');
        let mut spans = Vec::new();
        while !self.take(b']') {
            let low = self.number()?;
            let high = if self.take(b'-') { self.number()? } else { low };
            if high < low {
                return Err(self.bad(PatternProblem::EmptyRange));
            }
            spans.push(Span { low, high });
        }
        if spans.is_empty() {
            return Err(self.bad(PatternProblem::EmptyRange));
        }
        let set: AsnSet = spans.into_iter().collect();
        Ok(if others { set.complement() } else { set })
    }

    fn number(&mut self) -> Result<u32, BadPattern> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let text =
            rest.get(..digits).and_then(|digits| core::str::from_utf8(digits).ok()).unwrap_or_default();
        match number(text) {
            _ if digits == 0 => Err(self.bad(PatternProblem::Unexpected)),
            None => Err(self.bad(PatternProblem::Number)),
            Some(value) => {
                self.at += digits;
                Ok(value)
            }
        }
    }
}

/// What a node comes to: where a run of steps through it may begin and end.
#[derive(Clone, Copy)]
struct Part {
    nullable: bool,
    first: u128,
    last: u128,
}

impl Part {
    /// No step at all: what rows and repetitions begin with.
    const NOTHING: Self = Self { nullable: true, first: 0, last: 0 };
}

struct Builder {
    automaton: Automaton,
}

impl Builder {
    /// Ends at 128 states: each call for a node makes at least one.
    fn emit(&mut self, node: &Node) -> Result<Part, PatternProblem> {
        match node {
            Node::Letter(set) => self.letter(set),
            Node::Row(nodes) => {
                let mut row = Part::NOTHING;
                for node in nodes {
                    let next = self.emit(node)?;
                    row = self.join(row, next);
                }
                Ok(row)
            }
            Node::Either(nodes) => {
                let mut all = Part { nullable: false, first: 0, last: 0 };
                for node in nodes {
                    let Part { nullable, first, last } = self.emit(node)?;
                    all.nullable |= nullable;
                    all.first |= first;
                    all.last |= last;
                }
                Ok(all)
            }
            Node::Repeat(node, min, max) => self.repeat(node, *min, *max),
        }
    }

    fn letter(&mut self, set: &AsnSet) -> Result<Part, PatternProblem> {
        let state = self.automaton.letters.len();
        if state >= MAX_STATES {
            return Err(PatternProblem::TooLarge);
        }
        self.automaton.letters.push(set.clone());
        self.automaton.follow.push(0);
        Ok(Part { nullable: false, first: 1 << state, last: 1 << state })
    }

    fn link(&mut self, from: u128, to: u128) {
        for state in states(from) {
            if let Some(follow) = self.automaton.follow.get_mut(state) {
                *follow |= to;
            }
        }
    }

    fn join(&mut self, a: Part, b: Part) -> Part {
        self.link(a.last, b.first);
        Part {
            nullable: a.nullable && b.nullable,
            first: if a.nullable { a.first | b.first } else { a.first },
            last: if b.nullable { a.last | b.last } else { b.last },
        }
    }

    /// Written out: `a{2,4}` is `a a a? a?`, and what has no end loops in its last copy.
    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>) -> Result<Part, PatternProblem> {
        let mut row = Part::NOTHING;
        let copies = max.unwrap_or(min.max(1));
        for copy in 1..=copies {
            let mut part = self.emit(node)?;
            if max.is_none() && copy == copies {
                self.link(part.last, part.first);
            }
            part.nullable |= copy > min;
            row = self.join(row, part);
        }
        Ok(row)
    }
}

impl PartialEq for AsPathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for AsPathPattern {}

impl Hash for AsPathPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Display for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPathPattern({:?})", self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use bgp_wire::{AsPathView, Asn};

    use super::*;

    fn matches(pattern: &str, path: &[u32]) -> bool {
        let prepended: Vec<Asn> = path.iter().copied().map(Asn).collect();
        let path = PathSoFar { prepended: &prepended, received: AsPathView::new(&[], true) };
        pattern.parse::<AsPathPattern>().unwrap().matches(path)
    }

    #[test]
    fn the_table_of_forms() {
        #[rustfmt::skip]
        let rows: [(&str, &[u32], bool); 30] = [
            ("^$", &[], true),                    ("^$", &[1], false),
            ("1", &[3, 1, 2], true),              ("1", &[11], false),
            ("^1", &[1, 2], true),                ("^1", &[2, 1], false),
            ("2$", &[1, 2], true),                ("2$", &[2, 1], false),
            ("^1 2$", &[1, 2], true),             ("^1_2$", &[1, 2, 2], false),
            ("^1 .* 9$", &[1, 9], true),          ("^1 .* 9$", &[1, 5, 6, 9], true),
            ("^1 .+ 9$", &[1, 9], false),         ("^(1 2)+$", &[1, 2, 1, 2], true),
            ("^(1 2)+$", &[1, 2, 1], false),      ("^(1|2 3)? 4$", &[2, 3, 4], true),
            ("^(1|2 3)? 4$", &[4], true),         ("^(1|2 3)? 4$", &[2, 4], false),
            ("^1{2,3}$", &[1], false),            ("^1{2,3}$", &[1, 1, 1], true),
            ("^1{2,3}$", &[1, 1, 1, 1], false),   ("^1{2,}$", &[1, 1, 1, 1], true),
            ("^1{2}$", &[1, 1], true),            ("[64512-65534 7]", &[64999], true),
            ("^[^64512-65534]*$", &[1, 64999], false), ("^[^64512-65534]*$", &[1, 2], true),
            ("^(1*)*$", &[1, 1], true),           ("^(1* 2*)* 3$", &[2, 1, 1, 2, 3], true),
            ("_65000_", &[65000], true),          ("1*", &[9], true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path:?}");
        }
    }

    #[test]
    fn a_set_fits_where_a_member_does() {
        let octets = [1, 2, 0, 0, 0, 7, 0, 0, 0, 8]; // {7 8}
        let path = PathSoFar { prepended: &[Asn(1)], received: AsPathView::new(&octets, true) };
        assert!("^1 8$".parse::<AsPathPattern>().unwrap().matches(path));
        assert!(!"^1 9$".parse::<AsPathPattern>().unwrap().matches(path));
    }

    #[test]
    fn what_is_no_expression_says_where_and_why() {
        use PatternProblem::{EmptyRange, Number, TooDeep, TooLarge, Unexpected};
        let deep = format!("{}1{}", "(".repeat(40), ")".repeat(40));
        #[rustfmt::skip]
        let rows = [
            ("", 0, Unexpected),           ("1 |", 3, Unexpected),       ("^(1", 3, Unexpected),
            ("1)", 1, Unexpected),         ("x", 0, Unexpected),         ("99999999999", 0, Number),
            ("[5-1]", 4, EmptyRange),      ("1{0}", 4, EmptyRange),      ("1{3,2}", 6, EmptyRange),
            ("[]", 2, EmptyRange),         ("1{129}", 0, TooLarge),      ("(1{99}){99}{99}{99}", 0, TooLarge),
            (&deep, 16, TooDeep),
        ];
        for (text, at, problem) in rows {
            assert_eq!(text.parse::<AsPathPattern>().err(), Some(BadPattern { at, problem }), "{text}");
        }
    }
}
