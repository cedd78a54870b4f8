//! What a node makes of the log.
//!
//! The invariant: two nodes that have applied the same items have the same state, all of what
//! is here included. Nothing here asks a clock, a disk or another node.

use std::collections::BTreeMap;

use super::crowd::Statement;
use super::entry::{self, PayloadKind, ReadPayload};
use super::holders::Holders;
use super::position::{Position, SLOTS, slot_of};
use super::store::{Body, Item, Nonce};
use crate::event::job::{EventId, LifeId};
use crate::event::resume::LastEventId;
use crate::hub::{After, Change, Entry, Hub, Only, Owner, Refusal};
use crate::sequencer::journal::codec::Unread;
use crate::sequencer::{Errand, Neighbour, log_end};

/// Processes whose counts are remembered. Beyond it the one goes that was heard of the
/// longest ago: what it sends again after that would be taken twice.
const BOOTS_MAX: usize = 4096;
/// Nodes that are remembered. Beyond it the one goes that said the longest ago who it is.
const NODES_MAX: usize = 64;

/// The state of a node.
#[derive(Clone)]
pub struct Replica {
    pub hub: Hub,
    /// What was applied last, ...
    pub at: Position,
    /// ... and its nonce.
    pub nonce: Nonce,
    /// Who kept the log when the newest epoch was opened.
    pub identity: String,
    /// The processes that have appended something.
    pub boots: BTreeMap<u64, Boot>,
    /// The nodes by their names.
    pub nodes: BTreeMap<String, Node>,
    /// Who holds uploads.
    pub holders: Holders,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Its last count that was applied: nothing up to it is applied again.
    pub count: u64,
    /// Whether what depends on that is void.
    pub is_refused: bool,
    /// The number of the newest entry of it.
    pub last: EventId,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its slot; none where all are others'.
    pub slot: Option<u64>,
    /// Its process.
    pub boot: u64,
    /// Where others find it; empty where it doesn't say.
    pub url: String,
    /// The number of the entry that says so.
    pub since: EventId,
}

/// What an item has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemApplied {
    /// An epoch has begun.
    Opened,
    /// Nothing: its epoch was full.
    Void,
    /// Nothing: it was applied before.
    Repeat,
    /// A process has had its count taken.
    Entry {
        boot: u64,
        count: u64,
        /// None where it depended on what was refused.
        result: Option<Result<EventId, Refusal>>,
        /// What it says that is none of the state's.
        aside: Option<Aside>,
    },
}

/// What an entry says that is none of the state's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// A node is there, in the place of this process of it.
    Node(Option<u64>),
    /// Something that a node asks of another.
    Errand(Errand),
    /// What streams a node has.
    Crowd(Statement),
}

/// Why an item can't be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It doesn't follow on what was applied last.
    Gap,
    /// A newer node has written it.
    Newer,
}

impl Replica {
    /// The state before anything.
    pub fn new(hub: Hub) -> Replica {
        Replica {
            hub,
            at: Position::START,
            nonce: Nonce::new(),
            identity: String::new(),
            boots: BTreeMap::new(),
            nodes: BTreeMap::new(),
            holders: Holders::default(),
        }
    }

    /// Whether an item comes right after what was applied last.
    pub fn is_next(&self, item: &Item) -> bool {
        match &item.what {
            Body::Entry(_) => item.at == self.at.next(),
            Body::Opening {
                before,
                nonce_before,
                ..
            } => *before == self.at && *nonce_before == self.nonce && item.at > self.at,
        }
    }

    /// Applies an item. Numbers that are lost by it are called out before, by `lose`.
    pub fn apply(&mut self, item: &Item, is_alone: bool) -> Result<ItemApplied, Misfit> {
        if !self.is_next(item) {
            return Err(Misfit::Gap);
        }
        let applied = match &item.what {
            Body::Opening { identity, .. } => {
                self.open(item.at, identity);
                ItemApplied::Opened
            }
            Body::Entry(payload) => self.enter(item, payload, is_alone)?,
        };
        self.at = item.at;
        self.nonce.clone_from(&item.nonce);
        Ok(applied)
    }

