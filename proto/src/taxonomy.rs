//! The indicator, vulnerability and risk codes, and the parts that each leaks (DOMAIN c).
//!
//! A code leaks a part when whoever reads it learns something of that part: "found with drugs or
//! weapons" says something of offences. It is disclosed only where every part that it leaks is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::id::Digest;
use crate::vocabulary::Part;

/// A taxonomy file that breaks a rule of proto/spec/catalogue.md.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxonomyError {
    /// TAX-01: not code, group, label, leak tags, source line.
    #[error("TAX-01: line {line} does not have five columns")]
    Columns {
        /// The line, from 1.
        line: usize,
    },
    /// TAX-02: a code that is not `IND-`, `VUL-` or `RISK-`, or stands twice.
    #[error("TAX-02: line {line} holds no new code that starts with IND-, VUL- or RISK-")]
    Code {
        /// The line, from 1.
        line: usize,
    },
    /// TAX-03: a leak tag that is not in the table.
    #[error("TAX-03: line {line} holds a leak tag that no rule maps to a part")]
    Tag {
        /// The line, from 1.
        line: usize,
    },
}

#[derive(Debug)]
struct Entry {
    part: Part,
    leaks: BTreeSet<Part>,
    label: String,
}

/// The codes of one version of the list.
#[derive(Debug)]
pub struct Taxonomy {
    entries: BTreeMap<String, Entry>,
    digest: Digest,
}

impl Taxonomy {
    /// The list that this program was built with.
    ///
    /// # Errors
    /// TAX-01 to TAX-03, if it was built from a wrong file.
    pub fn current() -> Result<&'static Self, &'static TaxonomyError> {
        static CURRENT: LazyLock<Result<Taxonomy, TaxonomyError>> =
            LazyLock::new(|| Taxonomy::parse(include_str!("../data/taxonomy.tsv")));
        CURRENT.as_ref()
    }

    /// Parses the list: tab-separated, one heading line, columns code, group, label, leak tags
    /// joined by `+`, source line.
    ///
    /// # Errors
    /// TAX-01 to TAX-03.
    pub fn parse(text: &str) -> Result<Self, TaxonomyError> {
        let mut entries = BTreeMap::new();
        for (index, row) in text.lines().enumerate().skip(1) {
            let line = index + 1;
            let columns: Vec<&str> = row.split('\t').collect();
            let [code, _group, label, tags, _source] = columns.as_slice() else {
                return Err(TaxonomyError::Columns { line });
            };
            let part = own_part(code).ok_or(TaxonomyError::Code { line })?;
            let leaks = tags
                .split('+')
                .filter(|tag| !tag.is_empty())
                .map(|tag| leaked_part(code, tag).ok_or(TaxonomyError::Tag { line }))
                .collect::<Result<_, _>>()?;
            let entry = Entry {
                part,
                leaks,
                label: unquoted(label),
            };
            if entries.insert((*code).to_owned(), entry).is_some() {
                return Err(TaxonomyError::Code { line });
            }
        }
        let digest = Digest::of(listing(&entries).as_bytes());
        Ok(Self { entries, digest })
    }

    /// The part that a code itself belongs to: `IND`, or `RSK.rest` for risks. None if unknown.
    #[must_use]
    pub fn part(&self, code: &str) -> Option<Part> {
        self.entries.get(code).map(|e| e.part)
    }

    /// The parts that a code leaks. None if the code is unknown.
    #[must_use]
    pub fn leaks(&self, code: &str) -> Option<&BTreeSet<Part>> {
        self.entries.get(code).map(|e| &e.leaks)
    }

    /// What the source calls it, for officers. None if the code is unknown.
    #[must_use]
    pub fn label(&self, code: &str) -> Option<&str> {
        self.entries.get(code).map(|e| e.label.as_str())
    }

