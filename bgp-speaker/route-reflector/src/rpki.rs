//! What a validator says about who may originate what: the JSON that rpki-client and Routinator write.
//!
//! `{"roas": [{"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24, "expires": 1767225600}, ...]}`; the AS may be written
//! `"AS64500"`, and keys that are not named here are passed over.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bgp_speaker::{Asn, MAX_VRPS, Vrp};
use ipnet::IpNet;
use serde::Deserialize;

/// Five times what there is in the world: more is some other file.
const MAX_FILE: u64 = 256 << 20;

/// Why payloads could not be read.
#[derive(Debug)]
pub(crate) struct Fault {
    path: PathBuf,
    why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

#[derive(Deserialize)]
struct Export {
    roas: Vec<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    asn: As,
    prefix: IpNet,
    #[serde(rename = "maxLength")]
    max_length: Option<u8>,
    /// Seconds since 1970 when what it was made from runs out.
    expires: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum As {
    Number(u32),
    Text(String),
}

impl As {
    fn asn(&self) -> Option<Asn> {
        match self {
            Self::Number(asn) => Some(Asn(*asn)),
            Self::Text(text) => {
                let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
                digits.parse().ok().map(Asn)
            }
        }
    }
}

/// The payloads in the file at `path` that have not run out.
pub(crate) fn load(path: &Path, now: SystemTime) -> Result<Vec<Vrp>, Fault> {
    let fault = |why: String| Fault { path: path.to_owned(), why };
    let bytes = read(path).map_err(|error| fault(error.to_string()))?;
    parse(&bytes, now).map_err(fault)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let why = format!("it is longer than {} MiB: it is not what a validator writes", MAX_FILE >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn parse(bytes: &[u8], now: SystemTime) -> Result<Vec<Vrp>, String> {
    let export: Export = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is not the JSON that rpki-client or Routinator writes: {error}"))?;
    if export.roas.len() > MAX_VRPS {
        return Err(format!("{} payloads are more than the {MAX_VRPS} that are kept", export.roas.len()));
    }
    let fresh = |payload: &&Payload| {
        let end = payload.expires.and_then(|expires| UNIX_EPOCH.checked_add(Duration::from_secs(expires)));
        payload.expires.is_none() || end.is_none_or(|end| end > now)
    };
    let vrp = |payload: &Payload| {
        let asn = payload.asn.asn().ok_or_else(|| format!("the AS of {} is no number", payload.prefix))?;
        let max_length = payload.max_length.unwrap_or(payload.prefix.prefix_len());
        Ok(Vrp { prefix: payload.prefix, max_length, asn })
    };
    export.roas.iter().filter(fresh).map(vrp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
        Vrp { prefix: prefix.parse().expect("a prefix"), max_length, asn: Asn(asn) }
    }

    #[test]
    fn what_both_validators_write_is_read() {
        let rpki_client = br#"{"metadata": {"buildmachine": "x", "vrps": 2}, "roas": [
            {"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe", "expires": 2000},
            {"asn": 0, "prefix": "2001:db8::/32", "maxLength": 32, "ta": "arin", "expires": 3000}], "bgpsec_keys": []}"#;
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let both = [vrp("192.0.2.0/24", 25, 64500), vrp("2001:db8::/32", 32, 0)];
        assert_eq!(parse(rpki_client, at(1999)).as_deref(), Ok(&both[..]));
        assert_eq!(parse(rpki_client, at(2000)).as_deref(), Ok(&both[1..]), "one has run out");
        let routinator = br#"{"metadata": {"generated": 1}, "roas": [
            {"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe"},
            {"asn": "AS0", "prefix": "2001:db8::/32", "maxLength": 32, "ta": "arin"}]}"#;
        assert_eq!(parse(routinator, at(0)).as_deref(), Ok(&both[..]));
    }

    #[test]
    fn what_is_none_of_it_is_refused_in_words() {
        for (text, words) in [
            ("", "rpki-client or Routinator"),
            ("{\"roas\": 7}", "rpki-client or Routinator"),
            ("{\"roas\": [{\"asn\": 1, \"prefix\": \"10.0.0.0/33\", \"maxLength\": 33}]}", "Routinator"),
            (
                "{\"roas\": [{\"asn\": \"AS-X\", \"prefix\": \"10.0.0.0/8\", \"maxLength\": 8}]}",
                "is no number",
            ),
        ] {
            let why = parse(text.as_bytes(), UNIX_EPOCH).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
        let missing = load(Path::new("/nowhere/vrps.json"), UNIX_EPOCH).expect_err("there is none");
        assert!(missing.to_string().starts_with("/nowhere/vrps.json: "), "{missing}");
    }
}
