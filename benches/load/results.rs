//! Rows of measurements, one JSON object a line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Result};
use crate::measured::Measured;

/// One scenario on one server in one round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub scenario: String,
    pub server: String,
    pub round: u32,
    pub quick: bool,
    /// Why there is no number, where the server has no such thing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub impossible: String,
    /// Why there is no number, where there should be one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed: String,
    /// What was wrong with the events; empty if all came once and in order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub faults: String,
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

impl Row {
    pub fn new(scenario: &str, server: &str, measured: Result<Measured>) -> Self {
        let mut row = Row {
            scenario: scenario.to_owned(),
            server: server.to_owned(),
            ..Row::default()
        };
        match measured {
            Ok(measured) => {
                row.metrics = measured.metrics;
                row.faults = measured.faults;
            }
            Err(failure) => row.failed = failure.to_string(),
        }
        row
    }

    pub fn impossible(scenario: &str, server: &str, reason: &str) -> Self {
        Row {
            impossible: reason.to_owned(),
            ..Row::new(scenario, server, Ok(Measured::default()))
        }
    }

    pub fn in_round(mut self, round: u32, quick: bool) -> Self {
        self.round = round;
        self.quick = quick;
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}:", self.round, self.scenario, self.server)?;
        for (name, value) in &self.metrics {
            write!(f, " {name}={value:.3}")?;
        }
        for (label, text) in [
            ("cannot", &self.impossible),
            ("FAILED", &self.failed),
            ("FAULTS", &self.faults),
        ] {
            if !text.is_empty() {
                write!(f, " {label}: {text}")?;
            }
        }
        Ok(())
    }
}

/// Adds a row to a file.
pub fn append(path: &Path, row: &Row) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(row)?)?;
    Ok(())
}

/// Every row of every round.
#[derive(Debug, Default)]
pub struct Results {
    pub rows: Vec<Row>,
}

/// A number over the rounds.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub rounds: usize,
}

/// Reads what [`append`] wrote.
pub fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).context(&path.display().to_string())?;
    let rows = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(serde_json::from_str)
        .collect::<Result<Vec<Row>, _>>()?;
    Ok(Results { rows })
}

impl Results {
    /// Rows of one scenario on one server.
    pub fn of<'a>(&'a self, scenario: &'a str, server: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows
            .iter()
            .filter(move |row| row.scenario == scenario && row.server == server)
    }

    /// One number over all rounds that have it.
    pub fn spread(&self, scenario: &str, server: &str, metric: &str) -> Option<Spread> {
        let mut values: Vec<f64> = self
            .of(scenario, server)
            .filter_map(|row| row.metrics.get(metric).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let middle = values.get(count / 2)?;
        let median = if count % 2 == 1 {
            *middle
        } else {
            (middle + values[count / 2 - 1]) / 2.0
        };
        Some(Spread {
            median,
            least: values[0],
            most: values[count - 1],
            rounds: count,
        })
    }

    /// The median over all rounds.
    pub fn median(&self, scenario: &str, server: &str, metric: &str) -> Option<f64> {
        Some(self.spread(scenario, server, metric)?.median)
    }
}
