//! Corpora made from a seed: UPDATE messages as peers send them, written octet by octet, so that nothing measured here
//! has written its own input.

/// A small generator of numbers (SplitMix64): the same seed, the same corpus.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n.max(1)
    }

    /// A number from `from` to `to`, both included.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Small numbers often, large ones seldom: one and then another with chance `percent`, at most `most`.
    fn run(&mut self, percent: u64, most: u64) -> u64 {
        let mut n = 1;
        while n < most && self.below(100) < percent {
            n += 1;
        }
        n
    }
}

/// Messages back to back.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Its name.
    pub name: &'static str,
    /// What it looks like.
    pub about: &'static str,
    /// The octets.
    pub stream: Vec<u8>,
    /// Where each message begins; and the end.
    bounds: Vec<usize>,
    /// Routes announced and withdrawn in all.
    pub routes: usize,
}

impl Corpus {
    fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, stream: Vec::new(), bounds: vec![0], routes: 0 }
    }

    /// The messages.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.bounds.windows(2).filter_map(|w| self.stream.get(*w.first()?..*w.last()?))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, withdrawn: &[u8], attributes: &[u8], nlri: &[u8], routes: usize) {
        let out = &mut self.stream;
        let length = |n: usize| u16::try_from(n).expect("a message has at most 4,096 octets").to_be_bytes();
        out.extend([0xff; 16]);
        out.extend(length(23 + withdrawn.len() + attributes.len() + nlri.len()));
        out.push(2);
        out.extend(length(withdrawn.len()));
        out.extend(withdrawn);
        out.extend(length(attributes.len()));
        out.extend(attributes);
        out.extend(nlri);
        self.bounds.push(self.stream.len());
        self.routes += routes;
    }
}

/// All corpora of the wire bench.
#[must_use]
pub fn all() -> Vec<Corpus> {
    vec![table4(20_000), table6(10_000), containers(20_000), packed(400), withdrawals(3_000)]
}

/// Those whose names hold one of the given words; without words, all.
#[must_use]
pub fn chosen(words: &[String]) -> Vec<Corpus> {
    let mut all = all();
    all.retain(|c| words.is_empty() || words.iter().any(|w| c.name.contains(w.as_str())));
    all
}

fn attribute(out: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(len) => out.extend([flags, code, len]),
        Err(_) => {
            out.extend([flags | 0x10, code]);
            out.extend(u16::try_from(value.len()).expect("values here are short").to_be_bytes());
        }
    }
    out.extend(value);
}

/// Origin, path and next hop, then what a table from an internal peer has by chance.
fn table_attributes(n: &mut Numbers, next_hop: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::new();
    attribute(&mut out, 0x40, 1, &[if n.below(10) == 0 { 2 } else { 0 }]);
    let hops = n.range(2, 7);
    let mut path = vec![2, hops as u8];
    for _ in 0..hops {
        path.extend((n.range(1, 400_000) as u32).to_be_bytes());
    }
    attribute(&mut out, 0x40, 2, &path);
    if let Some(next_hop) = next_hop {
        attribute(&mut out, 0x40, 3, &next_hop);
    }
    if n.below(3) == 0 {
        attribute(&mut out, 0x80, 4, &(n.below(500) as u32).to_be_bytes());
    }
    attribute(&mut out, 0x40, 5, &100u32.to_be_bytes());
    if n.below(12) == 0 {
        attribute(&mut out, 0xc0, 7, &n.range(1 << 32, 1 << 50).to_be_bytes());
    }
    if n.below(5) != 0 {
        let values = n.range(1, 10);
        let communities: Vec<u8> = (0..values).flat_map(|_| (n.word() as u32 | 1).to_be_bytes()).collect();
        attribute(&mut out, 0xc0, 8, &communities);
    }
    if n.below(10) == 0 {
        let values = n.range(1, 4) * 3;
        let large: Vec<u8> = (0..values).flat_map(|_| (n.word() as u32 | 1).to_be_bytes()).collect();
        attribute(&mut out, 0xc0, 32, &large);
    }
    out
}

/// A prefix without host bits.
fn prefix(out: &mut Vec<u8>, address: &[u8], len: u64) {
    let whole = len.div_ceil(8) as usize;
    out.push(len as u8);
    let start = out.len();
    out.extend(address.iter().take(whole));
    if let (Some(last), bits @ 1..) = (out.get_mut(start..).and_then(<[u8]>::last_mut), len % 8) {
        *last &= !(0xff >> bits);
    }
}

