//! What one scenario found out about one server in one round.

use std::collections::BTreeMap;

use crate::procfs::Cpu;
use crate::totals::Totals;

/// Named numbers, and what went wrong with the events.
#[derive(Debug, Default)]
pub struct Measured {
    pub metrics: BTreeMap<String, f64>,
    /// Empty if every event arrived exactly once and in order.
    pub faults: String,
}

impl Measured {
    /// Notes one number.
    pub fn set(&mut self, name: impl Into<String>, value: f64) -> &mut Self {
        self.metrics.insert(name.into(), value);
        self
    }

    /// Notes the server's CPU per delivery, how it splits, and what the load
    /// generator itself used meanwhile.
    pub fn set_cpu(&mut self, server: Cpu, generator: Cpu, deliveries: f64) -> &mut Self {
        let total_us = server.total_ns as f64 / 1000.0 / deliveries;
        self.set("cpu_us_per_delivery", total_us)
            .set("user_us_per_delivery", total_us * server.user_share())
            .set(
                "generator_us_per_delivery",
                generator.total_ns as f64 / 1000.0 / deliveries,
            )
    }

    /// Notes what the subscribers complain of.
    pub fn set_faults(&mut self, totals: &Totals) -> &mut Self {
        let errors = totals.errors();
        if !self.faults.contains(&errors) {
            if !self.faults.is_empty() {
                self.faults.push_str("; ");
            }
            self.faults.push_str(&errors);
        }
        self
    }
}
