//! Where the description of the cluster comes from, and how its changes are noticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cluster::Cluster;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

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
    /// What was read last, good or not.
    known: Result<Cluster, String>,
}

impl Files {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, look: None, known: Ok(Cluster::default()) }
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
            // Times of modification are too coarse to trust, and reading a few files once a second costs nothing.
            let now = read(&self.path);
            if now != self.known {
                self.known = now;
                return self.known.clone();
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
        if file.extension().is_some_and(|extension| extension == "toml" || extension == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
