//! Interleaved rounds, medians, and ratios to the floor of the same round.
use rustix::time::{ClockId, clock_gettime};

use crate::alloc;
use crate::corpus::Corpus;

/// Rounds: enough for a median that one preempted round does not move.
const ROUNDS: usize = 11;
/// What one operation runs in one round, in nanoseconds: well above the clock's resolution.
const ROUND_NS: f64 = 8e6;

/// CPU time of this thread in nanoseconds: other tenants of the machine do not count.
#[must_use]
pub fn cpu_ns() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

/// One operation: a pass over the whole corpus.
pub struct Op<'a> {
    /// What it is called in the table.
    pub name: &'static str,
    /// One pass; gives a checksum, so that nothing is optimized away.
    pub pass: Box<dyn FnMut() -> u64 + 'a>,
}

impl std::fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The operation.
    pub name: &'static str,
    /// Nanoseconds for one item, median.
    pub ns: f64,
    /// Times the first operation of the same round, median.
    pub ratio: f64,
    /// Allocations for one item.
    pub allocations: f64,
}

/// Measures operations on a corpus and prints the table.
#[allow(clippy::print_stdout, reason = "the table is what it is for")]
pub fn report(c: &Corpus, operations: Vec<Op<'_>>) {
    let octets = c.stream.len() as f64 / c.len() as f64;
    println!("\n{}: {}, {} messages of {octets:.0} octets, {} routes", c.name, c.about, c.len(), c.routes);
    println!("{:<48} {:>10} {:>8} {:>12}", "operation", "ns/message", "x floor", "allocations");
    for row in run(operations, c.len()) {
        println!("{:<48} {:>10.1} {:>8.2} {:>12.2}", row.name, row.ns, row.ratio, row.allocations);
    }
}

/// Runs the operations; the first is the floor that the others are compared with. `items` is what one pass handles.
#[must_use]
pub fn run(mut ops: Vec<Op<'_>>, items: usize) -> Vec<Row> {
    let items = items as f64;
    let passes: Vec<usize> = ops.iter_mut().map(|op| passes(op)).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); ops.len()];
    for _ in 0..ROUNDS {
        for ((op, passes), times) in ops.iter_mut().zip(&passes).zip(&mut times) {
            let start = cpu_ns();
            for _ in 0..*passes {
                std::hint::black_box((op.pass)());
            }
            times.push((cpu_ns() - start) / *passes as f64 / items);
        }
    }
    let floor = times.first().cloned().unwrap_or_default();
    let row = |(op, times): (&mut Op<'_>, Vec<f64>)| {
        let before = alloc::calls();
        std::hint::black_box((op.pass)());
        let allocations = (alloc::calls() - before) as f64 / items;
        let ratios = times.iter().zip(&floor).map(|(t, f)| t / f).collect();
        Row { name: op.name, ns: median(times), ratio: median(ratios), allocations }
    };
    ops.iter_mut().zip(times).map(row).collect()
}

/// How many passes fill a round; the first warms up.
fn passes(op: &mut Op<'_>) -> usize {
    std::hint::black_box((op.pass)());
    let start = cpu_ns();
    std::hint::black_box((op.pass)());
    (ROUND_NS / (cpu_ns() - start).max(1.0)).ceil().clamp(1.0, 1e6) as usize
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
