//! A made-up fleet: nodes, publishers and a Redis that fails, a step at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::line::Line;
use super::link::{Dialer, Network};
use super::server::Redis;
use crate::event::job::{EventId, JobId, LifeId};
use crate::event::resume::LastEventId;
use crate::event::{Event, Lease};
use crate::hub::{After, Change, HubConfig, Only, Owner, Terms};
use crate::sequencer::redis::by_hand::{Dial, NodeByHand, NodeWaiting, Position, state};
use crate::sequencer::{FleetConfig, Proposal, PublishError};
use crate::simulation::random::Random;
use crate::simulation::trace::Trace;
use crate::sys::clock;
use crate::sys::clock::simulated::Simulated;

/// When the worlds begin, in seconds of the unix clock.
const BEGINNING: u64 = 1_800_000_000;
/// Turns of all nodes after which everything must have come to rest, and how much time passes
/// between two.
const TURNS_MAX: usize = 700;
const TURN: Duration = Duration::from_millis(20);
/// Turns in a row in which nothing is under way.
const REST_TURNS: usize = 20;
/// For how long a node can say again what Redis has lost, with something to spare.
const REMEMBERED: Duration = Duration::from_secs(50);

/// What a world is like, as its seed has it.
#[derive(Debug)]
pub struct Options {
    pub nodes: usize,
    pub steps: u64,
    /// How long one takes at most, in milliseconds.
    pub pace: u64,
    /// One call in so many fails; one step in so many is a fault of Redis, or a node's end.
    pub faults: u64,
    pub losses: u64,
    pub crashes: u64,
    /// One call in so many comes right after a fault of Redis.
    pub losses_between: u64,
    /// Replicas confirm what is answered, and Redis loses nothing but by failovers.
    pub wait: bool,
    /// What the log keeps besides its snapshot.
    pub log_bytes: u64,
    /// How far each node's clock is ahead.
    pub ahead: Vec<Duration>,
    /// What can be done without waiting is done so.
    pub at_once: bool,
}

/// What somebody has asked for.
struct Asked {
    node: usize,
    boot: u64,
    job: JobId,
    /// The events' data; none where it is something else.
    data: Vec<Option<String>>,
    step: u64,
    waiting: NodeWaiting,
}

/// What was answered.
struct Answered {
    boot: u64,
    job: JobId,
    data: Vec<Option<String>>,
    asked: u64,
    step: u64,
    at: Instant,
    ids: Vec<EventId>,
    error: Option<PublishError>,
}

/// A fleet.
pub struct World<'a> {
    options: Options,
    hub: HubConfig,
    random: Random,
    time: Simulated,
    pub network: Arc<Mutex<Network>>,
    pub nodes: Vec<NodeByHand>,
    /// Until when each does nothing.
    stopped: Vec<Instant>,
    boots: u64,
    asked: Vec<Asked>,
    answered: Vec<Answered>,
    events: u64,
    step: u64,
    trace: &'a Trace,
}

