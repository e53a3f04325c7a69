//! Where the description of the cluster comes from, and how its changes are noticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cluster::Cluster;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Something that knows the cluster. A watch on etcd or on the Kubernetes API would be another one.
pub(crate) trait Source {
    /// The cluster as it is now.
    fn first(&mut self) -> Result<Cluster, String>;

    /// The cluster when it has changed, or why its new description is none. May be dropped and called again at any time.
    fn changed(&mut self) -> impl Future<Output = Result<Cluster, String>>;
}

/// A file, or the `.toml` and `.json` files of a directory.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    look: Option<Interval>,
    /// What was told last, good or not.
    known: Result<Cluster, String>,
    /// What was read last and is not told yet.
    seen: Option<Result<Cluster, String>>,
}

impl Files {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, look: None, known: Ok(Cluster::default()), seen: None }
    }
}

impl Source for Files {
    fn first(&mut self) -> Result<Cluster, String> {
        self.known = read(&self.path);
        self.known.clone()
    }

    async fn changed(&mut self) -> Result<Cluster, String> {
        let look = self.look.get_or_insert_with(|| {
            let mut look = interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            look
        });
        loop {
            look.tick().await;
            // Times of modification are too coarse to trust, and reading a few files twice a second costs nothing.
            let now = read(&self.path);
            if now == self.known {
                self.seen = None;
            } else if self.seen.as_ref() == Some(&now) {
                self.known = now;
                self.seen = None;
                return self.known.clone();
            } else {
                // Half a file may well be the description of a smaller cluster: what stands twice alike is meant.
                self.seen = Some(now);
            }
        }
    }
}

fn read(path: &Path) -> Result<Cluster, String> {
    let mut cluster = Cluster::default();
    for file in files(path)? {
        let in_file = |error: String| format!("{}: {error}", file.display());
        let text = fs::read_to_string(&file).map_err(|error| in_file(error.to_string()))?;
        let part = match file.extension().is_some_and(|extension| extension == "json") {
            true => serde_json::from_str(&text).map_err(|error| in_file(error.to_string()))?,
            false => {
                toml::from_str(&text).map_err(|error| in_file(error.to_string().trim_end().to_owned()))?
            }
        };
        cluster.merge(part).map_err(in_file)?;
    }
    cluster.check().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(cluster)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        // What begins with a dot is an editor's or a mount's own.
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if file.extension().is_some_and(|extension| extension == "toml" || extension == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    const WHOLE: &str = "asn = 64512\n[[node]]\nname = \"a\"\naddresses = [\"10.0.0.1/24\"]\n\
                         [[node]]\nname = \"b\"\naddresses = [\"10.0.0.2/24\"]\n";

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("node-agent-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[tokio::test]
    async fn half_a_file_is_waited_out() {
        let path = directory("half").join("cluster.toml");
        fs::write(&path, WHOLE).unwrap();
        let mut source = Files::new(path.clone());
        let whole = source.first().unwrap();
        assert_eq!(whole.node.len(), 2);
        // It is written anew, and cut where the description is lawful, during one look.
        let half = WHOLE.find("[[node]]\nname = \"b\"").unwrap();
        fs::write(&path, &WHOLE[..half]).unwrap();
        let mut once = Context::from_waker(Waker::noop());
        assert!(std::pin::pin!(source.changed()).poll(&mut once).is_pending());
        fs::write(&path, WHOLE).unwrap();
        assert!(tokio::time::timeout(LOOK * 3, source.changed()).await.is_err(), "nothing has changed");
        fs::write(&path, &WHOLE[..half]).unwrap();
        assert_eq!(source.changed().await.unwrap().node.len(), 1, "what stays is meant");
        fs::remove_file(&path).unwrap();
        assert!(source.changed().await.is_err());
        fs::write(&path, WHOLE).unwrap();
        assert_eq!(source.changed().await, Ok(whole));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn hidden_files_are_nobodys_description() {
        let path = directory("hidden");
        fs::write(path.join("cluster.toml"), WHOLE).unwrap();
        std::os::unix::fs::symlink("nobody@nowhere.1", path.join(".#cluster.toml")).unwrap();
        assert_eq!(Files::new(path.clone()).first().unwrap().node.len(), 2);
        fs::remove_dir_all(path).unwrap();
    }
}
