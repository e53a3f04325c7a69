//! The codec, each operation beside the floor of the same round.
use benches::alloc::Counting;
use benches::{codec, corpus, meter};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    // `cargo bench` passes flags of its own; what else is there chooses corpora by name.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for corpus in corpus::chosen(&wanted) {
        meter::report(&corpus, codec::operations(&corpus));
    }
}
