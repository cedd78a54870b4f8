//! What criterion has measured, as a row among the others.

use std::fs;
use std::path::Path;

use crate::failure::{Context, Result, fail};
use crate::measured::Measured;

/// Nanoseconds a turn, the median of criterion's estimates in `directory`.
pub fn read(directory: &Path) -> Result<Measured> {
    let mut measured = Measured::default();
    visit(directory, &mut measured)?;
    if measured.metrics.is_empty() {
        return fail(format!(
            "criterion has left nothing in {}",
            directory.display()
        ));
    }
    Ok(measured)
}

/// A benchmark of a group has a folder in the group's.
fn visit(directory: &Path, measured: &mut Measured) -> Result<()> {
    let named = directory.join("new/benchmark.json");
    if named.is_file() {
        let json = |path: &Path| -> Result<serde_json::Value> {
            let text = fs::read(path).context(&path.display().to_string())?;
            Ok(serde_json::from_slice(&text)?)
        };
        let name = json(&named)?["full_id"].as_str().map(str::to_owned);
        let median =
            json(&directory.join("new/estimates.json"))?["median"]["point_estimate"].as_f64();
        if let (Some(name), Some(median)) = (name, median) {
            measured.set(name, median);
        }
        return Ok(());
    }
    for entry in fs::read_dir(directory).context(&directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            visit(&path, measured)?;
        }
    }
    Ok(())
}
