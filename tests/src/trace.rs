//! What the kernel saw: a trace by `strace -f -yy`, and whether answers waited for the disk.
//!
//! TLS hides what a connection carries, so a call is told by its size: a request that brings a
//! message is larger than any other, and an answer is larger than a frame of HTTP/2 itself.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

/// Bytes of a request that brings a message, at least: the headers alone are smaller.
const MESSAGE_BYTES: u64 = 4096;
/// Bytes of an answer, at least. Acknowledgements of settings, pings and windows are smaller, even
/// some at once and with their TLS records.
const ANSWER_BYTES: u64 = 128;

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// What its first argument is: a path, or `TCP:[from->to]`.
    pub on: String,
    /// What it returned, if it succeeded.
    pub result: Option<u64>,
    /// The line on which it started.
    pub start: usize,
    /// The line on which it ended.
    pub end: usize,
}

/// A message that came in on a connection, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The line on which the last byte of the request had come.
    pub asked: usize,
    /// The line on which the answer's first byte was about to go.
    pub answered: usize,
}

/// How an exchange broke the promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No message was answered on the listener's connections.
    #[error("no message was answered")]
    Nothing,
    /// Nothing was written to the store before the answer.
    #[error("the answer on line {answered} left before the store was written")]
    NotWritten {
        /// The line of the answer.
        answered: usize,
    },
    /// The keys of bodies were not synced before the store was.
    #[error("the answer on line {answered}: the vault was not synced before the store")]
    Vault {
        /// The line of the answer.
        answered: usize,
    },
    /// The store was not synced after it was written and before the answer.
    #[error("the answer on line {answered} left before the store was synced")]
    Store {
        /// The line of the answer.
        answered: usize,
    },
}

/// The words that start a traced program: it stays the child of the caller.
#[must_use]
pub fn tracer(output: &Path) -> Vec<OsString> {
    const CALLS: &str = "trace=fsync,fdatasync,sync_file_range,write,writev,pwrite64,pwritev,read,readv,recvfrom,recvmsg,sendto,sendmsg";
    let words = [
        "strace", "-D", "-f", "-yy", "-tt", "-e", CALLS, "-s", "0", "-o",
    ];
    let words = words.map(OsString::from).into_iter();
    words.chain([output.as_os_str().to_owned()]).collect()
}

/// Parses a trace; lines that are no call (signals, exits) are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, Call> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        // pid, time, the rest
        let mut words = line.splitn(3, char::is_whitespace);
        let Some(pid) = words.next() else { continue };
        let rest = line.strip_prefix(pid).unwrap_or_default().trim_start();
        let Some((_, rest)) = rest.split_once(' ') else {
            continue;
        };
        if rest.starts_with("<... ") {
            if let Some(mut call) = unfinished.remove(pid) {
                call.end = number;
                call.result = result(rest);
                calls.push(call);
            }
        } else if let Some(call) = call(rest, number) {
            if rest.ends_with("<unfinished ...>") {
                unfinished.insert(pid, call);
            } else {
                calls.push(call);
            }
        }
    }
    calls
}

/// `name(12</path>, ..) = 34`
fn call(text: &str, number: usize) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let described = arguments.trim_start_matches(|c: char| c.is_ascii_digit());
    let described = described.strip_prefix('<')?;
    // `TCP:[a->b]` holds a `>` of its own.
    let on = match described.split_once("]>") {
        Some((socket, _)) if described.starts_with("TCP") => format!("{socket}]"),
        _ => described.split_once('>')?.0.to_owned(),
    };
    plain.then(|| Call {
        name: name.to_owned(),
        on,
        result: result(text),
        start: number,
        end: number,
    })
}

fn result(text: &str) -> Option<u64> {
    let (_, result) = text
        .rsplit_once(") = ")
        .or_else(|| text.rsplit_once(" = "))?;
    result.split_whitespace().next()?.parse().ok()
}

fn is_sync(call: &Call) -> bool {
    matches!(call.name.as_str(), "fsync" | "fdatasync") && call.result == Some(0)
}

fn is_read(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "read" | "readv" | "recvfrom" | "recvmsg"
    )
}

fn is_write(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "write" | "writev" | "sendto" | "sendmsg" | "pwrite64" | "pwritev"
    )
}

/// Every message that came in on connections of `listener`, with its answer.
#[must_use]
pub fn exchanges(calls: &[Call], listener: SocketAddr) -> Vec<Exchange> {
    // The listener's side of a connection is named first.
    let ours = format!("[{listener}->");
    let mut waiting: HashMap<&str, (u64, usize)> = HashMap::new();
    let mut found = Vec::new();
    for call in calls
        .iter()
        .filter(|c| c.on.starts_with("TCP") && c.on.contains(&ours))
    {
        let bytes = call.result.unwrap_or(0);
        let (asked_bytes, asked) = waiting.entry(&call.on).or_default();
        if is_read(call) && bytes > 0 {
            *asked_bytes += bytes;
            *asked = call.end;
        } else if is_write(call) && bytes >= ANSWER_BYTES {
            if *asked_bytes >= MESSAGE_BYTES {
                found.push(Exchange {
                    asked: *asked,
                    answered: call.start,
                });
            }
            *asked_bytes = 0;
        }
    }
    found
}

