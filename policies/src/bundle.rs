//! A policy bundle: named Cedar files, in canonical bytes (docs/policies.md).

use std::collections::BTreeMap;

use prost::Message as _;
use waypost_proto::id::Digest;
use waypost_proto::{limit, wire};

/// Why bytes or files are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More than [`limit::BUNDLE_BYTES`] or [`limit::BUNDLE_FILES`].
    #[error("the bundle exceeds {bytes} bytes or {files} files")]
    TooLarge {
        /// Bytes allowed, encoded.
        bytes: usize,
        /// Files allowed.
        files: usize,
    },
    /// A bundle without a file.
    #[error("the bundle holds no file")]
    Empty,
    /// A name that is not a plain relative path ending in `.cedar`.
    #[error("file {position} of the bundle has no plain name such as `forbid/offence.cedar`")]
    Name {
        /// Which file, from 1.
        position: usize,
    },
    /// A name that stands twice.
    #[error("`{file}` stands twice in the bundle")]
    Repeated {
        /// The name.
        file: String,
    },
    /// A file that is not UTF-8.
    #[error("`{file}` is not UTF-8 text")]
    NotText {
        /// The name.
        file: String,
    },
    /// Bytes that are not an encoded bundle.
    #[error("the bytes are no policy bundle")]
    NotABundle,
    /// Bytes that decode, but not to themselves: files out of order, unknown fields.
    #[error("the bundle is not in canonical form: files sorted by name, nothing else")]
    NotCanonical,
}

/// Named Cedar policy files, not yet parsed: see [`crate::Rules::compile`].
///
/// INVARIANT (one bundle, one digest): the files are sorted by name and each name stands once, so a
/// bundle has exactly one encoding, and its digest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    files: BTreeMap<String, String>,
    digest: Digest,
}

macro_rules! files_of {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../", $folder, "/", $name)))),+]
    };
}

/// The project's default bundle, as it stands in `policies/bundle/`.
const BUILT_IN: &[(&str, &str)] = files_of!["bundle":
    "flow/anyone-to-child-protection.cedar",
    "flow/first-responder-to-nrmca.cedar",
    "flow/liaison-abroad.cedar",
    "flow/replies.cedar",
    "forbid/account.cedar",
    "forbid/basis.cedar",
    "forbid/child.cedar",
    "forbid/confidentiality.cedar",
    "forbid/consent.cedar",
    "forbid/cooperation.cedar",
    "forbid/health.cedar",
    "forbid/immigration.cedar",
    "forbid/investigation.cedar",
    "forbid/offence.cedar",
    "forbid/party.cedar",
    "forbid/purpose.cedar",
    "forbid/role.cedar",
    "forbid/school.cedar",
    "forbid/transfer.cedar",
];

/// The bundle of the invented State `xx`, as it stands in `policies/bundles/xx/`.
const XX: &[(&str, &str)] = files_of!["bundles/xx":
    "flow/answers.cedar",
    "flow/child-protection.cedar",
    "flow/identification.cedar",
    "flow/liaison.cedar",
    "forbid/basis.cedar",
    "forbid/person.cedar",
    "forbid/recipient.cedar",
    "forbid/transfer.cedar",
];

fn is_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".cedar") else {
        return false;
    };
    name.len() <= 128
        && stem.split('/').all(|step| {
            !step.is_empty()
                && step
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

impl Bundle {
    /// A bundle of the given files, each a name such as `forbid/offence.cedar` and its bytes, in any
    /// order.
    ///
    /// # Errors
    /// Too many files or bytes, a name that is not plain or stands twice, a file that is not text.
    pub fn new<N: Into<String>, B: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (N, B)>,
    ) -> Result<Self, BundleError> {
        let too_large = BundleError::TooLarge {
            bytes: limit::BUNDLE_BYTES,
            files: limit::BUNDLE_FILES,
        };
        let mut texts = BTreeMap::new();
        let mut size = 0usize;
        for (index, (name, bytes)) in files.into_iter().enumerate() {
            let (name, bytes): (String, Vec<u8>) = (name.into(), bytes.into());
            if !is_name(&name) {
                return Err(BundleError::Name {
                    position: index.saturating_add(1),
                });
            }
            size = size.saturating_add(bytes.len()).saturating_add(name.len());
            if size > limit::BUNDLE_BYTES || index >= limit::BUNDLE_FILES {
                return Err(too_large);
            }
            let text = String::from_utf8(bytes)
                .map_err(|_| BundleError::NotText { file: name.clone() })?;
            if texts.contains_key(&name) {
                return Err(BundleError::Repeated { file: name });
            }
            texts.insert(name, text);
        }
        if texts.is_empty() {
            return Err(BundleError::Empty);
        }
        let encoded = encode(&texts);
        if encoded.len() > limit::BUNDLE_BYTES {
            return Err(too_large);
        }
        Ok(Self {
            files: texts,
            digest: Digest::of(&encoded),
        })
    }

    /// The default bundle that this build carries.
    ///
    /// # Errors
    /// None in a build that passed its tests.
    pub fn builtin() -> Result<Self, BundleError> {
        Self::new(BUILT_IN.iter().map(|(name, text)| (*name, text.as_bytes())))
    }

    /// The bundle of `xx`, an invented State with rules of its own: for demonstrations, tests and as an
    /// example of a second bundle that keeps every theorem.
    ///
    /// # Errors
    /// None in a build that passed its tests.
    pub fn of_invented_state() -> Result<Self, BundleError> {
        Self::new(XX.iter().map(|(name, text)| (*name, text.as_bytes())))
    }

    /// Parses the bytes of an encoded bundle. Only the canonical form is accepted.
    ///
    /// # Errors
    /// As [`Self::new`], and when the bytes are not the canonical encoding of a bundle.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > limit::BUNDLE_BYTES {
            return Err(BundleError::TooLarge {
                bytes: limit::BUNDLE_BYTES,
                files: limit::BUNDLE_FILES,
            });
        }
        let decoded = wire::Bundle::decode(bytes).map_err(|_| BundleError::NotABundle)?;
        let bundle = Self::new(decoded.files.into_iter().map(|f| (f.name, f.content)))?;
        if bundle.to_wire() == bytes {
            Ok(bundle)
        } else {
            Err(BundleError::NotCanonical)
        }
    }

    /// The canonical bytes: a protobuf `Bundle`, files sorted by name.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        encode(&self.files)
    }

    /// SHA-256 of the canonical bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The files by name, in order.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

