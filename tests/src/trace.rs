//! What the kernel saw: a trace by `strace -f -yy`, and whether answers waited for the disk.
//!
//! TLS hides what a connection carries, so a call is told by its size: a request that brings a
//! message is larger than any other, and an answer is larger than a frame of HTTP/2 itself.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::wait;

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
    /// What its first argument is, if it is a descriptor: a path, or `TCP:[from->to]`.
    pub on: String,
    /// Its arguments, as they are written in the trace.
    pub arguments: String,
    /// When it started, in microseconds.
    pub time_us: u64,
    /// What it returned, if it succeeded.
    pub result: Option<u64>,
    /// The line on which it started.
    pub start: usize,
    /// The line on which it ended.
    pub end: usize,
}

/// A message that came in on a connection, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The connection.
    pub on: String,
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
        "strace", "-D", "-f", "-yy", "-ttt", "-e", CALLS, "-s", "0", "-o",
    ];
    let words = words.map(OsString::from).into_iter();
    words.chain([output.as_os_str().to_owned()]).collect()
}

/// The words that start a program of which every change of a file is traced with its bytes.
#[must_use]
pub fn recorder(output: &Path) -> Vec<OsString> {
    // All that could change a file: what `disk` does not know, it refuses.
    const CALLS: &str = "trace=open,creat,openat,openat2,close,dup,dup2,dup3,fcntl,lseek,\
        write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,\
        sendfile,splice,mmap,msync,io_uring_setup,rename,renameat,renameat2,link,linkat,symlink,\
        symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,sync_file_range,syncfs,sync,\
        recvfrom,recvmsg,sendto,sendmsg";
    let words = [
        "strace", "-D", "-f", "-yy", "-xx", "-ttt", "-e", CALLS, "-s", "16777216", "-o",
    ];
    let words = words.map(OsString::from).into_iter();
    words.chain([output.as_os_str().to_owned()]).collect()
}

/// Waits until a trace is written to its end, after the program has ended.
///
/// # Errors
/// When it does not come to its end in time, or cannot be read.
pub async fn whole(output: &Path, pid: u32) -> Result<String> {
    let end = format!("{pid} ");
    wait::until("the trace is whole", async || {
        let text = fs::read_to_string(output)?;
        let last = text.lines().next_back().unwrap_or_default();
        Ok((last.starts_with(&end) && last.ends_with("+++")).then_some(text))
    })
    .await
}

/// Parses a trace; lines that are no call (signals, exits) are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, Call> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        // pid, time, the rest
        let mut words = line.splitn(2, char::is_whitespace);
        let (Some(pid), Some(rest)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((time, rest)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        if rest.starts_with("<... ") {
            if let Some(mut call) = unfinished.remove(pid) {
                call.end = number;
                call.result = result(rest);
                calls.push(call);
            }
        } else if let Some(mut call) = call(rest, number) {
            call.time_us = time.replace('.', "").parse().unwrap_or_default();
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
    let (name, rest) = text.split_once('(')?;
    let arguments = match rest.rsplit_once(") = ") {
        Some((arguments, _)) => arguments,
        None => rest.strip_suffix("<unfinished ...>")?,
    };
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then(|| Call {
        name: name.to_owned(),
        on: described(arguments).unwrap_or_default(),
        arguments: arguments.to_owned(),
        time_us: 0,
        result: result(text),
        start: number,
        end: number,
    })
}

/// What the descriptor in front of `arguments` is.
fn described(arguments: &str) -> Option<String> {
    let described = arguments
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix('<')?;
    // `TCP:[a->b]` holds a `>` of its own.
    Some(match described.split_once("]>") {
        Some((socket, _)) if described.starts_with("TCP") => format!("{socket}]"),
        // A device is followed by `<char 1:3>`.
        _ => unescaped(described.split(['<', '>']).next()?),
    })
}

/// Text that may be written as `\x2f\x74..`.
fn unescaped(text: &str) -> String {
    match hexadecimal(text) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => text.to_owned(),
    }
}

/// The bytes of `\x2f\x74..`.
#[must_use]
pub fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    for digits in text.as_bytes().chunks(4) {
        let [b'\\', b'x', high, low] = digits else {
            return None;
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
    }
    Some(bytes)
}

fn result(text: &str) -> Option<u64> {
    let (_, result) = text
        .rsplit_once(") = ")
        .or_else(|| text.rsplit_once(" = "))?;
    let number = result.split([' ', '<']).next()?;
    number.parse().ok()
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

/// Whether something was sent over the network.
#[must_use]
pub fn is_send(call: &Call) -> bool {
    call.on.starts_with("TCP") && is_write(call)
}

fn is_write(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "write" | "writev" | "sendto" | "sendmsg" | "pwrite64" | "pwritev"
    )
}

/// The calls on connections of `listener`.
fn calls_on(calls: &[Call], listener: SocketAddr) -> impl Iterator<Item = &Call> {
    // The listener's side of a connection is named first.
    let ours = format!("[{listener}->");
    calls
        .iter()
        .filter(move |call| call.on.starts_with("TCP") && call.on.contains(&ours))
}

/// The connections of `listener`, in the order in which they were first used.
#[must_use]
pub fn connections(calls: &[Call], listener: SocketAddr) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for call in calls_on(calls, listener) {
        if !found.contains(&call.on) {
            found.push(call.on.clone());
        }
    }
    found
}

/// Every message that came in on connections of `listener`, with its answer.
#[must_use]
pub fn exchanges(calls: &[Call], listener: SocketAddr) -> Vec<Exchange> {
    let mut waiting: HashMap<&str, (u64, usize)> = HashMap::new();
    let mut found = Vec::new();
    for call in calls_on(calls, listener) {
        let bytes = call.result.unwrap_or(0);
        let (asked_bytes, asked) = waiting.entry(&call.on).or_default();
        if is_read(call) && bytes > 0 {
            *asked_bytes += bytes;
            *asked = call.end;
        } else if is_write(call) && bytes >= ANSWER_BYTES {
            if *asked_bytes >= MESSAGE_BYTES {
                found.push(Exchange {
                    on: call.on.clone(),
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
    for Exchange {
        asked, answered, ..
    } in &exchanges
    {
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
