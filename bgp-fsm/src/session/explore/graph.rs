//! The search: all states of a pair, and how they lead to each other.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::collections::btree_map::Entry;

use super::pair::{Move, Pair, Seen};

/// No search here needs more; one that does has lost its bound.
const MAX_STATES: usize = 2_000_000;

/// What a search found.
#[derive(Default)]
pub(super) struct Graph {
    /// For each state, those that lead to it without a fault.
    pub(super) back: Vec<Vec<u32>>,
    /// How many moves were made, over all states.
    pub(super) moves: usize,
    /// The states in which both are Established on one connection.
    pub(super) goals: Vec<u32>,
    /// For each state but the first, where the search came from and by which move.
    way: Vec<(u32, Option<Move>)>,
    /// The moves that lead to the first end of an Established session.
    pub(super) down: Option<Vec<Move>>,
}

impl Graph {
    fn add(&mut self, pair: &Pair, from: u32, step: Option<Move>) -> u32 {
        let number = u32::try_from(self.back.len()).expect("MAX_STATES fits");
        assert!(self.back.len() < MAX_STATES, "the search has lost its bound");
        self.back.push(Vec::new());
        self.way.push((from, step));
        if pair.is_up() {
            self.goals.push(number);
        }
        number
    }

    /// The moves that lead to a state.
    pub(super) fn story(&self, number: u32) -> Vec<Move> {
        let mut story = Vec::new();
        let mut at = number;
        while let Some((from, Some(step))) = self.way.get(at as usize) {
            story.push(*step);
            at = *from;
        }
        story.reverse();
        story
    }

    /// The first state from which no way leads to a goal.
    pub(super) fn lost(&self) -> Option<u32> {
        let mut reaches = vec![false; self.back.len()];
        let mut open = self.goals.clone();
        while let Some(number) = open.pop() {
            if !core::mem::replace(&mut reaches[number as usize], true) {
                open.extend(&self.back[number as usize]);
            }
        }
        reaches.iter().position(|reached| !reached).map(|number| number as u32)
    }
}

/// All states of the pair, breadth first.
pub(super) fn explore(start: Pair) -> Graph {
    let mut graph = Graph::default();
    let first = graph.add(&start, 0, None);
    let mut known = BTreeMap::from([(start.key(), first)]);
    let mut frontier = VecDeque::from([(first, start)]);
    while let Some((from, pair)) = frontier.pop_front() {
        for step in pair.moves() {
            graph.moves += 1;
            let mut next = pair.clone();
            let mut seen = Seen::default();
            next.apply(step, &mut seen);
            let fault = next.faults != pair.faults;
            let number = match known.entry(next.key()) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let number = *entry.insert(graph.add(&next, from, Some(step)));
                    assert!(next.is_lawful(), "Established twice: {:?}", graph.story(number));
                    assert_eq!(seen.refusals, [], "refused: {:?}", graph.story(number));
                    frontier.push_back((number, next));
                    number
                }
            };
            if seen.downs > 0 {
                graph.down.get_or_insert([graph.story(from), vec![step]].concat());
            }
            if !fault {
                graph.back[number as usize].push(from);
            }
        }
    }
    println!("{} states, {} transitions", graph.back.len(), graph.moves);
    graph
}