fn prefix4(n: &mut Numbers, out: &mut Vec<u8>) {
    let len = if n.below(10) < 6 { 24 } else { n.range(14, 23) };
    prefix(out, &(n.range(1 << 24, 223 << 24) as u32).to_be_bytes(), len);
}

/// An IPv4 table as an internal peer tells it.
fn table4(messages: usize) -> Corpus {
    let mut c = Corpus::new("full4", "IPv4 table, IBGP view");
    let n = &mut Numbers::new(4);
    for _ in 0..messages {
        let border = n.range(1, 4) as u8;
        let attributes = table_attributes(n, Some([10, 0, 0, border]));
        let routes = n.run(78, 40);
        let mut nlri = Vec::new();
        for _ in 0..routes {
            prefix4(n, &mut nlri);
        }
        c.push(&[], &attributes, &nlri, routes as usize);
    }
    c
}

/// An IPv6 table in MP_REACH_NLRI, which stands first.
fn table6(messages: usize) -> Corpus {
    let mut c = Corpus::new("full6", "IPv6 table in MP_REACH_NLRI");
    let n = &mut Numbers::new(6);
    for _ in 0..messages {
        let routes = n.run(75, 40);
        let mut reach = vec![0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        for _ in 0..routes {
            let len = if n.below(2) == 0 { 48 } else { n.range(20, 64) };
            let address = (n.word() >> 3 | 1 << 61).to_be_bytes();
            prefix(&mut reach, &address, len);
        }
        let mut attributes = Vec::new();
        attribute(&mut attributes, 0x80, 14, &reach);
        attributes.extend(table_attributes(n, None));
        c.push(&[], &attributes, &[], routes as usize);
    }
    c
}

/// Blocks of nodes behind a reflector: a /26 and some /32, an empty path, reflector attributes.
fn containers(messages: usize) -> Corpus {
    let mut c = Corpus::new("cni", "container blocks behind a reflector");
    let n = &mut Numbers::new(26);
    for _ in 0..messages {
        let routes = n.run(42, 10);
        let mut nlri = Vec::new();
        for _ in 0..routes {
            let len = if n.below(3) == 0 { 32 } else { 26 };
            prefix(&mut nlri, &(0x0a00_0000 | n.below(1 << 24) as u32).to_be_bytes(), len);
        }
        if n.below(12) == 0 {
            c.push(&nlri, &[], &[], routes as usize);
            continue;
        }
        let (rack, host) = (n.below(4) as u8, n.range(1, 250) as u8);
        let node = [192, 168, rack, host];
        let mut attributes = Vec::new();
        attribute(&mut attributes, 0x40, 1, &[0]);
        attribute(&mut attributes, 0x40, 2, &[]);
        attribute(&mut attributes, 0x40, 3, &node);
        attribute(&mut attributes, 0x40, 5, &100u32.to_be_bytes());
        attribute(&mut attributes, 0x80, 9, &node);
        attribute(&mut attributes, 0x80, 10, &[10, 0, 0, 1]);
        c.push(&[], &attributes, &nlri, routes as usize);
    }
    c
}

/// As many /24 as 4,096 octets hold.
fn packed(messages: usize) -> Corpus {
    let mut c = Corpus::new("packed", "900 /24 in each message");
    let n = &mut Numbers::new(24);
    for _ in 0..messages {
        let attributes = table_attributes(n, Some([10, 0, 0, 1]));
        let mut nlri = Vec::new();
        (0..900).for_each(|_| prefix(&mut nlri, &(n.word() as u32 | 1 << 24).to_be_bytes(), 24));
        c.push(&[], &attributes, &nlri, 900);
    }
    c
}

/// Withdrawals of a table.
fn withdrawals(messages: usize) -> Corpus {
    let mut c = Corpus::new("withdraw", "withdrawals");
    let n = &mut Numbers::new(3);
    for _ in 0..messages {
        let routes = n.range(1, 190);
        let mut withdrawn = Vec::new();
        for _ in 0..routes {
            prefix4(n, &mut withdrawn);
        }
        c.push(&withdrawn, &[], &[], routes as usize);
    }
    c
}
