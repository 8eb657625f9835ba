//! Whether overwriting a file in place destroys what stood there: a judgement from what Linux tells.

use std::fmt;
use std::fs;
use std::path::Path;

/// What overwriting does on the medium that holds the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overwriting {
    /// The file system writes in place, on a disk that says it is magnetic.
    InPlace,
    /// The file system writes elsewhere and frees the old place.
    Elsewhere {
        /// The file system, such as `btrfs`.
        file_system: String,
    },
    /// The device is flash: it writes elsewhere below the file system.
    Flash,
    /// It cannot be told.
    Unknown,
}

impl fmt::Display for Overwriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => f.write_str(
                "erased keys are overwritten in place (unless the disk is virtual: ask your host)",
            ),
            Self::Elsewhere { file_system } => write!(
                f,
                "`{file_system}` does not overwrite in place: erased keys may be recoverable from the disk; \
                 put the vault on ext4 or xfs, and encrypt the disk"
            ),
            Self::Flash => f.write_str(
                "flash does not overwrite in place: erased keys may be recoverable from the chips; encrypt the disk",
            ),
            Self::Unknown => f.write_str(
                "it cannot be told whether erased keys are overwritten in place; encrypt the disk",
            ),
        }
    }
}

impl Overwriting {
    /// What it does to the file `path`.
    pub(super) fn of(path: &Path) -> Self {
        let (Ok(path), Ok(mounts)) = (
            path.canonicalize(),
            fs::read_to_string("/proc/self/mountinfo"),
        ) else {
            return Self::Unknown;
        };
        Self::judge(&mounts, &path, rotates)
    }

    fn judge(mounts: &str, path: &Path, rotates: impl Fn(&str) -> Option<bool>) -> Self {
        // Of the mounts above the path, the one with the longest name; of equals, the latest.
        let mount = mounts
            .lines()
            .filter_map(Mount::parse)
            .filter(|m| path.starts_with(&m.point));
        let Some(mount) = mount.max_by_key(|m| m.point.len()) else {
            return Self::Unknown;
        };
        match mount.file_system {
            "ext2" | "ext3" | "ext4" | "xfs" => match rotates(mount.device) {
                Some(true) => Self::InPlace,
                Some(false) => Self::Flash,
                None => Self::Unknown,
            },
            "btrfs" | "zfs" | "bcachefs" | "f2fs" | "nilfs2" | "overlay" | "ubifs" => {
                Self::Elsewhere {
                    file_system: mount.file_system.to_owned(),
                }
            }
            _ => Self::Unknown,
        }
    }
}

/// A line of `/proc/self/mountinfo` (proc(5)).
struct Mount<'a> {
    device: &'a str,
    point: String,
    file_system: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(2);
        let device = fields.next()?;
        let point = fields.nth(1)?.replace("\\040", " ");
        Some(Self {
            device,
            point,
            file_system: source.split(' ').next()?,
        })
    }
}

/// Whether the block device, or the disk that it is a partition of, says that it rotates.
fn rotates(device: &str) -> Option<bool> {
    let of_disk = format!("/sys/dev/block/{device}/queue/rotational");
    let of_partition = format!("/sys/dev/block/{device}/../queue/rotational");
    let found = fs::read_to_string(of_disk)
        .or_else(|_| fs::read_to_string(of_partition))
        .ok()?;
    Some(found.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw - btrfs /dev/sdb rw
31 30 259:1 / /data/safe\\040place rw - xfs /dev/nvme0n1 rw
32 22 0:50 / /tmp rw - tmpfs tmpfs rw
";

    #[test]
    fn the_innermost_mount_decides_and_flash_is_told_apart() {
        let judge = |path: &str| {
            Overwriting::judge(MOUNTS, Path::new(path), |device| Some(device == "8:1"))
        };
        assert_eq!(judge("/var/vault.slots"), Overwriting::InPlace);
        assert_eq!(
            judge("/data/vault.slots"),
            Overwriting::Elsewhere {
                file_system: "btrfs".into()
            }
        );
        assert_eq!(judge("/data/safe place/vault.slots"), Overwriting::Flash);
        assert_eq!(judge("/tmp/vault.slots"), Overwriting::Unknown);
        assert_eq!(judge("/database/vault.slots"), Overwriting::InPlace);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert_eq!(
            Overwriting::judge("", Path::new("/x"), |_| None),
            Overwriting::Unknown
        );
        assert_eq!(
            Overwriting::of(Path::new("/no/such/file")),
            Overwriting::Unknown
        );
    }
}
