//! An index that finds a name by a hash. It is kept in shards, each of which grows by itself: making room rehashes a 64th of
//! a large index, so that no turn waits for the whole.

use hashbrown::HashTable;

/// Shards: of a million names each holds some sixteen thousand, which are rehashed in a millisecond or two.
const SHARDS: usize = 64;

/// Room that a shard of an empty index keeps: small tables come and go without asking for memory.
const KEPT: usize = 64;

/// Names by hash.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Vec<HashTable<u32>>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), len: 0 }
    }
}

impl Index {
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name with this hash that is it.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(hash, |&id| is(id)).copied()
    }

    /// Puts a name in that is not there.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        self.len += 1;
        self.shards[shard(hash)].insert_unique(hash, id, |&id| hash_of(id));
    }

    /// Takes the name with this hash out that is it.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let (id, _) = self.shards[shard(hash)].find_entry(hash, |&id| is(id)).ok()?.remove();
        self.len -= 1;
        Some(id)
    }

    /// Every name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.shards.iter().flatten().copied()
    }

    /// Octets that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.allocation_size() + size_of::<HashTable<u32>>()).sum()
    }

    /// The index is empty: what it grew to is given back.
    pub(crate) fn give_back(&mut self) {
        for shard in self.shards.iter_mut().filter(|shard| shard.capacity() > KEPT) {
            *shard = HashTable::new();
        }
    }
}

fn shard(hash: u64) -> usize {
    // Bits that the shard's own table uses for neither bucket nor tag.
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_until_it_is_taken_out() {
        let hash = |id: u32| u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut index = Index::default();
        for id in 0..10_000 {
            index.insert(hash(id), id, hash);
        }
        assert_eq!(index.find(hash(77), |id| id == 77), Some(77));
        assert_eq!(index.iter().count(), 10_000);
        assert_eq!(index.remove(hash(77), |id| id == 77), Some(77));
        assert_eq!(
            (index.find(hash(77), |id| id == 77), index.remove(hash(77), |id| id == 77)),
            (None, None)
        );
        for id in (0..10_000).filter(|&id| id != 77) {
            index.remove(hash(id), |other| other == id);
        }
        assert!(index.is_empty());
        index.give_back();
        assert_eq!(index.iter().count(), 0);
    }
}
