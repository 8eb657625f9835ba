//! Test vectors: `proto/vectors/<area>/<name>.txt`, one fault each, found by walking the directory.
//!
//! ```text
//! check: LOG-08
//! expect: checkpoint/size
//! about: the size has a leading zero
//!
//! vkey: text waypost/gb.example-school+...
//! note: base64 d2F5cG9zdC8...
//! path: hex 6e340b9c...
//! path: hex e3b0c442...
//! ```
//!
//! `check` names the rule in `proto/spec/`, `expect` is `ok` or the failing stage and error. After a
//! blank line come fields: a name, an encoding (`text`, `base64` or `hex`) and one value; a name may
//! repeat. Another implementation needs nothing else to run them.
//!
//! An [`Area`] couples a directory with what generates its vectors and what runs one. Generators are
//! deterministic; `WAYPOST_REWRITE_VECTORS=1 cargo test --workspace --lib vectors_are_current` writes
//! what they give, and without it the test fails where the files differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

mod sample;

mod checkpoint;
mod header;
mod tlog_proof;
mod tree;

/// Every area. A directory without one fails a test.
const AREAS: &[&Area] = &[
    &checkpoint::CHECKPOINT,
    &header::HEADER,
    &header::MANIFEST,
    &tree::CONSISTENCY,
    &tree::INCLUSION,
    &tlog_proof::TLOG_PROOF,
];

/// One directory of vectors.
pub(crate) struct Area {
    /// Name of the directory.
    pub(crate) name: &'static str,
    /// Makes the vectors, the same each time.
    pub(crate) generate: fn() -> Vec<Vector>,
    /// Runs one, and says `ok` or the failing stage and error.
    pub(crate) run: fn(&Vector) -> String,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One line of text.
    Text,
    /// Standard base64.
    Base64,
    /// Lower-case hexadecimal digits.
    Hex,
}

/// One vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vector {
    /// Name of its file, without `.txt`.
    pub(crate) name: String,
    /// The rule that it exercises.
    pub(crate) check: String,
    /// `ok`, or the failing stage and error.
    pub(crate) expect: String,
    /// What is special about it, in words.
    pub(crate) about: String,
    fields: Vec<(String, Encoding, Vec<u8>)>,
}

impl Vector {
    /// A vector without fields.
    pub(crate) fn new(name: &str, check: &str, expect: &str, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            check: check.to_owned(),
            expect: expect.to_owned(),
            about: about.to_owned(),
            fields: Vec::new(),
        }
    }

    /// With a field of text: one line.
    pub(crate) fn text(self, name: &str, value: &dyn Display) -> Self {
        self.with(name, Encoding::Text, value.to_string().as_bytes())
    }

    /// With a field in base64.
    pub(crate) fn base64(self, name: &str, value: &[u8]) -> Self {
        self.with(name, Encoding::Base64, value)
    }

    /// With a field in hexadecimal digits.
    pub(crate) fn hex(self, name: &str, value: &[u8]) -> Self {
        self.with(name, Encoding::Hex, value)
    }

    fn with(mut self, name: &str, encoding: Encoding, value: &[u8]) -> Self {
        self.fields
            .push((name.to_owned(), encoding, value.to_vec()));
        self
    }

    /// Every value of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(field, ..)| field == name);
        named.map(|(_, _, value)| value.as_slice()).collect()
    }

    /// The only value of a field.
    pub(crate) fn one(&self, name: &str) -> &[u8] {
        let [value] = self.all(name)[..] else {
            panic!("`{}` needs exactly one field `{name}`", self.name)
        };
        value
    }

    /// The only value of a field, as text.
    pub(crate) fn one_text(&self, name: &str) -> &str {
        std::str::from_utf8(self.one(name)).unwrap()
    }

    fn to_file(&self) -> String {
        let Self {
            check,
            expect,
            about,
            ..
        } = self;
        let mut file = format!("check: {check}\nexpect: {expect}\nabout: {about}\n\n");
        for (name, encoding, value) in &self.fields {
            let line = match encoding {
                Encoding::Text => format!("text {}", std::str::from_utf8(value).unwrap()),
                Encoding::Base64 => format!("base64 {}", STANDARD.encode(value)),
                Encoding::Hex => format!("hex {}", hex::encode(value)),
            };
            assert!(
                !line.contains('\n'),
                "`{}`: a text field is one line",
                self.name
            );
            file += &format!("{name}: {line}\n");
        }
        file
    }

    fn from_file(name: &str, file: &str) -> Self {
        let (head, fields) = file
            .split_once("\n\n")
            .unwrap_or_else(|| panic!("`{name}` has no head"));
        let values: Vec<_> = head
            .lines()
            .zip(["check: ", "expect: ", "about: "])
            .map(|(line, label)| {
                line.strip_prefix(label)
                    .unwrap_or_else(|| panic!("`{name}` lacks `{label}`"))
            })
            .collect();
        let [check, expect, about] = values[..] else {
            panic!("`{name}` lacks a head line")
        };
        let mut vector = Self::new(name, check, expect, about);
        for line in fields.lines() {
            let (field, rest) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("`{name}`: `{line}`"));
            let (encoding, value) = rest.split_once(' ').unwrap_or((rest, ""));
            let (encoding, value) = match encoding {
                "text" => (Encoding::Text, value.as_bytes().to_vec()),
                "base64" => (Encoding::Base64, STANDARD.decode(value).unwrap()),
                "hex" => (Encoding::Hex, hex::decode(value).unwrap()),
                other => panic!("`{name}`: unknown encoding `{other}`"),
            };
            vector = vector.with(field, encoding, &value);
        }
        vector
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn entries(directory: &Path) -> BTreeSet<String> {
    let read = fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    read.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The files below a directory, by their paths in it.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for name in entries(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            paths.extend(files(&path).iter().map(|below| format!("{name}/{below}")));
        } else {
            paths.insert(name);
        }
    }
    paths
}