impl World<'_> {
    /// The fleet of a seed.
    pub fn new(seed: u64, trace: &Trace) -> World<'_> {
        let mut random = Random::new(seed);
        let nodes = random.between(1, 4) as usize;
        let options = Options {
            nodes,
            steps: random.between(200, 900),
            pace: [50, 200, 1000][seed as usize % 3],
            faults: random.pick(&[0, 10, 30, 100]),
            losses: random.pick(&[0, 40, 100, 200]),
            crashes: random.pick(&[0, 50, 200]),
            losses_between: random.pick(&[0, 0, 30, 200]),
            wait: random.one_in(4),
            log_bytes: random.pick(&[1000, 4000, 20_000, 1 << 20]),
            ahead: (0..nodes)
                .map(|_| Duration::from_millis(random.pick(&[0, 0, 300, 5000, 40_000])))
                .collect(),
            at_once: seed / 3 % 2 == 1,
        };
        let hub = HubConfig {
            deleted_for: random.pick(&[Duration::from_millis(500), Duration::from_secs(3600)]),
            ..HubConfig::default()
        };
        World::of(options, hub, random, trace)
    }

    /// The fleet of these options.
    pub fn of(options: Options, hub: HubConfig, mut random: Random, trace: &Trace) -> World<'_> {
        trace.note(0, || format!("{options:?}"));
        let time = Simulated::beginning(Duration::from_secs(BEGINNING));
        let network = Network {
            redis: Redis::new(),
            faults: options.faults,
            losses: options.losses_between,
            is_confirmed: options.wait,
            random: Random::new(random.next()),
            late: Vec::new(),
            told: Vec::new(),
            planned: None,
        };
        let mut world = World {
            hub,
            random,
            time,
            network: Arc::new(Mutex::new(network)),
            nodes: Vec::new(),
            stopped: Vec::new(),
            boots: 0,
            asked: Vec::new(),
            answered: Vec::new(),
            events: 0,
            step: 0,
            options,
            trace,
        };
        for node in 0..world.options.nodes {
            let made = world.new_node(node);
            world.nodes.push(made);
            world.stopped.push(clock::now());
        }
        world
    }

    /// Goes through all of it.
    pub fn run(&mut self) {
        for _ in 0..self.options.steps {
            self.step += 1;
            let pause = self.random.below(self.options.pace);
            self.time.pass(Duration::from_millis(pause));
            self.take_step();
            self.begin_anew();
            self.hear();
        }
        self.come_to_rest();
        self.check();
    }

    fn new_node(&mut self, node: usize) -> NodeByHand {
        self.boots += 1;
        let config = FleetConfig {
            node: ["a", "b", "c", "d"][node].parse().expect("it is a name"),
            log_bytes: self.options.log_bytes,
            wait: u32::from(self.options.wait),
            ..FleetConfig::default()
        };
        let dial: Arc<dyn Dial> = Arc::new(Dialer(self.network.clone()));
        let seed = self.random.next();
        let ahead = self.options.ahead[node];
        self.time.set_ahead(ahead);
        let made = NodeByHand::new(&config, self.hub.clone(), self.boots, seed, &dial);
        self.time.set_back(ahead);
        made.hub.put_all_off();
        made
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.trace.note(self.step, what);
    }

    fn take_step(&mut self) {
        let comes = |random: &mut Random, rate| rate > 0 && random.one_in(rate);
        if comes(&mut self.random, self.options.losses) {
            return self.break_redis();
        }
        let node = self.random.below(self.nodes.len() as u64) as usize;
        if comes(&mut self.random, self.options.crashes) {
            return self.end_node(node);
        }
        match self.random.below(100) {
            0..45 => self.turn(node, true, false),
            45..70 => self.turn(node, false, true),
            70..90 => self.publish(node),
            90..95 => self.live(node),
            95..97 => self.end_overdue(node),
            97..99 => self.network.lock().deliver(),
            _ => {
                let time = self.random.pick(&[100, 1500, 6000]);
                self.note(|| format!("node {node} stops for {time} ms"));
                self.stopped[node] = clock::now() + Duration::from_millis(time);
            }
        }
    }

    /// A node reads, or writes, by its own clock.
    pub fn turn(&mut self, node: usize, reads: bool, writes: bool) {
        if clock::now() < self.stopped[node] {
            return;
        }
        let ahead = self.options.ahead[node];
        let before = self.nodes[node].replica().at;
        self.network.lock().redis.forget_ends();
        self.time.set_ahead(ahead);
        if reads {
            self.nodes[node].read(self.options.at_once);
        }
        if writes {
            self.nodes[node].write();
        }
        self.time.set_back(ahead);
        for what in std::mem::take(&mut self.network.lock().told) {
            self.note(|| format!("Redis, meanwhile: {what}"));
        }
        let at = self.nodes[node].replica().at;
        if at == before {
            return;
        }
        self.note(|| format!("node {node} is at {at}"));
        let has_ended = self.network.lock().redis.has_ended(at);
        assert!(
            before < at || has_ended,
            "node {node} has put back what there was up to {at}, and there was more"
        );
    }

    /// A node dies, and is started again.
    pub fn end_node(&mut self, node: usize) {
        self.note(|| format!("node {node} dies and is started again"));
        self.nodes[node] = self.new_node(node);
        let boot = self.nodes[node].boot;
        // Nobody hears the answers any more.
        self.asked
            .retain(|asked| asked.node != node || asked.boot == boot);
    }

    /// Where nobody knows anything any more, what is begun next is another order.
    fn begin_anew(&mut self) {
        let Network { redis, late, .. } = &mut *self.network.lock();
        let knows = |node: &NodeByHand| node.replica().at > Position::START;
        if redis.last().is_none() && !self.nodes.iter().any(knows) {
            redis.forget();
            late.clear();
            self.answered.clear();
        }
    }

    fn break_redis(&mut self) {
        let what = self.network.lock().break_redis();
        self.note(|| format!("Redis: {what}"));
    }

    /// Asks for events on steady jobs, which don't end.
    fn publish(&mut self, node: usize) {
        let count = if self.random.one_in(4) { 5 } else { 1 };
        let job = format!("steady.{}", self.random.below(3));
        let life = self.life(node, &job);
        let events = (0..count).map(|_| self.event_in(&job, "progress", life));
        let events = events.collect();
        self.ask(node, events);
    }

    /// The life that a job has there by now.
    pub fn life(&self, node: usize, job: &str) -> Option<LifeId> {
        let life = self.nodes[node]
            .hub
            .life(&job.parse().expect("it is a name"))?;
        (!life.is_deleted()).then(|| life.id())
    }

    pub fn event(&mut self, job: &str, name: &str) -> Proposal {
        self.event_in(job, name, None)
    }

    /// An event, that is for this life alone where there is one.
    pub fn event_in(&mut self, job: &str, name: &str, life: Option<LifeId>) -> Proposal {
        self.events += 1;
        let padding = "x".repeat(self.random.below(60) as usize);
        let data = format!("{{\"n\":{},\"p\":\"{padding}\"}}", self.events);
        let lease = self
            .random
            .one_in(5)
            .then(|| Lease::new(Duration::from_secs(3600)));
        let terms = Terms {
            lease: lease.flatten(),
            ..Terms::default()
        };
        Proposal {
            job: job.parse().expect("it is a name"),
            change: Change::Event {
                event: Event::new(name, &data).expect("it is an event"),
                only: life.map(Only::Life),
                terms,
            },
        }
    }

    /// Asks for something of jobs that begin and end.
    fn live(&mut self, node: usize) {
        let job = format!("lively.{}", self.random.below(2));
        let name: JobId = job.parse().expect("it is a name");
        let until_ms = clock::now_ms() + self.hub.deleted_for.as_millis() as u64;
        let terms = Terms {
            lease: Lease::new(Duration::from_secs(1)),
            ..Terms::default()
        };
        let change = match self.random.below(5) {
            0 => Change::Delete {
                until_ms,
                only: None,
            },
            1 => Change::Begin {
                owner: self.random.pick(&[Owner::Worker, Owner::Upload]),
                after: self.random.pick(&[After::Ended, After::Running]),
                terms,
            },
            2 => Change::Cancel {
                grace_ms: 500,
                only: None,
            },
            it => {
                let event = if it == 3 { "progress" } else { "done" };
                let proposals = vec![self.event(&job, event), self.event(&job, "progress")];
                return self.ask(node, proposals);
            }
        };
        self.ask(node, vec![Proposal { job: name, change }]);
    }

    /// What a node's clock says is over.
    fn end_overdue(&mut self, node: usize) {
        let hub = &self.nodes[node].hub;
        let mut changes = hub.overdue(clock::now(), 10);
        let lapsed = hub.lapsed_deletions(clock::now_ms(), 10).into_iter();
        changes.extend(lapsed.map(|(job, last)| (job, Change::Forget { last })));
        for (job, change) in changes {
            self.ask(node, vec![Proposal { job, change }]);
        }
    }

    pub fn ask(&mut self, node: usize, proposals: Vec<Proposal>) {
        let job = proposals[0].job.clone();
        let data = proposals.iter().map(|proposal| match &proposal.change {
            // Who has ended a job says nothing of its own.
            Change::Event {
                event,
                only: None | Some(Only::Life(_)),
                ..
            } => Some(event.data().to_owned()),
            _ => None,
        });
        let data = data.collect();
        let at_once = self.options.at_once && clock::now() >= self.stopped[node];
        let ahead = self.options.ahead[node];
        self.time.set_ahead(ahead);
        let waiting = self.nodes[node].submit(proposals, at_once);
        self.time.set_back(ahead);
        let asked = Asked {
            node,
            boot: self.nodes[node].boot,
            job,
            data,
            step: self.step,
            waiting,
        };
        self.note(|| format!("node {node} is asked for {:?} of {}", asked.data, asked.job));
        self.asked.push(asked);
    }

    fn hear(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            let Some(answer) = asked.waiting.take() else {
                self.asked.push(asked);
                continue;
            };
            let answer = answer.unwrap_or_else(|| panic!("nobody answers {:?}", asked.data));
            let (ids, error) = answer;
            self.note(|| format!("{:?} is answered {ids:?} {error:?}", asked.data));
            self.answered.push(Answered {
                boot: asked.boot,
                job: asked.job,
                data: asked.data,
                asked: asked.step,
                step: self.step,
                at: clock::now(),
                ids,
                error,
            });
        }
    }

    /// Nothing fails any more, and everybody comes to the end.
    pub fn come_to_rest(&mut self) {
        self.note(|| "everything comes to rest".to_owned());
        let mut network = self.network.lock();
        while !network.late.is_empty() {
            network.deliver();
        }
        (network.faults, network.losses) = (0, 0);
        let redis = &mut network.redis;
        (redis.is_down, redis.is_full, redis.is_master) = (false, false, true);
        redis.history += 1;
        drop(network);
        let mut rest = 0;
        for _ in 0..TURNS_MAX {
            self.step += 1;
            self.time.pass(TURN);
            for node in 0..self.nodes.len() {
                self.turn(node, true, true);
            }
            self.hear();
            let last = self.network.lock().redis.last();
            let is_done = |node: &NodeByHand| node.is_at_rest() && Some(node.replica().at) == last;
            rest = if self.asked.is_empty() && self.nodes.iter().all(is_done) {
                rest + 1
            } else {
                0
            };
            if rest > REST_TURNS {
                return;
            }
        }
        let told: Vec<_> = self.nodes.iter().map(NodeByHand::told).collect();
        panic!(
            "it doesn't come to rest: {} are asked for: {told:#?}",
            self.asked.len()
        );
    }

    pub fn check(&self) {
        let network = self.network.lock();
        let redis = &network.redis;
        let line = Line::of(
            &redis.given,
            redis.last().expect("there is a log"),
            &self.hub,
        );
        for (node, by_hand) in self.nodes.iter().enumerate() {
            assert_same(
                &state(by_hand.replica()),
                &line.state,
                &format!("node {node}"),
            );
            for at in redis.given.keys() {
                let number = at.number().expect("no epoch is full");
                let found = by_hand.hub.find_number(&LastEventId::Number(number.0));
                let has_stayed = line.has(number);
                assert_eq!(found.is_some(), has_stayed, "node {node} has {at}");
            }
        }
        for (data, ids) in &line.accepted {
            assert_eq!(ids.len(), 1, "{data} was taken as {ids:?}");
        }
        let has_lost = redis.has_lost && !self.options.wait;
        for answered in &self.answered {
            self.check_answered(answered, &line, has_lost);
        }
        self.check_order(&line);
    }

    /// What can be done without waiting is done so from now on.
    pub fn acts_at_once(&mut self) {
        self.options.at_once = true;
    }

    /// A node's clock is set.
    pub fn set_ahead(&mut self, node: usize, ahead: Duration) {
        self.options.ahead[node] = ahead;
    }

    /// Time passes, in which nothing happens.
    pub fn pass(&self, time: Duration) {
        self.time.pass(time);
    }

    /// Whether everything that was answered is there, by this number or another.
    pub fn has_all(&self) -> bool {
        let redis = &self.network.lock().redis;
        let last = redis.last().expect("there is a log");
        let line = Line::of(&redis.given, last, &self.hub);
        let answered = self.answered.iter();
        let data = answered.flat_map(|it| it.data.iter().take(it.ids.len()).flatten());
        data.into_iter()
            .all(|data| line.accepted.contains_key(data))
    }

    /// How many numbers were answered that are lost.
    pub fn lost(&self) -> usize {
        let redis = &self.network.lock().redis;
        let line = Line::of(
            &redis.given,
            redis.last().expect("there is a log"),
            &self.hub,
        );
        let ids = self.answered.iter().flat_map(|it| &it.ids);
        ids.filter(|id| !line.has(**id)).count()
    }

    fn check_answered(&self, answered: &Answered, line: &Line, has_lost: bool) {
        let Answered {
            data, ids, error, ..
        } = answered;
        for (data, id) in data.iter().zip(ids) {
            let Some(data) = data else { continue };
            let accepted = line.accepted.get(data).and_then(|ids| ids.first());
            if line.has(*id) {
                assert_eq!(accepted, Some(id), "{data} was answered {id}");
                continue;
            }
            assert!(has_lost, "{data}, answered {id}, is lost");
            // Who has said it says it again.
            let is_alive = self.nodes.iter().any(|node| node.boot == answered.boot);
            let is_fresh = clock::now() - answered.at < REMEMBERED;
            let is_steady = answered.job.as_str().starts_with("steady");
            assert!(
                accepted.is_some() || !(is_alive && is_fresh && is_steady),
                "{data}, answered {id}, isn't put back"
            );
        }
        if matches!(error, Some(PublishError::NoRoom | PublishError::Denied)) {
            for data in data.iter().skip(ids.len()).flatten() {
                let accepted = line.accepted.get(data);
                assert_eq!(accepted, None, "{data} was refused, and taken");
            }
        }
    }

    /// What a node was asked for when another thing had been answered comes behind that.
    fn check_order(&self, line: &Line) {
        let place = |data: &Option<String>| line.accepted.get(data.as_ref()?)?.first().copied();
        for before in self.answered.iter().filter(|it| it.error.is_none()) {
            let later = self.answered.iter().filter(|it| it.error.is_none());
            let later = later.filter(|it| it.boot == before.boot && it.asked > before.step);
            for after in later {
                if let (Some(one), Some(other)) = (place(&before.data[0]), place(&after.data[0])) {
                    assert!(
                        one < other,
                        "{:?} comes before {:?}",
                        after.data,
                        before.data
                    );
                }
            }
        }
    }
}

fn assert_same(one: &str, other: &str, whose: &str) {
    let lines = one.lines().zip(other.lines());
    let differing = lines.into_iter().find(|(one, other)| one != other);
    let is_same = one == other;
    assert!(is_same, "{whose} and what there was differ: {differing:#?}");
}