    /// Numbers between the last item and an opening that nothing stands for any more.
    pub fn lost_by(&self, opening: Position) -> std::ops::Range<u64> {
        let after = |position: Position| position.number().map_or(0, |id| id.0);
        let last = after(self.at);
        // Where nothing was given before, nothing is lost.
        if last == 0 {
            0..0
        } else {
            last + 1..after(opening)
        }
    }

    fn open(&mut self, at: Position, identity: &str) {
        let lost = self.lost_by(at);
        self.hub
            .reach(EventId(at.number().map_or(0, |id| id.0)), Some(lost));
        if self.at == Position::START {
            self.hub
                .begin_above(EventId(at.number().map_or(0, |id| id.0)));
        }
        identity.clone_into(&mut self.identity);
    }

    fn enter(
        &mut self,
        item: &Item,
        payload: &[u8],
        is_alone: bool,
    ) -> Result<ItemApplied, Misfit> {
        let Some(id) = item.at.number() else {
            return Ok(ItemApplied::Void);
        };
        let Some((boot, count)) = parse_nonce(&item.nonce) else {
            error!(
                "fleet: entry {} has a nonce of nobody's: it is void",
                item.at
            );
            return Ok(ItemApplied::Void);
        };
        let known = self.boots.get(&boot).copied().unwrap_or_default();
        if count <= known.count {
            return Ok(ItemApplied::Repeat);
        }
        let mut aside = None;
        let result = match entry::decode(payload) {
            Err(Unread::Newer) => return Err(Misfit::Newer),
            Err(Unread::Malformed) => {
                error!("fleet: entry {} is malformed: it is void", item.at);
                None
            }
            Ok(said) if said.is_chained && known.is_refused => None,
            Ok(ReadPayload { what, .. }) => Some(match what {
                PayloadKind::Change(entry) => self.change(id, boot, entry, is_alone),
                PayloadKind::Errand(errand) => {
                    aside = Some(Aside::Errand(errand));
                    Ok(id)
                }
                PayloadKind::Crowd(statement) => {
                    aside = Some(Aside::Crowd(statement));
                    Ok(id)
                }
                PayloadKind::Node { name, url } => {
                    let before = self.nodes.get(&name).map(|node| node.boot);
                    aside = Some(Aside::Node(before));
                    self.introduce(id, boot, name, url);
                    Ok(id)
                }
            }),
        };
        self.hub.reach(id, None);
        self.note(boot, count, !matches!(result, Some(Ok(_))), id);
        Ok(ItemApplied::Entry {
            boot,
            count,
            result,
            aside,
        })
    }

    fn change(
        &self,
        id: EventId,
        boot: u64,
        mut entry: Entry,
        is_alone: bool,
    ) -> Result<EventId, Refusal> {
        // Time doesn't go back, whoever's clock says so.
        entry.time_ms = entry.time_ms.max(self.hub.time_ms());
        self.find_life(&mut entry);
        match self.hub.apply(id, &entry) {
            Ok(news) => {
                self.note_holder(id, boot, &entry);
                self.hub.tell(news, is_alone);
                log_end(&entry.job, &entry.change);
                Ok(id)
            }
            // Its first answer is its answer.
            Err(Refusal::Again(first)) => Ok(first),
            Err(refusal) => Err(refusal),
        }
    }

    /// What is meant for a life whose beginning is lost is meant for the one that was put back in
    /// its place, or for one that it begins itself, where it is the first to be put back.
    fn find_life(&self, entry: &mut Entry) {
        let Some(meant) = meant(&entry.change) else {
            return;
        };
        let now = self.hub.life(&entry.job).map(|life| life.id());
        let began = LastEventId::Number(meant.0.0);
        if now != Some(meant) && self.hub.find_number(&began).is_none() {
            mean(&mut entry.change, now);
        }
    }

