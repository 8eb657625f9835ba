//! What was measured: a table for people, one JSON object for machines.

use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::whole::Run;

/// The measurements with so many messages in flight.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) in_flight: usize,
    /// The limit, both nodes with messages sealed beforehand, and with sealing and opening: each several
    /// times, in turns.
    pub(crate) limit: Vec<Run>,
    pub(crate) sealed: Vec<Run>,
    pub(crate) inline: Vec<Run>,
    /// Syncs of both nodes together a message.
    pub(crate) syncs: f64,
}

/// The run in the middle by its rate.
fn middle(runs: &[Run]) -> Run {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    sorted
        .get(runs.len() / 2)
        .copied()
        .cloned()
        .unwrap_or_default()
}

/// The middle of the ratios of runs that stood side by side.
fn ratio(runs: &[Run], limits: &[Run]) -> f64 {
    let mut ratios: Vec<f64> = runs
        .iter()
        .zip(limits)
        .map(|(run, limit)| run.rate / limit.rate)
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Milliseconds of single stages.
#[derive(Debug, Default)]
pub(crate) struct Stages(Vec<(&'static str, f64, u32)>);

impl Stages {
    /// `ms` a message, so many `times` on its way.
    pub(crate) fn add(&mut self, name: &'static str, ms: f64, times: u32) {
        self.0.push((name, ms, times));
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) suite: String,
    pub(crate) form_bytes: usize,
    pub(crate) sealed_bytes: usize,
    pub(crate) levels: Vec<Level>,
    pub(crate) stages: Stages,
    pub(crate) receipts: usize,
}

impl Report {
    pub(crate) fn write(&self, as_json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{}", self.json())?;
            return Ok(());
        }
        writeln!(
            out,
            "suite {}, form {} bytes, sealed with header and signature {} bytes; {} receipts verified once more, offline\n",
            self.suite, self.form_bytes, self.sealed_bytes, self.receipts
        )?;
        writeln!(
            out,
            "| in flight | limit, msg/s | sealed beforehand, msg/s | of the limit | p50 / p99, ms | with sealing and opening, msg/s | of the limit | p50 / p99, ms | bytes on the wire | syncs |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
        for level in &self.levels {
            let [limit, sealed, inline] =
                [&level.limit, &level.sealed, &level.inline].map(|runs| middle(runs));
            writeln!(
                out,
                "| {} | {:.0} | {:.0} | **{:.2}** | {:.1} / {:.1} | {:.0} | **{:.2}** | {:.1} / {:.1} | {:.0} | {:.2} |",
                level.in_flight,
                limit.rate,
                sealed.rate,
                ratio(&level.sealed, &level.limit),
                sealed.percentile(0.5),
                sealed.percentile(0.99),
                inline.rate,
                ratio(&level.inline, &level.limit),
                inline.percentile(0.5),
                inline.percentile(0.99),
                sealed.wire,
                level.syncs,
            )?;
        }
        writeln!(out, "\nProcessor time a message, ms:\n")?;
        writeln!(
            out,
            "| in flight | limit: first, second, driver | sealed beforehand: sender's node, recipient's, driver | with sealing and opening |"
        )?;
        writeln!(out, "|---|---|---|---|")?;
        for level in &self.levels {
            let cost = |runs: &[Run]| {
                let costs = middle(runs)
                    .processor
                    .map(|seconds| format!("{:.2}", seconds * 1e3));
                costs.join(", ")
            };
            writeln!(
                out,
                "| {} | {} | {} | {} |",
                level.in_flight,
                cost(&level.limit),
                cost(&level.sealed),
                cost(&level.inline)
            )?;
        }
        writeln!(
            out,
            "\nStages by themselves:\n\n| stage | ms | times a message |\n|---|---|---|"
        )?;
        for (name, ms, times) in &self.stages.0 {
            writeln!(out, "| {name} | {ms:.3} | {times} |")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let run = |run: &Run| {
            json!({
                "rate": run.rate,
                "p50_ms": run.percentile(0.5),
                "p99_ms": run.percentile(0.99),
                "processor_ms": run.processor.map(|seconds| seconds * 1e3),
                "wire_bytes": run.wire,
            })
        };
        let runs = |all: &[Run]| all.iter().map(run).collect::<Vec<_>>();
        let levels = self.levels.iter().map(|level| {
            json!({
                "in_flight": level.in_flight,
                "limit": runs(&level.limit),
                "sealed_beforehand": runs(&level.sealed),
                "with_sealing_and_opening": runs(&level.inline),
                "ratio_sealed_beforehand": ratio(&level.sealed, &level.limit),
                "ratio_with_sealing_and_opening": ratio(&level.inline, &level.limit),
                "syncs": level.syncs,
            })
        });
        let stages = self
            .stages
            .0
            .iter()
            .map(|(name, ms, times)| json!({"stage": name, "ms": ms, "times": times}));
        json!({
            "suite": self.suite,
            "form_bytes": self.form_bytes,
            "sealed_bytes": self.sealed_bytes,
            "receipts_verified": self.receipts,
            "levels": levels.collect::<Vec<_>>(),
            "stages": stages.collect::<Vec<_>>(),
        })
    }
}
