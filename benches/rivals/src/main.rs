//! The best public Rust codecs beside ours: same corpora, same rounds, same floor.
//!
//! Each decodes to owned values and visits every route and attribute; each encodes from its own values into one send
//! buffer. The entry points are the documented ones.
use benches::alloc::Counting;
use benches::{codec, corpus, meter};

mod netgauze;
mod rustbgpd;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for corpus in corpus::chosen(&wanted) {
        let mut operations = codec::operations(&corpus);
        operations.extend(rustbgpd::operations(&corpus));
        operations.extend(netgauze::operations(&corpus));
        meter::report(&corpus, operations);
    }
}
