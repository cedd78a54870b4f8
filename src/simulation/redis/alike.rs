//! Whether the made-up Redis does what a real one makes of the same commands.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::link::{Dialer, Network};
use super::server::Redis;
use crate::sequencer::redis::by_hand::{
    Body, Dial, EpochOpening, Fence, Item, Position, StateSnapshot, Store, StoreFault, real,
};
use crate::simulation::random::Random;

const COMMANDS: usize = 3000;
const PATIENCE: Duration = Duration::from_secs(30);

/// A `redis-server` that ends with its owner.
struct Real {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Real {
    fn start() -> Real {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server isn't installed");
        let real = Real {
            child,
            port,
            _directory: directory,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server doesn't start");
            std::thread::sleep(Duration::from_millis(5));
        }
        real
    }

    fn ask(&self, words: &str) {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+", "{words}");
    }
}

/// Both, side by side.
struct Both {
    real: Real,
    network: Arc<Mutex<Network>>,
    dials: [Arc<dyn Dial>; 2],
    links: [Box<dyn Store>; 2],
    /// Identities of the real one, as the made-up one calls them.
    identities: HashMap<String, String>,
    random: Random,
    epoch: u64,
    nonces: u64,
}

impl Both {
    fn start() -> Both {
        let real_one = Real::start();
        let network = Arc::new(Mutex::new(Network {
            redis: Redis::new(),
            faults: 0,
            losses: 0,
            is_confirmed: false,
            random: Random::new(1),
            late: Vec::new(),
            told: Vec::new(),
            planned: None,
        }));
        let url = format!("redis://127.0.0.1:{}/0", real_one.port);
        let dials: [Arc<dyn Dial>; 2] = [real(&url), Arc::new(Dialer(network.clone()))];
        Both {
            real: real_one,
            network,
            links: dials.each_ref().map(|dial| dial.dial().unwrap()),
            dials,
            identities: HashMap::new(),
            random: Random::new(16),
            epoch: 100,
            nonces: 0,
        }
    }

    /// Calls both, and compares what they answer. A connection that has failed is made anew.
    fn call<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        mut call: impl FnMut(&mut dyn Store, bool) -> Result<T, StoreFault>,
    ) -> Option<T> {
        let [real, made_up] = &mut self.links;
        let (real, made_up) = (call(&mut **real, true), call(&mut **made_up, false));
        let is_broken = |it: &Result<T, StoreFault>| {
            matches!(it, Err(StoreFault::Broken(_) | StoreFault::Denied(_)))
        };
        if is_broken(&real) && is_broken(&made_up) {
            self.network.lock().redis.connections += 1;
            // A replica is none to begin with.
            self.be_master();
            self.links = self.dials.each_ref().map(|dial| dial.dial().unwrap());
            return None;
        }
        assert_eq!(real, made_up, "{what}");
        made_up.ok()
    }

    fn be_master(&mut self) {
        let redis = &mut self.network.lock().redis;
        if !std::mem::replace(&mut redis.is_master, true) {
            redis.history += 1;
            self.real.ask("REPLICAOF NO ONE");
        }
    }

    /// What the real one calls an identity, as the made-up one does.
    fn translated(identities: &HashMap<String, String>, item: Item) -> Item {
        let Body::Opening {
            identity,
            before,
            nonce_before,
        } = item.what
        else {
            return item;
        };
        let what = Body::Opening {
            identity: identities.get(&identity).cloned().unwrap_or(identity),
            before,
            nonce_before,
        };
        Item { what, ..item }
    }

    /// Who answers, and how far the log goes. Identities change together or not at all.
    fn look(&mut self) -> (String, Option<(Position, String)>) {
        let [real, made_up] = &mut self.links;
        let (real, made_up) = (real.look().unwrap(), made_up.look().unwrap());
        assert_eq!(
            (real.is_master, &real.last),
            (made_up.is_master, &made_up.last)
        );
        let known = self
            .identities
            .entry(real.identity)
            .or_insert(made_up.identity.clone());
        assert_eq!(*known, made_up.identity, "who it is");
        (made_up.identity, made_up.last)
    }

    fn nonce(&mut self) -> String {
        self.nonces += 1;
        format!("{:016x}/{}", 7, self.nonces)
    }

    /// A place near the log's end, or none of it.
    fn some_place(&mut self, last: Position) -> Position {
        Position {
            sequence: last.sequence.saturating_sub(self.random.below(20)),
            ..last
        }
    }

