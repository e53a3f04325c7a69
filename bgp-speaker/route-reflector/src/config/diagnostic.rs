//! What is wrong with a configuration, and where: one message with line, column and the mend.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::secret::hidden;
use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

/// One fault in a configuration text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    title: String,
    at: Range<usize>,
    label: Option<String>,
    /// Other places that the fault involves, such as the first of two equal neighbors.
    related: Vec<(Range<usize>, String)>,
    mend: Option<String>,
}

impl Diagnostic {
    /// A fault at `at`, in bytes of the text.
    pub(crate) fn new(at: Range<usize>, title: impl Into<String>) -> Self {
        Diagnostic { title: title.into(), at, label: None, related: Vec::new(), mend: None }
    }

    /// What to write beneath the place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A further place to point at.
    pub(crate) fn related(mut self, at: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((at, label.into()));
        self
    }

    /// What to do about it.
    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    fn render(&self, path: &str, source: &str, renderer: &Renderer) -> String {
        let title: String = self.title.chars().take(LONGEST).collect();
        let title = Level::ERROR.primary_title(title);
        let mut group = match self.snippet(path, source) {
            Some(snippet) => title.element(snippet),
            None => {
                let (line, column) = position(source, within(source, &self.at).start);
                title.element(Origin::path(path).line(line).char_column(column))
            }
        };
        if let Some(mend) = &self.mend {
            group = group.element(Level::HELP.message(mend.as_str()));
        }
        renderer.render(&[group])
    }

    /// The lines concerned; none when they are too long to be read, as in a file that is no configuration at all.
    fn snippet<'a>(&'a self, path: &'a str, source: &'a str) -> Option<Snippet<'a, Annotation<'a>>> {
        let places = std::iter::once(&self.at).chain(self.related.iter().map(|(at, _)| at));
        let readable = |at: &Range<usize>| {
            let at = within(source, at);
            line_length(source, at.start) <= LONGEST && line_length(source, at.end) <= LONGEST
        };
        if !places.into_iter().all(readable) {
            return None;
        }
        let mut place = AnnotationKind::Primary.span(within(source, &self.at));
        if let Some(label) = &self.label {
            place = place.label(label.as_str());
        }
        let mut snippet = Snippet::source(source).path(path).annotation(place);
        for (at, label) in &self.related {
            snippet =
                snippet.annotation(AnnotationKind::Context.span(within(source, at)).label(label.as_str()));
        }
        Some(snippet)
    }
}

/// Longer lines fill more of a screen than they explain.
const LONGEST: usize = 500;

/// Bytes of the line that holds the byte at `index`.
fn line_length(source: &str, index: usize) -> usize {
    let (before, after) = source.split_at(index);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    before.len() - start + after.find('\n').unwrap_or(after.len())
}

/// Line and column of the byte at `index`, counted from 1.
fn position(source: &str, index: usize) -> (usize, usize) {
    let (before, _) = source.split_at(index);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (lines, line) = before.split_at(start);
    (lines.matches('\n').count() + 1, line.chars().count() + 1)
}

/// The span, cut to what the renderer accepts: inside the text and on character borders.
fn within(source: &str, at: &Range<usize>) -> Range<usize> {
    let floor = |mut index: usize| {
        index = index.min(source.len());
        while !source.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(at.start);
    start..floor(at.end).max(start)
}

/// Why a configuration file cannot be used.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read at all.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is larger than any configuration.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The size that is still read, in bytes.
        limit: u64,
    },
    /// The file is readable, and something in it is wrong.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its text, without passwords.
        source: String,
        /// What is wrong.
        diagnostic: Box<Diagnostic>,
    },
}

impl ConfigError {
    pub(crate) fn invalid(path: &Path, source: &str, diagnostic: Diagnostic) -> Self {
        ConfigError::Invalid {
            path: path.to_owned(),
            source: hidden(source),
            diagnostic: Box::new(diagnostic),
        }
    }

    /// The message as text; `colour` for a terminal.
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        match self {
            ConfigError::Unreadable { path, error } => {
                let title = format!("cannot read {}: {}", path.display(), in_words(error));
                let mend = match error.kind() {
                    io::ErrorKind::NotFound => "name an existing file with --config FILE",
                    io::ErrorKind::IsADirectory => "name a file in it with --config FILE",
                    io::ErrorKind::PermissionDenied => {
                        "make the file readable for the user that runs route-reflector"
                    }
                    _ => "name a readable file with --config FILE",
                };
                plain(&renderer, &title, mend)
            }
            ConfigError::TooLarge { path, limit } => plain(
                &renderer,
                &format!("{} is larger than {} MiB", path.display(), limit >> 20),
                "name a route-reflector configuration with --config FILE",
            ),
            ConfigError::Invalid { path, source, diagnostic } => {
                diagnostic.render(&path.display().to_string(), source, &renderer)
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

fn plain(renderer: &Renderer, title: &str, mend: &str) -> String {
    renderer.render(&[Level::ERROR.primary_title(title).element(Level::HELP.message(mend))])
}

/// The system's message without its number.
pub(crate) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
