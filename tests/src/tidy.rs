//! The tree itself: every numbered check is implemented and tested, and nothing half done is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of one Rust file, at most.
const FILE_LINES: usize = 700;
/// The crates, and what surrounds them.
const PLACES: &[&str] = &[
    "proto", "policies", "node", "cli", "tests", "docs", "scripts",
];
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Every file below the places whose name ends so, by its path from the root.
fn files(endings: &[&str]) -> BTreeMap<String, String> {
    fn collect(folder: &Path, root: &Path, endings: &[&str], found: &mut BTreeMap<String, String>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().unwrap() != "target" {
                    collect(&path, root, endings, found);
                }
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                if let Ok(text) = fs::read_to_string(&path) {
                    found.insert(name, text);
                }
            }
        }
    }
    let root = root();
    let mut found = BTreeMap::new();
    for place in PLACES {
        collect(&root.join(place), &root, endings, &mut found);
    }
    assert!(found.len() > 1, "no files ending in {endings:?}");
    found
}

fn is_test_file(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.contains("/vectors")
        || name.ends_with("tests.rs")
}

/// The part of a file that the program is made of, and the part that only tests are.
fn split(name: &str, text: &str) -> (String, String) {
    if is_test_file(name) {
        return (String::new(), text.to_owned());
    }
    match text.split_once("#[cfg(test)]") {
        Some((code, tests)) => (code.to_owned(), tests.to_owned()),
        None => (text.to_owned(), String::new()),
    }
}

/// Checks named in a text: `ABC-01`, and all of a range such as `ABC-01 to ABC-07`.
fn checks(text: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut found = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let Some((series, number)) = check(word) else {
            continue;
        };
        found.insert((*word).to_owned());
        let to = words
            .get(index + 1)
            .filter(|word| matches!(**word, "to" | "and"));
        if let (Some(&"to"), Some((last_series, last))) =
            (to, words.get(index + 2).and_then(|w| check(w)))
            && last_series == series
        {
            found.extend((number..=last).map(|n| format!("{series}-{n:02}")));
        }
    }
    found
}

/// `ABC-01`; a series has three or four letters.
fn check(word: &str) -> Option<(&str, u32)> {
    let (series, number) = word.split_once('-')?;
    let letters = (3..=4).contains(&series.len()) && series.bytes().all(|b| b.is_ascii_uppercase());
    let digits = number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
    (letters && digits).then(|| Some((series, number.parse().ok()?)))?
}

/// A row of the specification that only a test can check says so.
const ONLY_A_TEST: &str = "(test)";

/// The checks that the specification defines: first in a row of a table, or first in a list's item.
/// Each with whether code makes it.
fn specified() -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for (name, text) in files(&[".md"]) {
        if !name.starts_with("proto/spec/") {
            continue;
        }
        for line in text.lines() {
            let row = line
                .strip_prefix("| ")
                .or_else(|| line.strip_prefix("- **"));
            let first = row.and_then(|row| row.split([' ', '*']).next());
            let first = first.filter(|word| check(word).is_some());
            found.extend(first.map(|word| (word.to_owned(), !line.contains(ONLY_A_TEST))));
        }
    }
    assert!(
        found.len() > 50,
        "only {} checks are specified",
        found.len()
    );
    found
}

fn cited(from: impl Fn(&str, &str) -> String) -> BTreeSet<String> {
    let files = files(&[".rs"]);
    files
        .iter()
        .flat_map(|(name, text)| checks(&from(name, text)))
        .collect()
}

#[test]
fn every_numbered_check_is_cited_where_it_is_made() {
    let cited = cited(|name, text| split(name, text).0);
    let made = specified().into_iter().filter(|(_, by_code)| *by_code);
    let missing: Vec<_> = made
        .map(|(check, _)| check)
        .filter(|check| !cited.contains(check))
        .collect();
    assert!(missing.is_empty(), "no code cites {missing:?}");
}

#[test]
fn every_numbered_check_is_cited_by_a_test() {
    let cited = cited(|name, text| split(name, text).1);
    let missing: Vec<_> = specified()
        .into_keys()
        .filter(|check| !cited.contains(check))
        .collect();
    assert!(missing.is_empty(), "no test cites {missing:?}");
}

