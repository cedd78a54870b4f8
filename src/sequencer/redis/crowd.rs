//! The streams of the other nodes, as they say every now and then: so a publisher learns how
//! many get its events on all of them together.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::hub::Hub;
use crate::hub::elsewhere::FollowedNames;
use crate::sys::clock;

/// How often a node says what has changed.
pub const TURN: Duration = Duration::from_secs(1);
/// How often one that has streams says that it is there.
pub const WORD: Duration = Duration::from_secs(5);
/// After how long without a word its streams are counted no more.
const SILENCE: Duration = Duration::from_secs(20);
/// What a statement has at most.
pub const STATEMENT_MAX: usize = 1024;

/// What a node says of its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Whether what it said before is void.
    pub is_anew: bool,
    /// What it follows, and by how many streams.
    pub counts: Vec<(FollowedNames, usize)>,
}

/// The streams of the others, by their processes.
pub struct Crowd {
    hub: Hub,
    nodes: HashMap<u64, Streams>,
}

struct Streams {
    heard: Instant,
    counts: BTreeMap<FollowedNames, usize>,
}

impl Crowd {
    /// Nothing is known of others.
    pub fn new(hub: Hub) -> Crowd {
        Crowd {
            hub,
            nodes: HashMap::new(),
        }
    }

    /// A process has said something. False where what it said before isn't known here.
    pub fn hear(&mut self, boot: u64, statement: Statement) -> bool {
        let is_known = statement.is_anew || self.nodes.contains_key(&boot);
        if statement.is_anew {
            self.drop(boot);
        }
        let heard = clock::now();
        let node = self.nodes.entry(boot).or_insert_with(|| Streams {
            heard,
            counts: BTreeMap::new(),
        });
        node.heard = heard;
        for (followed, now) in statement.counts {
            let before = match now {
                0 => node.counts.remove(&followed),
                _ => node.counts.insert(followed.clone(), now),
            };
            let before = before.unwrap_or(0);
            self.hub.follow_elsewhere(&followed, before, now);
        }
        is_known
    }

    /// A process is gone.
    pub fn drop(&mut self, boot: u64) {
        for (followed, before) in self
            .nodes
            .remove(&boot)
            .into_iter()
            .flat_map(|it| it.counts)
        {
            self.hub.follow_elsewhere(&followed, before, 0);
        }
    }

    /// Nothing is known of any.
    pub fn clear(&mut self) {
        let boots: Vec<u64> = self.nodes.keys().copied().collect();
        boots.into_iter().for_each(|boot| self.drop(boot));
    }

    /// None could be heard until now.
    pub fn wait_anew(&mut self) {
        let now = clock::now();
        self.nodes.values_mut().for_each(|node| node.heard = now);
    }

    /// Lets go of those that haven't been heard for long.
    pub fn let_silent_go(&mut self) {
        let now = clock::now();
        let is_silent = |(&boot, node): (&u64, &Streams)| {
            (now.saturating_duration_since(node.heard) > SILENCE).then_some(boot)
        };
        let silent: Vec<u64> = self.nodes.iter().filter_map(is_silent).collect();
        silent.into_iter().for_each(|boot| self.drop(boot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::{EventId, JobId};
    use crate::hub::HubConfig;
    use crate::sys::clock::simulated::Simulated;

    #[test]
    fn what_a_node_has_said_counts_until_it_says_else_or_nothing() {
        let time = Simulated::beginning(Duration::from_secs(1_800_000_000));
        let hub = Hub::new(HubConfig::default(), EventId(0));
        hub.have_others();
        let mut crowd = Crowd::new(hub.clone());
        let job: JobId = "a".parse().unwrap();
        let say = |is_anew, count| Statement {
            is_anew,
            counts: vec![(FollowedNames::Job(job.clone()), count)],
        };
        assert!(!crowd.hear(1, say(false, 2)), "it may have said more");
        assert!(crowd.hear(1, say(true, 3)));
        assert!(crowd.hear(2, say(true, 4)));
        assert_eq!(hub.streams(&job), 7);
        assert!(crowd.hear(1, say(false, 1)));
        assert_eq!(hub.streams(&job), 5);
        time.pass(SILENCE);
        assert!(crowd.hear(2, Statement::default()));
        time.pass(Duration::from_secs(1));
        crowd.let_silent_go();
        assert_eq!(hub.streams(&job), 4);
        assert!(crowd.hear(2, say(false, 0)));
        assert_eq!(hub.streams(&job), 0);
        crowd.hear(2, say(true, 4));
        crowd.clear();
        assert_eq!(hub.streams(&job), 0);
    }
}