    /// An upload's file is where its life was begun.
    fn note_holder(&self, id: EventId, boot: u64, entry: &Entry) {
        match entry.change {
            Change::Begin {
                owner: Owner::Upload,
                ..
            } => {
                let mut nodes = self.nodes.iter();
                match nodes.find(|(_, node)| node.boot == boot) {
                    Some((name, _)) => self.holders.begin(&entry.job, LifeId(id), name),
                    None => self.holders.end(&entry.job),
                }
            }
            Change::Begin { .. } | Change::Delete { .. } | Change::Forget { .. } => {
                self.holders.end(&entry.job);
            }
            Change::Event { .. } | Change::Renew { .. } | Change::Cancel { .. } => {}
        }
    }

    fn note(&mut self, boot: u64, count: u64, is_refused: bool, last: EventId) {
        let noted = Boot {
            count,
            is_refused,
            last,
        };
        self.boots.insert(boot, noted);
        if self.boots.len() > BOOTS_MAX {
            let oldest = self.boots.iter().min_by_key(|(_, boot)| boot.last);
            if let Some(oldest) = oldest.map(|(&boot, _)| boot) {
                self.boots.remove(&oldest);
            }
        }
    }

    /// A node says who it is. It keeps its slot, or gets one that is free, its name's if it can,
    /// so that it has the same where the log was lost; or that of whoever has said the longest ago
    /// who it is.
    fn introduce(&mut self, since: EventId, boot: u64, name: String, url: String) {
        let own = self.nodes.get(&name).and_then(|node| node.slot);
        let is_taken = |slot: &u64| self.nodes.values().any(|node| node.slot == Some(*slot));
        let mut slots = (0..SLOTS).map(|step| (slot_of(&name) + step) % SLOTS);
        let slot = own.or_else(|| slots.find(|slot| !is_taken(slot)));
        let slot = slot.or_else(|| {
            let with_slots = self.nodes.values_mut().filter(|node| node.slot.is_some());
            let oldest = with_slots.min_by_key(|node| node.since)?;
            oldest.slot.take()
        });
        let node = Node {
            slot,
            boot,
            url,
            since,
        };
        self.nodes.insert(name, node);
        if self.nodes.len() > NODES_MAX {
            let oldest = self.nodes.iter().min_by_key(|(_, node)| node.since);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.nodes.remove(&oldest);
            }
        }
        self.tell_holders();
    }

    /// Has who asks for holders find the nodes that there are.
    pub fn tell_holders(&self) {
        let nodes = self.nodes.iter().map(|(name, node)| Neighbour {
            name: name.clone(),
            url: node.url.clone(),
        });
        self.holders.know(nodes.collect());
    }
}

/// The life that a change is meant for, where no other is.
fn meant(change: &Change) -> Option<LifeId> {
    match change {
        Change::Event { only, .. } => match only {
            Some(Only::Life(life)) => Some(*life),
            _ => None,
        },
        Change::Renew { only, .. } | Change::Cancel { only, .. } | Change::Delete { only, .. } => {
            *only
        }
        Change::Begin { after, .. } => match after {
            After::Failed(life) => Some(*life),
            _ => None,
        },
        Change::Forget { .. } => None,
    }
}

/// Has it mean this one; any, where there is none.
fn mean(change: &mut Change, life: Option<LifeId>) {
    match change {
        Change::Event { only, .. } => *only = life.map(Only::Life),
        Change::Renew { only, .. } | Change::Cancel { only, .. } | Change::Delete { only, .. } => {
            *only = life;
        }
        Change::Begin { after, .. } => {
            if let Some(life) = life {
                *after = After::Failed(life);
            }
        }
        Change::Forget { .. } => {}
    }
}

/// The nonce of a process's entry.
pub fn nonce(boot: u64, count: u64) -> Nonce {
    format!("{boot:016x}/{count}")
}

fn parse_nonce(nonce: &str) -> Option<(u64, u64)> {
    let (boot, count) = nonce.split_once('/')?;
    Some((u64::from_str_radix(boot, 16).ok()?, count.parse().ok()?))
}