    /// Every code, sorted.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// SHA-256 of the canonical listing: a line `code<TAB>part<TAB>leaked parts, joined by +` for
    /// each code, sorted. Labels are not in it (TAX-04).
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn listing(entries: &BTreeMap<String, Entry>) -> String {
    let mut text = String::from("waypost/v1 taxonomy\n");
    for (code, entry) in entries {
        let leaks: Vec<&str> = entry.leaks.iter().map(|p| p.code()).collect();
        text.push_str(&format!("{code}\t{}\t{}\n", entry.part, leaks.join("+")));
    }
    text
}

fn own_part(code: &str) -> Option<Part> {
    match code.split('-').next() {
        Some("IND" | "VUL") => Some(Part::Ind),
        Some("RISK") => Some(Part::RskRest),
        _ => None,
    }
}

/// The part that a leak tag stands for, given the code that carries it (proto/spec/catalogue.md,
/// Leak tags).
fn leaked_part(code: &str, tag: &str) -> Option<Part> {
    Some(match tag {
        "COP" => Part::CopRest,
        "DOC" => Part::Doc,
        "EDU" => Part::Edu,
        "FAM" => Part::FamRest,
        "FIN" => Part::Fin,
        "HLT" => Part::HltRest,
        "IMM" => Part::ImmStatus,
        "LOC" => Part::LocArea,
        // An indicator is a sign of an act that the person was made to do; a record or a charge is more.
        "OFF" if code.starts_with("IND-") => Part::OffSign,
        "OFF" => Part::OffRest,
        "PCH" => Part::Pch,
        "PSY" if code == "IND-PSY-08" => Part::PsySelfHarm,
        "PSY" => Part::PsyRest,
        "SEX" => Part::SexRest,
        "XPL" => Part::Xpl,
        _ => return None,
    })
}

fn unquoted(label: &str) -> String {
    label
        .strip_prefix('"')
        .and_then(|l| l.strip_suffix('"'))
        .map_or_else(|| label.to_owned(), |inner| inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaks(code: &str) -> Vec<Part> {
        Taxonomy::current()
            .unwrap()
            .leaks(code)
            .unwrap()
            .iter()
            .copied()
            .collect()
    }

    #[test]
    fn the_list_holds_the_107_codes_of_the_source() {
        let taxonomy = Taxonomy::current().unwrap();
        assert_eq!(taxonomy.codes().count(), 107);
        assert_eq!(
            taxonomy.codes().filter(|c| c.starts_with("RISK-")).count(),
            21
        );
        assert_eq!(
            taxonomy.codes().filter(|c| c.starts_with("VUL-")).count(),
            29
        );
    }

    // TAX-03
    #[test]
    fn leak_tags_become_the_finest_part_that_the_code_tells_of() {
        assert_eq!(leaks("IND-PHY-06"), [Part::OffSign]);
        assert_eq!(leaks("VUL-SIT-01"), [Part::OffRest]);
        assert_eq!(leaks("RISK-11"), [Part::OffRest]);
        assert_eq!(leaks("RISK-21"), [Part::OffRest]);
        assert_eq!(leaks("IND-PSY-08"), [Part::PsySelfHarm]);
        assert_eq!(leaks("VUL-PER-05"), [Part::PsyRest]);
        assert_eq!(
            leaks("IND-PHY-03"),
            [Part::HltRest, Part::SexRest, Part::OffSign]
        );
        assert_eq!(leaks("IND-SOC-05"), [Part::LocArea, Part::OffSign]);
        assert_eq!(leaks("IND-PSY-02"), []);
    }

    // TAX-04
    #[test]
    fn the_digest_is_the_one_that_other_nodes_know() {
        assert_eq!(
            Taxonomy::current().unwrap().digest().to_string(),
            "e91336eb37cbad4f73cb36fa1b6ac91a09059f3e557e45864b60c1b7112d24ba",
            "the taxonomy changed: if that is meant, put the new digest here and say so in CHANGELOG.md"
        );
    }

    // TAX-04
    #[test]
    fn a_changed_label_does_not_change_the_digest_and_a_changed_tag_does() {
        let of = |row: &str| {
            Taxonomy::parse(&format!("heading\n{row}\n"))
                .unwrap()
                .digest()
        };
        let digest = of("IND-PHY-06\tg\tone label\tOFF\t1");
        assert_eq!(digest, of("IND-PHY-06\tg\tanother\tOFF\t2"));
        assert_ne!(digest, of("IND-PHY-06\tg\tone label\tOFF+HLT\t1"));
    }

    // TAX-01, TAX-02, TAX-03
    #[test]
    fn a_line_that_is_not_understood_is_refused_with_its_number() {
        let parse = |row: &str| Taxonomy::parse(&format!("heading\n{row}\n")).unwrap_err();
        assert_eq!(
            parse("IND-PHY-06\tg\tlabel"),
            TaxonomyError::Columns { line: 2 }
        );
        assert_eq!(
            parse("XYZ-1\tg\tlabel\t\t1"),
            TaxonomyError::Code { line: 2 }
        );
        assert_eq!(
            parse("IND-PHY-06\tg\tlabel\tZZZ\t1"),
            TaxonomyError::Tag { line: 2 }
        );
        assert_eq!(
            parse("IND-A\tg\tl\t\t1\nIND-A\tg\tl\t\t1"),
            TaxonomyError::Code { line: 3 }
        );
    }

    #[test]
    fn a_quoted_label_is_shown_without_its_quotes() {
        let label = Taxonomy::current().unwrap().label("IND-PHY-03").unwrap();
        assert!(label.starts_with("Found with") && label.contains("\"fridge,\""));
    }
}