#[test]
fn ranges_of_checks_are_read_whole() {
    let found = checks("see ABC-01 to ABC-03, `DEFG-11`; not AB-01, ABC-1, IND-PHY-01 or X-ABC-09");
    let expected = ["ABC-01", "ABC-02", "ABC-03", "DEFG-11"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

/// Every line that holds one of the words, apart from this file.
fn lines_with(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files(&[
        ".rs",
        ".proto",
        ".md",
        ".cedar",
        ".cedarschema",
        ".toml",
        "/prerequisites",
    ]) {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{name}:{}", number + 1));
            }
        }
    }
    found
}

#[test]
fn nothing_is_half_done() {
    // Put together here, so that this file does not hold them.
    let words = [
        "TO DO",
        "FIX ME",
        "to do !(",
        "unimple mented!(",
        "#[ig nore",
    ]
    .map(|word| word.replace(' ', ""));
    assert_eq!(lines_with(&words), [""; 0]);
}

#[test]
fn no_path_of_a_machine_is_in_the_tree() {
    let words = ["/ro ot/", "/ho me/", "/Us ers/", "/wo rk/"].map(|word| word.replace(' ', ""));
    assert_eq!(lines_with(&words), [""; 0]);
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = files(&[".rs"])
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .collect();
    assert!(long.is_empty(), "longer than {FILE_LINES} lines: {long:?}");
}

/// DESIGN 8: what may be replaced is named in one place.
#[test]
fn each_engine_is_named_in_its_own_place_only() {
    for (engine, place) in [
        ("sled::", "node/src/store/"),
        ("sequoia_openpgp", "proto/src/openpgp/"),
        ("cedar_policy", "policies/src/"),
    ] {
        let elsewhere: Vec<_> = files(&[".rs"])
            .into_iter()
            .filter(|(name, text)| !name.starts_with(place) && names(text, engine))
            .map(|(name, _)| name)
            .filter(|name| name != "tests/src/tidy.rs")
            .collect();
        assert!(elsewhere.is_empty(), "`{engine}` is named in {elsewhere:?}");
    }
}

/// Whether the text names the crate itself; `crate::store::sled::` is our own module.
fn names(text: &str, engine: &str) -> bool {
    text.lines().any(|line| {
        line.match_indices(engine).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
        })
    })
}

/// The list of bad input, and where each line is tested.
const BAD_INPUT: &str = "docs/bad-input.md";

/// The lines of the list: what stands between commas and semicolons outside parentheses.
fn listed(document: &str) -> Vec<String> {
    let quoted = document.lines().filter_map(|line| line.strip_prefix("> "));
    let text = quoted.collect::<Vec<_>>().join(" ");
    let mut depth = 0;
    let lines = text.trim_end_matches('.').split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && (c == ',' || c == ';')
    });
    let lines = lines.map(str::trim);
    lines
        .map(|line| line.strip_prefix("or ").unwrap_or(line).to_owned())
        .collect()
}

/// Every test of the tree by its module and name, such as `peers::a_name`.
fn tests_by_name() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in files(&[".rs"]) {
        let Some((_, path)) = name.split_once("/src/") else {
            continue;
        };
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = path.replace('/', "::");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            if !matches!(*line, "#[test]" | "#[tokio::test]") {
                continue;
            }
            let function = lines[number..]
                .iter()
                .find_map(|line| line.split_once("fn "));
            let (_, function) = function.unwrap();
            let (function, _) = function.split_once('(').unwrap();
            // In the file of the code itself, or in one of tests only.
            found.insert(format!("{module}::{function}"));
            found.insert(format!("{module}::tests::{function}"));
        }
    }
    found
}

#[test]
fn every_line_of_the_list_of_bad_input_names_its_checks_and_tests() {
    let document = &files(&[".md"])[BAD_INPUT];
    let (tests, specified) = (tests_by_name(), specified());
    let mut rows = Vec::new();
    for row in document.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [line, _, _, of, by] = cells[..] else {
            panic!("not five cells: {row}");
        };
        if line == "line" {
            continue;
        }
        rows.push(line.to_owned());
        for check in checks(of) {
            assert!(specified.contains_key(&check), "{line}: no check {check}");
        }
        let named: Vec<_> = by.split('`').filter(|word| word.contains("::")).collect();
        assert!(!named.is_empty(), "{line}: no test");
        for test in named {
            assert!(tests.contains(test), "{line}: no test {test}");
        }
    }
    assert_eq!(rows, listed(document));
}