    fn step(&mut self) {
        let (identity, last) = self.look();
        let at = last.clone().unwrap_or_default().0;
        match self.random.below(20) {
            0..7 => self.append(&identity, at),
            7..10 => self.open(last.map(|(at, _)| at)),
            10..13 => self.store(at),
            13 => drop(self.call("trim", |link, _| link.trim())),
            14..17 => self.read(at),
            17 => {
                let is_full = !self.network.lock().redis.is_full;
                self.network.lock().redis.is_full = is_full;
                let limit = if is_full { "1" } else { "0" };
                self.real.ask(&format!("CONFIG SET maxmemory {limit}"));
            }
            18 => {
                self.be_master();
                if self.random.one_in(2) {
                    self.network.lock().redis.is_master = false;
                    // Nobody is there: it has what it had.
                    self.real.ask("REPLICAOF 127.0.0.1 1");
                }
            }
            _ => {
                if self.random.one_in(10) && self.network.lock().redis.is_master {
                    self.network.lock().redis.lose_all();
                    self.real.ask("FLUSHALL");
                }
            }
        }
    }

    fn append(&mut self, identity: &str, at: Position) {
        let epoch = at.epoch - u64::from(self.random.one_in(8) && at.epoch > 0);
        let identity = if self.random.one_in(8) {
            "another".to_owned()
        } else {
            identity.to_owned()
        };
        let entries: Vec<_> = (0..self.random.between(1, 5))
            .map(|_| (self.nonce(), vec![0, 255, b'\r', b'\n']))
            .collect();
        let entries: Vec<_> = entries
            .iter()
            .map(|(nonce, bytes)| (nonce.clone(), &**bytes))
            .collect();
        let mut identities = self.identities.iter();
        let theirs = identities.find(|(_, made_up)| **made_up == identity);
        let theirs = theirs.map_or(identity.clone(), |(real, _)| real.clone());
        self.call("append", |link, is_real| {
            let identity = if is_real { &theirs } else { &identity }.clone();
            link.append(&Fence { epoch, identity }, &entries, true)?;
            link.appended()
        });
    }

    fn open(&mut self, last: Option<Position>) {
        self.epoch += self.random.between(1, 20);
        let at = last.unwrap_or_default();
        let state = self.random.one_in(2).then(|| StateSnapshot {
            at: Position::opening(self.epoch - 1),
            nonce: format!("before/{}", self.epoch),
            state: vec![1, 2, 3],
        });
        let opening = EpochOpening {
            known: at.epoch - u64::from(self.random.one_in(6) && at.epoch > 0),
            // One that isn't above the last is refused, where there is a last.
            epoch: if self.random.one_in(6) && last.is_some() && state.is_none() {
                at.epoch
            } else {
                self.epoch
            },
            nonce: self.nonce(),
            // A log goes only where there is a state for another to begin with.
            over: match self.random.below(5) {
                0 if state.is_some() => last,
                1 => Some(Position::opening(1)),
                _ => None,
            },
            state,
        };
        self.call("open", |link, _| link.open(&opening));
    }

    fn store(&mut self, at: Position) {
        let at = self.some_place(at);
        let identities = self.identities.clone();
        let item = self.call("item", |link, _| {
            let item = link.item_at(at)?;
            Ok(item.map(|item| Both::translated(&identities, item)))
        });
        let nonce = item.flatten().map(|item| item.nonce);
        let nonce = if self.random.one_in(6) { None } else { nonce };
        let snapshot = StateSnapshot {
            at,
            nonce: nonce.unwrap_or("foreign".to_owned()),
            state: vec![0; self.random.below(100) as usize],
        };
        self.call("store", |link, _| link.store(&snapshot));
        self.call("snapshots", |link, _| link.snapshots_at());
        self.call("snapshot", |link, _| link.snapshot());
    }

    fn read(&mut self, at: Position) {
        let after = if self.random.one_in(3) {
            Position::START
        } else {
            self.some_place(at)
        };
        let most = self.random.between(1, 40) as usize;
        let identities = self.identities.clone();
        self.call("read", |link, _| {
            let items = link.read(after, most, Duration::ZERO)?;
            let items = items.into_iter();
            Ok(items
                .map(|item| Both::translated(&identities, item))
                .collect::<Vec<_>>())
        });
    }
}

#[test]
fn the_made_up_redis_does_what_a_real_one_makes_of_the_same_commands() {
    let mut both = Both::start();
    for _ in 0..COMMANDS {
        both.step();
    }
}