/// The files below a directory are exactly `generated`, by path and bytes. Writes them instead when
/// asked to.
pub(crate) fn assert_current(directory: &Path, generated: &BTreeMap<String, Vec<u8>>) {
    let names: BTreeSet<_> = generated.keys().cloned().collect();
    if std::env::var_os("WAYPOST_REWRITE_VECTORS").is_some() {
        fs::create_dir_all(directory).unwrap();
        for name in files(directory).difference(&names) {
            fs::remove_file(directory.join(name)).unwrap();
        }
        for (name, bytes) in generated {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(
        files(directory),
        names,
        "{} holds other files than are generated",
        directory.display()
    );
    for (name, bytes) in generated {
        let path = directory.join(name);
        assert!(
            fs::read(&path).unwrap() == *bytes,
            "{} is not what is generated",
            path.display()
        );
    }
}

/// Runs every vector of an area; at least one must be there.
pub(crate) fn run(area: &Area) {
    let directory = root().join(area.name);
    let names = entries(&directory);
    assert!(
        !names.is_empty(),
        "{} holds no vectors",
        directory.display()
    );
    for file in names {
        let name = file
            .strip_suffix(".txt")
            .unwrap_or_else(|| panic!("`{file}` is no vector"));
        let vector = Vector::from_file(name, &fs::read_to_string(directory.join(&file)).unwrap());
        let found = (area.run)(&vector);
        assert_eq!(
            found, vector.expect,
            "`{}/{name}`: {}",
            area.name, vector.about
        );
    }
}

#[test]
fn vectors_are_current() {
    for area in AREAS {
        let vectors = (area.generate)();
        let files: BTreeMap<_, _> = vectors
            .iter()
            .map(|v| (format!("{}.txt", v.name), v.to_file().into_bytes()))
            .collect();
        assert_eq!(
            files.len(),
            vectors.len(),
            "two vectors of `{}` share a name",
            area.name
        );
        assert_current(&root().join(area.name), &files);
    }
}

#[test]
fn every_directory_of_vectors_has_an_area() {
    let named: BTreeSet<_> = AREAS.iter().map(|area| area.name.to_owned()).collect();
    assert_eq!(entries(&root()), named);
}

#[test]
fn every_area_has_a_vector_that_passes_and_one_that_fails() {
    for area in AREAS {
        let (good, bad): (Vec<_>, Vec<_>) = (area.generate)()
            .into_iter()
            .partition(|vector| vector.expect == "ok");
        assert!(
            !good.is_empty() && !bad.is_empty(),
            "`{}` shows only one side",
            area.name
        );
    }
}
