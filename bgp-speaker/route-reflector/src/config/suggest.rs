//! "Did you mean": the nearest of a few known words.

/// The candidate that is most like `word`, when one is like enough to be a slip of the finger.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    // A third of the letters may be wrong: more, and the guess misleads rather than helps.
    let limit = (folded.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `_` and `-` do not count as differences.
fn fold(word: &str) -> String {
    // No known word is longer: a longer one needs no exact distance.
    const LONGEST: usize = 64;
    word.chars().take(LONGEST).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Edit distance with transpositions of neighbouring letters (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let words = ["address", "asn", "route-reflector-client", "hold-time"];
        assert_eq!(nearest("route-reflector-cleint", words), Some("route-reflector-client"));
        assert_eq!(nearest("hold_time", words), Some("hold-time"));
        assert_eq!(nearest("adress", words), Some("address"));
        assert_eq!(nearest("ASN", words), Some("asn"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn a_very_long_word_costs_little() {
        assert_eq!(nearest(&"x".repeat(1 << 20), ["address"]), None);
    }
}
