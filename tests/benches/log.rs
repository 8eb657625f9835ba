//! What a log costs as it grows: appending, and making and checking proofs, in the real sequencer and
//! the embedded store.
//!
//! ```text
//! cargo bench --bench log -- [--sizes 1000,100000,1000000] [--json]
//! ```
//!
//! Every size is one log that goes on growing. Times are what the whole operation took: an append
//! with both of its syncs, a proof with its reads from the store. Checking needs no store. Beside the
//! times stands what was touched, which no other load on the machine changes.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use waypost_node::store::sled::SledStore;
use waypost_tests::growing_log::{GrowingLog, Proof, Touched, spread};

/// Operations of a kind that are averaged at each size.
const SAMPLES: u32 = 256;

struct Options {
    sizes: Vec<u64>,
    json: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self {
            sizes: vec![1_000, 100_000, 1_000_000],
            json: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--json" => options.json = true,
                "--sizes" => {
                    let sizes = words.next().context("`--sizes` needs a value")?;
                    let sizes = sizes.split(',').map(str::parse);
                    options.sizes = sizes.collect::<Result<_, _>>()?;
                }
                other => bail!("`{other}` is not known: see the head of this file"),
            }
        }
        if !options.sizes.is_sorted() || options.sizes.first().is_none_or(|size| *size == 0) {
            bail!("`--sizes` are numbers from 1, the smallest first");
        }
        Ok(options)
    }
}

/// Averages over [`SAMPLES`] of one kind of operation.
#[derive(Default)]
struct Average {
    microseconds: f64,
    reads: f64,
    writes: f64,
    hashes: f64,
}

impl Average {
    fn add(&mut self, took: Duration, touched: Touched) -> Result<()> {
        let share = |count: usize| u32::try_from(count).map(|c| f64::from(c) / f64::from(SAMPLES));
        self.microseconds += took.as_secs_f64() * 1e6 / f64::from(SAMPLES);
        self.reads += share(touched.reads)?;
        self.writes += share(touched.writes)?;
        self.hashes += share(touched.hashes)?;
        Ok(())
    }
}

/// What was measured at one size: name, value and unit, the same names at each.
type Row = (&'static str, f64, &'static str);

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SledStore::open(&folder.path().join("store"))?);
    let mut log = GrowingLog::begin(Arc::clone(&store) as _, folder.path())?;
    let mut columns = Vec::new();
    for &size in &options.sizes {
        log.fill(size).await?;
        let bytes = number(store.bytes_on_disk()?)? / number(size)?;
        let mut rows = vec![("store on disk", bytes, "bytes/entry")];
        rows.extend(append(&mut log).await?);
        rows.extend(inclusion(&log, size)?);
        rows.extend(consistency(&log)?);
        columns.push((size, rows));
    }
    log.stop().await;
    if options.json {
        write_json(&columns)
    } else {
        write_table(&columns)
    }
}

fn number(count: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(count >> 16)?) * 65_536.0
        + f64::from(u16::try_from(count % 65_536)?))
}

async fn append(log: &mut GrowingLog) -> Result<[Row; 3]> {
    let mut alone = Average::default();
    for _ in 0..SAMPLES {
        let started = Instant::now();
        let touched = log.append(1).await?;
        alone.add(started.elapsed(), touched)?;
    }
    Ok([
        ("append: records read", alone.reads, ""),
        ("append: records written", alone.writes, ""),
        ("append, alone in its commit", alone.microseconds, "us"),
    ])
}

/// Entries all over the log.
fn inclusion(log: &GrowingLog, size: u64) -> Result<[Row; 4]> {
    let indices = spread(SAMPLES.into(), size)?;
    let (made, checked) = proofs(&indices, |index| log.inclusion(*index))?;
    Ok([
        ("inclusion: records read", made.reads, ""),
        ("inclusion: hashes of the proof", made.hashes, ""),
        ("inclusion: make", made.microseconds, "us"),
        ("inclusion: check", checked.microseconds, "us"),
    ])
}

/// From what somebody saw of the log at some time.
fn consistency(log: &GrowingLog) -> Result<[Row; 4]> {
    let mut from = Vec::new();
    for index in spread(SAMPLES.into(), u64::try_from(log.seen().len())?)? {
        from.extend(log.seen().get(usize::try_from(index)?));
    }
    let (made, checked) = proofs(&from, |seen| log.consistency(*seen))?;
    Ok([
        ("consistency: records read", made.reads, ""),
        ("consistency: hashes of the proof", made.hashes, ""),
        ("consistency: make", made.microseconds, "us"),
        ("consistency: check", checked.microseconds, "us"),
    ])
}

fn proofs<T>(
    samples: &[T],
    make: impl Fn(&T) -> Result<(Proof, Touched)>,
) -> Result<(Average, Average)> {
    let (mut made, mut checked) = (Average::default(), Average::default());
    for sample in samples {
        let started = Instant::now();
        let (proof, touched) = make(sample)?;
        made.add(started.elapsed(), touched)?;
        let started = Instant::now();
        proof.check()?;
        checked.add(started.elapsed(), Touched::default())?;
    }
    Ok((made, checked))
}

fn write_json(columns: &[(u64, Vec<Row>)]) -> Result<()> {
    let column = |(size, rows): &(u64, Vec<Row>)| {
        let mut line: Map<String, Value> = Map::from_iter([("entries".to_owned(), json!(size))]);
        let named = rows
            .iter()
            .map(|(name, value, unit)| (format!("{name} {unit}").trim().to_owned(), json!(value)));
        line.extend(named);
        Value::Object(line)
    };
    let columns: Vec<Value> = columns.iter().map(column).collect();
    writeln!(std::io::stdout(), "{}", Value::Array(columns))?;
    Ok(())
}

/// One column a size, and how much the last is of the first.
fn write_table(columns: &[(u64, Vec<Row>)]) -> Result<()> {
    let (Some((smallest, first)), Some((largest, last))) = (columns.first(), columns.last()) else {
        return Ok(());
    };
    let mut out = std::io::stdout().lock();
    write!(out, "| entries of the log |")?;
    for (size, _) in columns {
        write!(out, " {size} |")?;
    }
    let grown = number(*largest)? / number(*smallest)?;
    let levels = number(*largest)?.log2() / number(*smallest)?.log2();
    writeln!(out, " x{grown:.0}, its logarithm x{levels:.1} |")?;
    writeln!(out, "|---{}|---|", "|---".repeat(columns.len()))?;
    for (index, ((name, from, unit), (_, to, _))) in first.iter().zip(last).enumerate() {
        write!(out, "| {} |", format!("{name} {unit}").trim())?;
        for (_, rows) in columns {
            let (_, value, _) = rows.get(index).context("the same rows at each size")?;
            write!(out, " {value:.1} |")?;
        }
        if *from > 0.0 {
            writeln!(out, " x{:.1} |", to / from)?;
        } else {
            writeln!(out, " |")?;
        }
    }
    Ok(())
}
