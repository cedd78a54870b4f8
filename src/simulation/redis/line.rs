//! The items that have stayed, from the first on, and what a node would make of all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::event::job::EventId;
use crate::hub::HubConfig;
use crate::sequencer::redis::by_hand::{Body, Item, ItemApplied, Position, event_of, fresh, state};

/// What was made of the items that have stayed.
pub struct Line {
    /// The numbers of what has stayed.
    pub numbers: BTreeMap<u64, Position>,
    /// Events by their data, and the numbers that they were accepted by.
    pub accepted: HashMap<String, Vec<EventId>>,
    /// What all nodes must have.
    pub state: String,
}

impl Line {
    /// Goes back from the end of the log to its beginning, and applies what lies between.
    pub fn of(given: &BTreeMap<Position, Arc<Item>>, last: Position, hub: &HubConfig) -> Line {
        let mut items = Vec::new();
        let mut epoch = last.epoch;
        let mut upto = last;
        loop {
            let first = Position::opening(epoch);
            let of_epoch = given.range(first..=upto).map(|(_, item)| item.clone());
            let of_epoch: Vec<_> = of_epoch.collect();
            let opening = of_epoch.first().map(|item| item.what.clone());
            items.push(of_epoch);
            let Some(Body::Opening { before, .. }) = opening else {
                panic!("{first} opens nothing");
            };
            if before == Position::START {
                break;
            }
            (epoch, upto) = (before.epoch, before);
        }
        let mut line = Line {
            numbers: BTreeMap::new(),
            accepted: HashMap::new(),
            state: String::new(),
        };
        let mut replica = fresh(hub.clone());
        for item in items.iter().rev().flatten() {
            let applied = replica.apply(item, false);
            let applied = applied.unwrap_or_else(|misfit| panic!("{}: {misfit:?}", item.at));
            let number = item.at.number().expect("no epoch is full");
            line.numbers.insert(number.0, item.at);
            if let ItemApplied::Entry {
                result: Some(Ok(id)),
                ..
            } = applied
                && id == number
                && let Some(data) = event_of(item)
                // What ends a job by itself says the same every time.
                && data.starts_with("{\"n\"")
            {
                line.accepted.entry(data).or_default().push(id);
            }
        }
        line.state = state(&replica);
        line
    }

    /// Whether what has this number has stayed.
    pub fn has(&self, number: EventId) -> bool {
        self.numbers.contains_key(&number.0)
    }
}
