//! An allocator that counts: how often it is asked, and how much it holds.
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static CALLS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

fn took(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    HELD.fetch_add(bytes as u64, Relaxed);
    ASKED.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        took(size);
        HELD.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// Calls so far; a reallocation is one.
#[must_use]
pub fn calls() -> u64 {
    CALLS.load(Relaxed)
}

/// Octets asked for so far; a reallocation asks for its whole size.
#[must_use]
pub fn asked() -> u64 {
    ASKED.load(Relaxed)
}

/// Octets held now.
#[must_use]
pub fn held() -> u64 {
    HELD.load(Relaxed)
}
