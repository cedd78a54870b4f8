//! The tables and plots that the README shows.

mod bars;
mod plot;
mod tables;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::failure::Result;
use crate::results::{Results, Spread};
use tables::{Column, TABLES, Table};

const LANDFALL: &str = "landfall";

/// Servers in the order of the rows.
const SERVERS: [&str; 5] = ["landfall", "durable-streams", "nchan", "axum", "send-loop"];

/// Writes `results.md` and the plots it refers to.
pub fn write(results: &Results, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut text = String::from("# Measured\n\n");
    text.push_str(&preface(results));
    text.push_str(&bars::summary(results));
    for table in &TABLES {
        if !measured(results, table.scenario) {
            continue;
        }
        let _ = write!(text, "\n## {}\n\n{}\n\n", table.title, table.about);
        for chart in table.charts {
            if let Some(svg) = plot::draw(results, table, chart) {
                let name = format!("{}.svg", chart.file);
                fs::write(directory.join(&name), svg)?;
                let _ = write!(text, "![{}]({name})\n\n", chart.title);
            }
        }
        text.push_str(&rows(results, table));
    }
    fs::write(directory.join("results.md"), text)?;
    Ok(())
}

fn measured(results: &Results, scenario: &str) -> bool {
    results.rows.iter().any(|row| row.scenario == scenario)
}

fn preface(results: &Results) -> String {
    let rounds = results.rows.iter().map(|row| row.round).max().unwrap_or(0);
    let rounds = match rounds {
        1 => "one round".to_owned(),
        _ => format!("{rounds} rounds"),
    };
    let mut text = format!(
        "Written by `scripts/bench`: every server in turn, {rounds}, on one machine with \
         {} cores, over loopback. Medians; least to most of the rounds in brackets. Every event \
         was checked to arrive exactly once and in order by every subscriber; where one did \
         not, the table says so. One process may open {} files here, which bounds the \
         subscribers of one server and of the load generator. `send-loop` is no server but the \
         floor: one bare `send()` per subscriber. nchan runs one worker process: with two, \
         1.3.6 now and then left one worker's subscribers without an event, and wasn't faster.\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(0),
    );
    if results.rows.iter().any(|row| row.quick) {
        text.push_str("\n**A quick run, a tenth of the load: it shows that it works, no more.**\n");
    }
    text
}

fn rows(results: &Results, table: &Table) -> String {
    let mut text = String::from("| |");
    let mut rule = String::from("\n| --- |");
    for column in table.columns {
        let _ = write!(text, " {} |", column.title);
        rule.push_str(" ---: |");
    }
    text.push_str(&rule);
    text.push('\n');
    let mut notes = Vec::new();
    for server in SERVERS {
        if results.of(table.scenario, server).next().is_none() {
            continue;
        }
        let mut note = None;
        for row in results.of(table.scenario, server) {
            for (label, said) in [
                ("", &row.impossible),
                ("failed: ", &row.failed),
                ("faults: ", &row.faults),
            ] {
                if !said.is_empty() {
                    note.get_or_insert_with(Vec::new).push((
                        row.round,
                        label,
                        said.trim_end_matches([';', ' ']).to_owned(),
                    ));
                }
            }
        }
        let mark = match note {
            None => String::new(),
            Some(said) => {
                notes.push(footnote(server, &said));
                format!(" [{}]", notes.len())
            }
        };
        let _ = write!(text, "| {server}{mark} |");
        for column in table.columns {
            let spread = results.spread(table.scenario, server, column.metric);
            let _ = write!(text, " {} |", cell(spread, column));
        }
        text.push('\n');
    }
    for (index, note) in notes.iter().enumerate() {
        let _ = write!(text, "\n[{}] {note}\n", index + 1);
    }
    text
}

/// What is the same in every round is said once.
fn footnote(server: &str, said: &[(u32, &str, String)]) -> String {
    let (_, label, first) = &said[0];
    if said.iter().all(|(_, _, text)| text == first) {
        return format!("{server}: {label}{first}");
    }
    let rounds: Vec<String> = said
        .iter()
        .map(|(round, label, text)| format!("round {round} {label}{text}"))
        .collect();
    format!("{server}: {}", rounds.join("; "))
}

fn cell(spread: Option<Spread>, column: &Column) -> String {
    let Some(spread) = spread else {
        return "-".to_owned();
    };
    let median = number(spread.median, column.decimals);
    if spread.rounds < 2 {
        return median;
    }
    format!(
        "{median} ({} to {})",
        number(spread.least, column.decimals),
        number(spread.most, column.decimals)
    )
}

/// With a comma between thousands.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{grouped}{fraction}")
}