/// Checks that every message was on disk before it was answered: the keys of its body first, then the
/// store, each synced after it was written. Returns how many there were.
///
/// # Errors
/// The first exchange that breaks it.
pub fn durable_before_answered(
    calls: &[Call],
    listener: SocketAddr,
    vault: &Path,
    store: &Path,
) -> Result<usize, Broken> {
    let (vault, store) = (vault.to_string_lossy(), store.to_string_lossy());
    let exchanges = exchanges(calls, listener);
    for Exchange { asked, answered } in &exchanges {
        let within = |call: &&Call| call.start > *asked && call.end < *answered;
        let answered = *answered;
        let synced_vault = calls
            .iter()
            .filter(within)
            .find(|call| call.on == vault && is_sync(call))
            .ok_or(Broken::Vault { answered })?;
        let written = calls
            .iter()
            .filter(within)
            .find(|call| call.on == store && is_write(call))
            .ok_or(Broken::NotWritten { answered })?;
        if written.start < synced_vault.end {
            return Err(Broken::Vault { answered });
        }
        let synced = |call: &Call| call.on == store && is_sync(call) && call.start > written.end;
        if !calls.iter().filter(within).any(synced) {
            return Err(Broken::Store { answered });
        }
    }
    match exchanges.len() {
        0 => Err(Broken::Nothing),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "7 10:00:00.000001 recvfrom(9<TCP:[127.0.0.1:80->127.0.0.1:90]>, \"\"..., 8192, 0, NULL, NULL) = 5000";
    const WINDOW: &str = "7 10:00:00.000002 sendto(9<TCP:[127.0.0.1:80->127.0.0.1:90]>, \"\"..., 35, 0, NULL, 0) = 35";
    const VAULT_SYNC: &str = "8 10:00:00.000003 fdatasync(5</data/vault.slots>) = 0";
    const STORE_WRITE: &str =
        "8 10:00:00.000004 pwrite64(4</data/store/db>, \"\"..., 9000, 0) = 9000";
    const SYNC_STARTS: &str = "8 10:00:00.000005 fdatasync(4</data/store/db> <unfinished ...>";
    const SYNC_ENDS: &str = "8 10:00:00.000007 <... fdatasync resumed>) = 0";
    const ANSWER: &str =
        "7 10:00:00.000008 writev(9<TCP:[127.0.0.1:80->127.0.0.1:90]>, [], 2) = 900";

    fn check(lines: &[&str]) -> Result<usize, Broken> {
        durable_before_answered(
            &parse(&lines.join("\n")),
            "127.0.0.1:80".parse().unwrap(),
            Path::new("/data/vault.slots"),
            Path::new("/data/store/db"),
        )
    }

    #[test]
    fn an_answer_after_both_syncs_passes() {
        let lines = [
            ASKED,
            WINDOW,
            VAULT_SYNC,
            STORE_WRITE,
            SYNC_STARTS,
            SYNC_ENDS,
            ANSWER,
        ];
        assert_eq!(check(&lines), Ok(1));
    }

    #[test]
    fn an_answer_before_the_stores_sync_has_returned_is_caught() {
        let lines = [
            ASKED,
            VAULT_SYNC,
            STORE_WRITE,
            SYNC_STARTS,
            ANSWER,
            SYNC_ENDS,
        ];
        assert_eq!(check(&lines), Err(Broken::Store { answered: 4 }));
        let lines = [
            ASKED,
            VAULT_SYNC,
            STORE_WRITE,
            ANSWER,
            SYNC_STARTS,
            SYNC_ENDS,
        ];
        assert_eq!(check(&lines), Err(Broken::Store { answered: 3 }));
    }

    #[test]
    fn a_sync_that_started_before_the_write_does_not_count() {
        let lines = [
            ASKED,
            VAULT_SYNC,
            SYNC_STARTS,
            SYNC_ENDS,
            STORE_WRITE,
            ANSWER,
        ];
        assert_eq!(check(&lines), Err(Broken::Store { answered: 5 }));
    }

    #[test]
    fn a_sync_that_failed_does_not_count() {
        let failed = "8 10:00:00.000005 fdatasync(4</data/store/db>) = -1 EIO (Input/output error)";
        let lines = [ASKED, VAULT_SYNC, STORE_WRITE, failed, ANSWER];
        assert_eq!(check(&lines), Err(Broken::Store { answered: 4 }));
    }

    #[test]
    fn a_store_that_is_written_before_the_vault_is_synced_is_caught() {
        let lines = [
            ASKED,
            STORE_WRITE,
            VAULT_SYNC,
            SYNC_STARTS,
            SYNC_ENDS,
            ANSWER,
        ];
        assert_eq!(check(&lines), Err(Broken::Vault { answered: 5 }));
        let lines = [ASKED, STORE_WRITE, SYNC_STARTS, SYNC_ENDS, ANSWER];
        assert_eq!(check(&lines), Err(Broken::Vault { answered: 4 }));
    }

    #[test]
    fn a_trace_without_a_message_proves_nothing() {
        assert_eq!(
            check(&[VAULT_SYNC, STORE_WRITE, SYNC_STARTS, SYNC_ENDS]),
            Err(Broken::Nothing)
        );
    }
}
