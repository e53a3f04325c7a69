//! The best public Rust codecs beside ours: same corpora, same rounds, same floor.
//!
//! Each but routecore decodes to owned values and visits every route and attribute, and encodes from its own values into one
//! send buffer; of routecore it is the views, its best side. The entry points are the documented ones.
use benches::alloc::Counting;
use benches::{codec, corpus, meter};

mod netgauze;
mod routecore;
mod rustbgpd;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for corpus in corpus::chosen(&wanted) {
        let mut operations = codec::operations(&corpus);
        operations.extend(rustbgpd::operations(&corpus));
        operations.extend(netgauze::operations(&corpus));
        operations.extend(routecore::operations(&corpus));
        meter::report(&corpus, operations);
    }
}
