//! Reads a TOML table key by key, and remembers everything that is wrong.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

use super::Fault;

/// A table that is read key by key, so that what remains is unknown.
pub(super) struct Section {
    path: String,
    table: Table,
}

impl Section {
    pub(super) const fn new(path: String, table: Table) -> Self {
        Self { path, table }
    }

    fn fault(&self, key: &str, problem: impl fmt::Display) -> Fault {
        let key = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Fault {
            key,
            problem: problem.to_string(),
        }
    }

    pub(super) fn required<T: FromStr<Err: fmt::Display>>(
        &mut self,
        key: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            faults.push(self.fault(key, "is missing"));
        }
        self.optional(key, faults)
    }

    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        key: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        match self.table.remove(key)? {
            Value::String(text) => text
                .parse()
                .map_err(|error| faults.push(self.fault(key, error)))
                .ok(),
            other => {
                faults.push(self.fault(
                    key,
                    format_args!("expected text, found {}", other.type_str()),
                ));
                None
            }
        }
    }

    /// Between 1 and `most`; text counts if it is a number, for the overrides.
    pub(super) fn number(
        &mut self,
        key: &str,
        default: u64,
        most: u64,
        faults: &mut Vec<Fault>,
    ) -> u64 {
        let number = match self.table.remove(key) {
            None => return default,
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        if let Some(number) = number.filter(|number| (1..=most).contains(number)) {
            return number;
        }
        faults.push(self.fault(key, format_args!("expected a number from 1 to {most}")));
        default
    }

    /// A missing section is an empty one: what it must have is then reported as missing.
    pub(super) fn section<T>(
        &mut self,
        key: &str,
        faults: &mut Vec<Fault>,
        read: impl FnOnce(&mut Self, &mut Vec<Fault>) -> Option<T>,
    ) -> Option<T> {
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                faults.push(self.fault(key, format_args!("expected a section `[{key}]`")));
                return None;
            }
        };
        let mut section = Self::new(key.to_owned(), table);
        let read = read(&mut section, faults);
        section.finish(faults);
        read
    }

    pub(super) fn sections(&mut self, key: &str, faults: &mut Vec<Fault>) -> Vec<Self> {
        let values = match self.table.remove(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => vec![other],
        };
        let mut sections = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::Table(table) => sections.push(Self::new(format!("{key}[{index}]"), table)),
                _ => faults.push(self.fault(key, format_args!("expected sections `[[{key}]]`"))),
            }
        }
        sections
    }

    pub(super) fn finish(self, faults: &mut Vec<Fault>) {
        for key in self.table.keys() {
            faults.push(self.fault(key, "is not known here"));
        }
    }
}
