//! Storage with `u32` names: grows by chunks, so that nothing is ever copied to make room.

/// Slots per chunk: large enough that the list of chunks is short, small enough that an empty table costs little.
const CHUNK: usize = 1024;

/// The name of nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// A slab whose free slots keep their last value until they are taken again.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    next: u32,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), next: 0 }
    }

    /// Stores a value and names it.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return id;
        }
        let id = self.next;
        assert!(id < NONE, "fewer than 2^32 - 1 values are ever alive: memory ends before");
        if (id as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("a chunk with room was just made sure of").push(value);
        self.next += 1;
        id
    }

    /// Frees a name; the caller holds no other copy of it.
    pub(crate) fn remove(&mut self, id: u32) {
        self.free.push(id);
        if self.free.len() == self.next as usize {
            *self = Self::new();
        }
    }

    /// One more than the highest name that was ever given.
    pub(crate) fn bound(&self) -> u32 {
        self.next
    }

    /// Octets that it holds.
    pub(crate) fn memory(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>());
        let list = self.chunks.capacity() * size_of::<Vec<T>>();
        chunks.sum::<usize>() + list + self.free.capacity() * size_of::<u32>()
    }

    /// Every value that was ever stored, of free slots the last one.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// How many values are alive.
    pub(crate) fn len(&self) -> usize {
        self.next as usize - self.free.len()
    }
}

impl<T> core::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, id: u32) -> &T {
        &self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }
}

impl<T> core::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }
}

/// One bit per name.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.words.get(id as usize / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    /// Whether no bit is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Names whose bit is set, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = (0..).step_by(64).zip(&self.words);
        words.flat_map(|(first, &word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| first + bit)
        })
    }

    /// Sets every bit that is set in the other.
    pub(crate) fn insert_all(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Sets the bit; whether it was clear.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let index = id as usize / 64;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let fresh = !self.contains(id);
        self.words[index] |= 1 << (id % 64);
        fresh
    }

    /// Octets that it holds.
    pub(crate) const fn memory(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// Clears the bit; whether it was set.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        let was = self.contains(id);
        if let Some(word) = self.words.get_mut(id as usize / 64) {
            *word &= !(1 << (id % 64));
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_name_is_given_again_and_the_last_one_frees_the_memory() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..3000).map(|n| slab.insert(n)).collect();
        assert_eq!(slab[2999], 2999);
        slab.remove(7);
        assert_eq!(slab.insert(1), 7);
        for id in ids {
            slab.remove(id);
        }
        assert_eq!((slab.len(), slab.bound()), (0, 0));
    }

    #[test]
    fn a_bit_says_whether_it_changed() {
        let mut bits = BitSet::default();
        assert!(!bits.contains(1000));
        assert!(bits.insert(1000));
        assert!(!bits.insert(1000));
        assert!(bits.remove(1000));
        assert!(!bits.remove(1000));
        assert!(!bits.remove(5000));
        [3, 64, 700].into_iter().for_each(|id| assert!(bits.insert(id)));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [3, 64, 700]);
    }
}