fn encode(files: &BTreeMap<String, String>) -> Vec<u8> {
    let files = files
        .iter()
        .map(|(name, text)| wire::BundleFile {
            name: name.clone(),
            content: text.clone().into_bytes(),
        })
        .collect();
    wire::Bundle { files }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn names_below(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                names_below(&entry.path(), &format!("{name}/"), names);
            } else {
                names.insert(name);
            }
        }
    }

    #[test]
    fn the_bundles_of_this_build_are_exactly_their_folders() {
        for (folder, bundle) in [
            ("bundle", Bundle::builtin()),
            ("bundles/xx", Bundle::of_invented_state()),
        ] {
            let mut on_disk = BTreeSet::new();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            names_below(&path, "", &mut on_disk);
            let bundle = bundle.unwrap();
            let names: BTreeSet<String> = bundle.files().map(|(n, _)| n.to_owned()).collect();
            assert_eq!(names, on_disk, "{folder}");
        }
    }

    #[test]
    fn a_bundle_survives_its_encoding_and_keeps_its_digest_whatever_the_order() {
        let bundle = Bundle::new([("b.cedar", "x"), ("a/c.cedar", "y")]).unwrap();
        let other = Bundle::new([("a/c.cedar", "y"), ("b.cedar", "x")]).unwrap();
        assert_eq!(bundle.digest(), other.digest());
        assert_eq!(bundle.digest(), Digest::of(&bundle.to_wire()));
        assert_eq!(Bundle::from_wire(&bundle.to_wire()).unwrap(), bundle);
    }

    #[test]
    fn a_bundle_out_of_order_or_with_more_in_it_is_refused() {
        let file = |name: &str| wire::BundleFile {
            name: name.to_owned(),
            content: b"x".to_vec(),
        };
        let unsorted = wire::Bundle {
            files: vec![file("b.cedar"), file("a.cedar")],
        }
        .encode_to_vec();
        assert_eq!(Bundle::from_wire(&unsorted), Err(BundleError::NotCanonical));
        let mut extra = wire::Bundle {
            files: vec![file("a.cedar")],
        }
        .encode_to_vec();
        extra.extend([0x78, 0x01]);
        assert_eq!(Bundle::from_wire(&extra), Err(BundleError::NotCanonical));
        assert_eq!(Bundle::from_wire(&[0xff]), Err(BundleError::NotABundle));
        assert_eq!(Bundle::from_wire(&[]), Err(BundleError::Empty));
    }

    #[test]
    fn names_that_could_leave_the_folder_and_bundles_beyond_the_limits_are_refused() {
        for name in [
            "../a.cedar",
            "/a.cedar",
            "a//b.cedar",
            ".cedar",
            "a.txt",
            "A.cedar",
            "a\n.cedar",
        ] {
            assert_eq!(
                Bundle::new([(name, "")]),
                Err(BundleError::Name { position: 1 }),
                "{name}"
            );
        }
        let repeated = Bundle::new([("a.cedar", ""), ("a.cedar", "")]);
        assert_eq!(
            repeated,
            Err(BundleError::Repeated {
                file: "a.cedar".to_owned()
            })
        );
        let many = (0..=limit::BUNDLE_FILES).map(|i| (format!("f{i}.cedar"), ""));
        assert!(matches!(
            Bundle::new(many),
            Err(BundleError::TooLarge { .. })
        ));
        let long = vec![b' '; limit::BUNDLE_BYTES];
        assert!(matches!(
            Bundle::new([("a.cedar", long)]),
            Err(BundleError::TooLarge { .. })
        ));
    }
}
