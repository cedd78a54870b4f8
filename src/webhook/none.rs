//! A build without uploads has no webhooks either.

use std::io;
use std::path::Path;

use crate::sequencer::Sequencer;

/// There are none.
pub enum Webhooks {}

/// No webhooks.
#[derive(Default)]
pub struct HookPlan;

/// No secrets.
pub enum NewSecrets {}

impl HookPlan {
    pub fn start(self, _jobs: &Sequencer, _data: Option<&Path>) -> io::Result<Option<Webhooks>> {
        Ok(None)
    }
}

impl Webhooks {
    pub fn reread(&self) -> io::Result<NewSecrets> {
        match *self {}
    }

    pub fn change(&self, _secrets: NewSecrets) {
        match *self {}
    }

    pub fn stop(&self) {
        match *self {}
    }

    pub fn write_metrics(&self, _out: &mut String) {
        match *self {}
    }
}
