//! Whether overwriting a file destroys what stood there: a judgement from what Linux tells.
//!
//! The node erases a body by overwriting its key in place, which not every medium does.

use std::fs;
use std::path::Path;

/// What overwriting does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Overwriting {
    /// The disk says that it is magnetic, and the file system writes in place.
    InPlace,
    /// The file system or the device writes elsewhere; this is what.
    Elsewhere(String),
    /// It cannot be told.
    Unknown,
}

/// What it does below `path`.
pub(super) fn overwriting(path: &Path) -> Overwriting {
    match (
        path.canonicalize(),
        fs::read_to_string("/proc/self/mountinfo"),
    ) {
        (Ok(path), Ok(mounts)) => judge(&mounts, &path, rotates),
        _ => Overwriting::Unknown,
    }
}

/// Of the mounts above the path, the one with the longest name decides; of equals, the latest.
fn judge(mounts: &str, path: &Path, rotates: impl Fn(&str) -> Option<bool>) -> Overwriting {
    let found = mounts
        .lines()
        .filter_map(parse)
        .filter(|(_, point, _)| path.starts_with(point))
        .max_by_key(|(_, point, _)| point.len());
    let Some((device, _, file_system)) = found else {
        return Overwriting::Unknown;
    };
    match file_system {
        "ext2" | "ext3" | "ext4" | "xfs" => match rotates(device) {
            Some(true) => Overwriting::InPlace,
            Some(false) => Overwriting::Elsewhere("flash".to_owned()),
            None => Overwriting::Unknown,
        },
        "btrfs" | "zfs" | "bcachefs" | "f2fs" | "nilfs2" | "overlay" | "ubifs" => {
            Overwriting::Elsewhere(file_system.to_owned())
        }
        _ => Overwriting::Unknown,
    }
}

/// Device, mount point and file system of a line of `/proc/self/mountinfo` (proc(5)).
fn parse(line: &str) -> Option<(&str, String, &str)> {
    let (mount, source) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(2);
    let device = fields.next()?;
    let point = fields.nth(1)?.replace("\\040", " ");
    Some((device, point, source.split(' ').next()?))
}

/// Whether the block device, or the disk that it is a partition of, says that it rotates.
fn rotates(device: &str) -> Option<bool> {
    let found = fs::read_to_string(format!("/sys/dev/block/{device}/queue/rotational"))
        .or_else(|_| fs::read_to_string(format!("/sys/dev/block/{device}/../queue/rotational")))
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
    fn the_innermost_mount_decides() {
        let judge = |path: &str| judge(MOUNTS, Path::new(path), |device| Some(device == "8:1"));
        assert_eq!(judge("/var/node"), Overwriting::InPlace);
        assert_eq!(judge("/data/node"), Overwriting::Elsewhere("btrfs".into()));
        assert_eq!(
            judge("/data/safe place/node"),
            Overwriting::Elsewhere("flash".into())
        );
        assert_eq!(judge("/tmp/node"), Overwriting::Unknown);
        assert_eq!(judge("/database"), Overwriting::InPlace);
    }
}
