//! Syncs a message: counted by the kernel, in a run of its own, because counting slows the nodes.

use std::ffi::OsString;
use std::fs;
use std::sync::Arc;

use anyhow::Result;
use waypost_tests::letter::Letter;
use waypost_tests::node::Network;
use waypost_tests::officer::Officer;
use waypost_tests::scheme::{AUTHORITY, NGO, Scheme};

use crate::whole::{self, Nodes};
use crate::{Options, inline, seal};

/// Messages counted.
const MESSAGES: usize = 256;

/// `fsync` and `fdatasync` calls of both nodes together, a message.
pub(crate) async fn a_message(options: &Options, in_flight: usize) -> Result<f64> {
    let mut scheme = Scheme::on(Network::Direct, options.suite, &[NGO, AUTHORITY]).await?;
    let mut traces = Vec::new();
    for agency in &mut scheme.agencies {
        let trace = agency.node.folder().join("syncs");
        // It stops the node at these calls only.
        let words = [
            "strace",
            "-D",
            "-f",
            "--seccomp-bpf",
            "-e",
            "trace=fsync,fdatasync",
            "-o",
        ];
        let mut words = words.map(OsString::from).to_vec();
        words.push(trace.clone().into_os_string());
        agency.node.start_under(&words).await?;
        traces.push(trace);
    }
    let mut sender = Officer::of(&scheme, scheme.agency_at(0)?).await?;
    let first = Letter::referral()?;
    let to = scheme.agency_at(1)?.id.clone();
    sender.deliver(&to, &first).await?;
    let inline = inline(options, &scheme, &mut sender).await?;
    let source = seal(&inline, MESSAGES, &mut Vec::new())?;
    let nodes = Arc::new(Nodes::connect(&scheme).await?);
    let pids = [
        scheme.agency_at(0)?.node.pid()?,
        scheme.agency_at(1)?.node.pid()?,
    ];
    let count = || -> Result<usize> {
        let mut calls = 0;
        for trace in &traces {
            let text = fs::read_to_string(trace)?;
            let called = |line: &&str| line.contains("sync(") && !line.contains("resumed");
            calls += text.lines().filter(called).count();
        }
        Ok(calls)
    };
    let before = count()?;
    whole::run(&nodes, &source, in_flight, pids).await?;
    let calls = u32::try_from(count()? - before)?;
    Ok(f64::from(calls) / f64::from(u32::try_from(MESSAGES)?))
}
