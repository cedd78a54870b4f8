//! The metrics as Prometheus takes them, and the alerts and the dashboard that are made of them.

use std::collections::BTreeSet;

use super::promtool::{folder, promtool};
use super::support::{TestServer, wait_until};

/// Everything that is measured, where all that is measured has happened.
fn metrics() -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::with(|config| config.data = Some(folder.path().join("data")));
    server.done("a");
    let upload =
        "POST /api/uploads?job=b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(server.public().send(upload).answer().status, 201);
    wait_until("it is stored", || {
        let metrics = server.ops().get("/metrics").body;
        metrics.contains("outcomes_total{stage=\"storing\",outcome=\"done\"} 1")
    });
    server.ops().get("/metrics").body
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let output = promtool(&["check", "metrics"], &metrics());
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_alerts_are_told_when_they_are_to_be_and_not_else() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = promtool(&arguments, "");
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn alerts_and_the_dashboard_ask_for_what_there_is() {
    let metrics = metrics();
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let words = text.split(|c| !is_name(c));
        let asked: BTreeSet<&str> = words
            .filter(|word| word.starts_with("landfall_") || word.starts_with("process_"))
            .collect();
        assert!(asked.len() > 10, "{asked:?}");
        // What a fleet measures is tested with one.
        for name in asked.iter().filter(|it| !it.starts_with("landfall_fleet_")) {
            assert!(there.contains(name), "{file} asks for {name}");
        }
    }
}

#[test]
fn the_dashboard_is_one() {
    let text = std::fs::read_to_string(folder().join("dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|it| it["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        // Grafana draws none unless it is told to, whatever its place.
        if panel["type"] == "timeseries" {
            assert_eq!(panel["options"]["legend"]["showLegend"], true, "{panel}");
        }
        for target in targets {
            // As Grafana fills them in.
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "5m")
                .replace("$instance", ".+");
            let rule = format!(
                "groups: [{{name: a, rules: [{{record: a, expr: {}}}]}}]",
                serde_json::Value::from(query.as_str())
            );
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), rule).unwrap();
            let output = promtool(&["check", "rules", file.path().to_str().unwrap()], "");
            assert!(output.status.success(), "{query}: {output:?}");
        }
    }
}
