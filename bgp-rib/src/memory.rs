//! What the tables hold, by layer.

use crate::prefix::Key;
use crate::rib::{Rib, each_table_in};
use crate::table::Table;

/// Octets that the tables hold, by layer, as allocated: room that is not in use yet counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryUse {
    /// Prefixes, and the index that finds them.
    pub prefixes: usize,
    /// Paths.
    pub paths: usize,
    /// Attribute sets, and the index that finds them.
    pub attributes: usize,
    /// Change logs.
    pub logs: usize,
    /// Update groups: what their members were told, and encodings that may still be used.
    pub groups: usize,
}

impl MemoryUse {
    /// All layers together.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.prefixes + self.paths + self.attributes + self.logs + self.groups
    }
}

impl Rib {
    /// What the tables hold, in time that grows with them: for a page that somebody looks at, not for a loop.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let mut memory = MemoryUse { attributes: self.shared.attributes.memory(), ..MemoryUse::default() };
        each_table_in!(self, table => table.add_memory(&mut memory));
        memory
    }
}

impl<K: Key> Table<K> {
    fn add_memory(&self, memory: &mut MemoryUse) {
        memory.prefixes += self.entries.memory() + self.index_memory();
        memory.paths += self.paths.memory();
        memory.logs += self.log.memory() + self.multipath.as_ref().map_or(0, crate::log::Log::memory);
        memory.logs += self.path_logs.memory() + self.marks_memory();
        memory.groups += self.groups.memory();
    }
}
