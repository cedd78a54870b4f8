//! Bars as SVG, in colours that do on a light page and on a dark one.

use std::fmt::Write;

use super::tables::{Chart, Table};
use super::{LANDFALL, SERVERS, number};
use crate::results::{Results, Spread};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 44.0;
const BAR: f64 = 18.0;
const GAP: f64 = 4.0;
const GROUP_GAP: f64 = 12.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}\
.v{font-size:12px}.b{fill:#8c959f}.o{fill:#0969da}.w{stroke:#1f2328;stroke-width:1.2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#6e7681}.o{fill:#4493f8}\
.w{stroke:#e6edf3}}";

struct Bar {
    server: &'static str,
    label: &'static str,
    spread: Spread,
}

/// The chart, if any server has a number for it. A whisker spans the rounds.
pub fn draw(results: &Results, table: &Table, chart: &Chart) -> Option<String> {
    let bars: Vec<Bar> = SERVERS
        .iter()
        .flat_map(|server| {
            chart.metrics.iter().filter_map(|(metric, label)| {
                Some(Bar {
                    server,
                    label,
                    spread: results.spread(table.scenario, server, metric)?,
                })
            })
        })
        .collect();
    let most = bars
        .iter()
        .map(|bar| bar.spread.most)
        .max_by(f64::total_cmp)?;
    let least = bars
        .iter()
        .map(|bar| bar.spread.least)
        .filter(|value| *value > 0.0)
        .min_by(f64::total_cmp)?;
    let scale = Scale {
        // A logarithmic axis begins a little below its least value.
        from: if chart.logarithmic { least / 2.0 } else { 0.0 },
        to: most,
        logarithmic: chart.logarithmic,
    };
    let mut body = String::new();
    let mut y = TOP;
    let mut last = "";
    for bar in &bars {
        if !last.is_empty() && last != bar.server {
            y += GROUP_GAP;
        }
        let name = if last == bar.server { "" } else { bar.server };
        last = bar.server;
        one(&mut body, bar, name, y, &scale, chart.decimals);
        y += BAR + GAP;
    }
    let height = y + 12.0;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\"><style>{STYLE}</style>\n\
         <text class=\"t\" x=\"8\" y=\"22\">{title}</text>\n{body}</svg>\n",
        title = chart.title
    ))
}

fn one(body: &mut String, bar: &Bar, name: &str, y: f64, scale: &Scale, decimals: usize) {
    let class = if bar.server == LANDFALL { "o" } else { "b" };
    let end = scale.at(bar.spread.median);
    let middle = y + BAR / 2.0;
    let baseline = y + BAR - 5.0;
    let _ = writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name} {}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" \
         rx=\"2\"/>",
        LEFT - 8.0,
        bar.label,
        (end - LEFT).max(1.0),
    );
    let mut text_at = end;
    if bar.spread.rounds > 1 {
        let (from, to) = (scale.at(bar.spread.least), scale.at(bar.spread.most));
        text_at = to;
        let _ = writeln!(
            body,
            "<line class=\"w\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" \
             y2=\"{middle:.1}\"/>"
        );
    }
    let _ = writeln!(
        body,
        "<text class=\"v\" x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>",
        text_at + 6.0,
        number(bar.spread.median, decimals)
    );
}

struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            value / self.to
        };
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}
