//! The log in a Redis: one stream, and two hashes with snapshots.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::position::Position;
use super::reader;
use super::resp::{self, RedisConnection, Resp2Frame, Value, values};
use super::store::{
    Body, Dial, EpochOpened, EpochOpening, Fence, Heard, Item, Look, Nonce, StateSnapshot, Store,
    StoreFault,
};
use crate::sequencer::fleet::url::{Endpoint, RedisUrl, Whereabouts};

/// What a command may take. A server that is stopped accepts connections and says nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// What one that carries the whole state may.
const STATE_PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer to an append and a read that is heard without waiting, in bytes.
const BOTH_MAX_BYTES: usize = 2 << 20;
/// What replicas are waited for at a time.
const CONFIRM: Duration = Duration::from_millis(1000);
/// The oldest version that has what is needed.
const VERSION_LEAST: (u32, u32) = (6, 2);

const COMMON: &str = include_str!("common.lua");
const SCRIPTS: [&str; 5] = [
    include_str!("open.lua"),
    include_str!("append.lua"),
    include_str!("look.lua"),
    include_str!("store.lua"),
    include_str!("trim.lua"),
];

/// Scripts, as places in [`SCRIPTS`].
#[derive(Clone, Copy)]
enum Script {
    Open,
    Append,
    Look,
    Store,
    Trim,
}

/// Where a fleet's Redis is.
pub struct RedisServer {
    url: RedisUrl,
    keys: LogKeys,
}

#[derive(Clone)]
struct LogKeys {
    log: String,
    snapshot: String,
    before: String,
}

/// A connection to it.
struct RedisLink {
    connection: RedisConnection,
    keys: LogKeys,
    scripts: Vec<String>,
    /// What the read that was asked for may take.
    patience: Duration,
    /// What came of an append, behind which a read is under way.
    appended: Option<Value>,
}

impl RedisServer {
    /// The Redis there, in which this fleet's keys begin with its name.
    pub fn new(url: RedisUrl, fleet: &str) -> RedisServer {
        let keys = LogKeys {
            log: format!("{fleet}:log"),
            snapshot: format!("{fleet}:snapshot"),
            before: format!("{fleet}:snapshot:before"),
        };
        RedisServer { url, keys }
    }

    fn connect(&self) -> Result<RedisConnection, StoreFault> {
        let (place, _) = self.place()?;
        let mut connection = RedisConnection::open(&place)
            .map_err(|error| StoreFault::Broken(format!("{}: {error}", self.url)))?;
        if let Some(password) = &self.url.password {
            let user = self.url.user.as_deref();
            let words = match user {
                Some(user) => vec!["AUTH", user, password],
                None => vec!["AUTH", password],
            };
            plain(&mut connection, &words)?;
        }
        if self.url.database > 0 {
            plain(&mut connection, &["SELECT", &self.url.database.to_string()])?;
        }
        Ok(connection)
    }

    /// Where the master is.
    fn place(&self) -> Result<(Endpoint, bool), StoreFault> {
        let (sentinels, name) = match &self.url.whereabouts {
            Whereabouts::At(place) => return Ok((place.clone(), false)),
            Whereabouts::Sentinels(places, name) => (places, name),
        };
        let mut why = String::new();
        for place in sentinels {
            let asked = RedisConnection::open(place).map_err(|error| error.to_string());
            let asked = asked.and_then(|mut sentinel| {
                let words = ["SENTINEL", "get-master-addr-by-name", name];
                let answer = sentinel.call(&words, PATIENCE);
                answer.map_err(|error| error.to_string())
            });
            match asked {
                Ok(Value::Array(found)) if found.len() == 2 => {
                    let words = (found[0].as_str(), found[1].as_str());
                    if let (Some(host), Some(port)) = words {
                        let host = if host.contains(':') {
                            format!("[{host}]")
                        } else {
                            host.to_owned()
                        };
                        return Ok((Endpoint::Tcp(format!("{host}:{port}")), true));
                    }
                }
                Ok(other) => {
                    let other = other.as_str().unwrap_or("nothing");
                    why = format!("sentinel {place} knows no master {name}: {other}");
                }
                Err(error) => why = format!("sentinel {place}: {error}"),
            }
        }
        Err(StoreFault::Broken(why))
    }

    /// Whether it is one that a fleet can use.
    fn check(&self, connection: &mut RedisConnection) -> Result<(), StoreFault> {
        let info = plain(connection, &["INFO"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| *key == name)
                .map_or("", |(_, value)| value)
        };
        let refuse = |why: String| Err(StoreFault::Refused(format!("{}: {why}", self.url)));
        if field("loading") == "1" {
            return Err(StoreFault::Broken(format!(
                "{}: it is loading its data",
                self.url
            )));
        }
        let version = field("redis_version");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if number < VERSION_LEAST {
            return refuse(format!(
                "Redis {version} is too old: run 6.2 or later, or Valkey"
            ));
        }
        // Valkey's name for it is the second.
        if [field("redis_mode"), field("server_mode")].contains(&"cluster") {
            return refuse(
                "it is a cluster, and one order has one master: name a Redis without \
                 cluster-enabled, or Sentinels"
                    .to_owned(),
            );
        }
        let policy = field("maxmemory_policy");
        if !matches!(policy, "" | "noeviction") {
            return refuse(format!(
                "its maxmemory-policy is {policy}, by which it drops the fleet's events when \
                 memory is short: set maxmemory-policy noeviction"
            ));
        }
        let is_watched = matches!(self.url.whereabouts, Whereabouts::Sentinels(..));
        if field("role") != "master" && !is_watched {
            return refuse(
                "it is a replica and takes no writes: name the master, or Sentinels by \
                 redis+sentinel://"
                    .to_owned(),
            );
        }
        for (key, right) in [
            (&self.keys.log, "stream"),
            (&self.keys.snapshot, "hash"),
            (&self.keys.before, "hash"),
        ] {
            let kind = plain(connection, &["TYPE", key])?;
            let kind = kind.as_str().unwrap_or_default().to_owned();
            if kind != right && kind != "none" {
                return refuse(format!(
                    "the key {key} is another program's, a {kind}: use another database, or \
                     another name by --fleet"
                ));
            }
        }
        Ok(())
    }
}

impl Dial for RedisServer {
    fn dial(&self) -> Result<Box<dyn Store>, StoreFault> {
        let mut connection = self.connect()?;
        self.check(&mut connection)?;
        let mut scripts = Vec::with_capacity(SCRIPTS.len());
        for script in SCRIPTS {
            let text = format!("{COMMON}{script}");
            let sha = plain(&mut connection, &["SCRIPT", "LOAD", &text])?;
            scripts.push(sha.as_str().unwrap_or_default().to_owned());
        }
        let keys = self.keys.clone();
        Ok(Box::new(RedisLink {
            connection,
            keys,
            scripts,
            patience: reader::PATIENCE,
            appended: None,
        }))
    }
}

/// Calls a command that is to succeed.
fn plain(connection: &mut RedisConnection, words: &[&str]) -> Result<Value, StoreFault> {
    call(connection, words, PATIENCE)
}

fn call<A: AsRef<[u8]>>(
    connection: &mut RedisConnection,
    words: &[A],
    patience: Duration,
) -> Result<Value, StoreFault> {
    value_of(connection.call(words, patience), patience)
}

/// The value that was answered, where it is no error.
fn value_of(answer: io::Result<Value>, patience: Duration) -> Result<Value, StoreFault> {
    match answer {
        Ok(Value::Error(error)) => Err(fault_of(&error)),
        Ok(value) => Ok(value),
        Err(error) => Err(failure(&error, patience)),
    }
}

/// The same of an answer that isn't waited for, and what is made of it.
fn heard<T>(
    answer: io::Result<resp::AnswerHeard>,
    patience: Duration,
    made_of: impl FnOnce(&Value) -> Result<T, StoreFault>,
) -> Heard<T> {
    let answer = match answer {
        Ok(resp::AnswerHeard::NotYet) => return Heard::NotYet,
        Ok(resp::AnswerHeard::Much) => return Heard::Much,
        Ok(resp::AnswerHeard::All(value)) => Ok(value),
        Err(error) => Err(error),
    };
    Heard::All(value_of(answer, patience).and_then(|value| made_of(&value)))
}

/// What it means that nothing is answered that can be read.
fn failure(error: &io::Error, patience: Duration) -> StoreFault {
    StoreFault::Broken(match error.kind() {
        io::ErrorKind::Unsupported => {
            return StoreFault::Refused("what answers there is no Redis: see the URL".to_owned());
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("it says nothing within {patience:?}")
        }
        io::ErrorKind::UnexpectedEof => "it has closed the connection".to_owned(),
        _ => error.to_string(),
    })
}

/// The command that runs a script.
fn calling<'a>(
    script: Script,
    scripts: &'a [String],
    keys: &'a LogKeys,
    arguments: &[&'a [u8]],
) -> Vec<&'a [u8]> {
    let all = [&*keys.log, &*keys.snapshot, &*keys.before];
    let (count, keys): (&[u8], _) = match script {
        Script::Append | Script::Look => (b"1", &all[..1]),
        _ => (b"3", &all[..]),
    };
    let mut words: Vec<&[u8]> = vec![b"EVALSHA", scripts[script as usize].as_bytes(), count];
    words.extend(keys.iter().map(|key| key.as_bytes()));
    words.extend_from_slice(arguments);
    words
}

/// What an error that Redis answers means.
fn fault_of(error: &str) -> StoreFault {
    let word = error.split(' ').next().unwrap_or_default();
    let refuse = |what: &str| StoreFault::Refused(format!("{what} ({error})"));
    let deny = |what: &str| StoreFault::Denied(format!("{what} ({error})"));
    match word {
        "NOAUTH" => refuse("it asks for a password: put it into the URL, redis://:PASSWORD@HOST"),
        "WRONGPASS" => refuse("it knows no such user and password: see the URL"),
        "NOPERM" => refuse("its user may not do what a fleet needs: see the guide on fleets"),
        // It may be freed, or be another's in an instant.
        "OOM" => StoreFault::Full,
        "UNBLOCKED" | "LOADING" | "MASTERDOWN" | "NOSCRIPT" | "BUSY" => {
            StoreFault::Broken(error.to_owned())
        }
        // Before 7.0, a script's error has them in its middle.
        _ if error.contains("READONLY") => deny("it is a replica and takes no writes"),
        _ if error.contains("NOREPLICAS") => deny(
            "it takes no writes, as it has fewer replicas than its min-replicas-to-write: start \
             them, or set it lower",
        ),
        _ if error.contains("MISCONF") => {
            deny("it takes no writes, as it couldn't write to its disk: see its log, and make room")
        }
        _ if error.contains("OOM") => StoreFault::Full,
        _ if error.contains("no permissions") || error.contains("can't run this command") => {
            refuse("its user may not do what a fleet needs: see the guide on fleets")
        }
        _ if error.contains("without any password") || error.contains("invalid password") => {
            refuse("its password is another: see the URL")
        }
        _ if error.contains("DB index") => refuse("it has no such database: see the URL"),
        _ if error.contains("unknown command") => {
            refuse("it lacks a command: run Redis 6.2 or later")
        }
        _ => StoreFault::Broken(error.to_owned()),
    }
}

impl RedisLink {
    fn run(
        &mut self,
        script: Script,
        arguments: &[&[u8]],
        patience: Duration,
    ) -> Result<Value, StoreFault> {
        let words = calling(script, &self.scripts, &self.keys, arguments);
        call(&mut self.connection, &words, patience)
    }

    fn call(&mut self, words: &[&str]) -> Result<Value, StoreFault> {
        call(&mut self.connection, words, PATIENCE)
    }

    fn kept(&mut self, key: &str) -> Result<Option<StateSnapshot>, StoreFault> {
        let words = ["HMGET", key, "at", "n", "state"];
        let found = call(&mut self.connection, &words, STATE_PATIENCE)?;
        let Some([at, nonce, state]) = values(&found) else {
            return Err(foreign());
        };
        if *at == Value::Null {
            return Ok(None);
        }
        let at = at.as_str().and_then(Position::parse);
        Ok(Some(StateSnapshot {
            at: at.ok_or_else(foreign)?,
            nonce: nonce.as_str().ok_or_else(foreign)?.to_owned(),
            state: state.as_bytes().ok_or_else(foreign)?.to_vec(),
        }))
    }
}

impl Store for RedisLink {
    fn look(&mut self) -> Result<Look, StoreFault> {
        let found = self.run(Script::Look, &[], PATIENCE)?;
        let all = values(&found).unwrap_or_default();
        let word = |index: usize| all.get(index).and_then(Value::as_str);
        let last = word(2).and_then(Position::parse);
        Ok(Look {
            identity: word(0).ok_or_else(foreign)?.to_owned(),
            is_master: word(1) == Some("master"),
            last: last.map(|last| (last, word(3).unwrap_or_default().to_owned())),
        })
    }

    fn open(&mut self, opening: &EpochOpening) -> Result<EpochOpened, StoreFault> {
        let EpochOpening {
            known,
            epoch,
            nonce,
            state,
            over,
        } = opening;
        let (at, before, bytes) = match state {
            Some(kept) => (kept.at.to_string(), &*kept.nonce, &*kept.state),
            None => (String::new(), "", &[][..]),
        };
        let (known, epoch) = (known.to_string(), epoch.to_string());
        let over = over.map_or(String::new(), |last| last.to_string());
        let arguments: [&[u8]; 7] = [
            known.as_bytes(),
            epoch.as_bytes(),
            nonce.as_bytes(),
            at.as_bytes(),
            before.as_bytes(),
            bytes,
            over.as_bytes(),
        ];
        match self.run(Script::Open, &arguments, STATE_PATIENCE)?.as_str() {
            Some("OK") => Ok(EpochOpened::Yes),
            Some("EMPTY") => Ok(EpochOpened::Empty),
            _ => Ok(EpochOpened::Behind),
        }
    }

    fn socket(&self) -> Option<Arc<OwnedFd>> {
        Some(self.connection.socket())
    }

    fn append(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        waits: bool,
    ) -> Result<bool, StoreFault> {
        let epoch = fence.epoch.to_string();
        let arguments = to_append(fence, &epoch, entries);
        let words = calling(Script::Append, &self.scripts, &self.keys, &arguments);
        let asked = if waits {
            self.connection.ask(&words, PATIENCE).map(|()| true)
        } else {
            self.connection.ask_now(&words, PATIENCE)
        };
        asked.map_err(|error| failure(&error, PATIENCE))
    }

    fn append_and_ask(
        &mut self,
        fence: &Fence,
        entries: &[(Nonce, &[u8])],
        after: Position,
        most: usize,
    ) -> Result<(), StoreFault> {
        let epoch = fence.epoch.to_string();
        let arguments = to_append(fence, &epoch, entries);
        let append = calling(Script::Append, &self.scripts, &self.keys, &arguments);
        let (most, after) = (most.to_string(), after.to_string());
        let read = ["XREAD", "COUNT", &most, "STREAMS", &self.keys.log, &after];
        let read = read.map(str::as_bytes);
        let asked = self.connection.ask_both_now(&append, &read);
        asked.map_err(|error| failure(&error, PATIENCE))
    }

    fn appended_items_now(&mut self) -> Heard<Vec<Item>> {
        if self.appended.is_none() {
            match self.connection.answer_now() {
                Ok(resp::AnswerHeard::All(answer)) => self.appended = Some(answer),
                other => return heard(other, PATIENCE, items),
            }
        }
        let found = match self.connection.second_now(BOTH_MAX_BYTES) {
            Ok(resp::AnswerHeard::NotYet) => return Heard::NotYet,
            found => heard(found, PATIENCE, items),
        };
        let appended = self.appended.take().unwrap_or(Value::Null);
        let appended = value_of(Ok(appended), PATIENCE);
        match appended.and_then(|answer| has_appended(&answer)) {
            Ok(()) => found,
            Err(fault) => Heard::All(Err(fault)),
        }
    }

    fn appended(&mut self) -> Result<(), StoreFault> {
        has_appended(&value_of(self.connection.answer(), PATIENCE)?)
    }

    fn appended_now(&mut self) -> Heard<()> {
        heard(self.connection.answer_now(), PATIENCE, has_appended)
    }

    fn ask(&mut self, after: Position, most: usize, wait: Duration) -> Result<(), StoreFault> {
        let (most, after) = (most.to_string(), after.to_string());
        let block = wait.as_millis().to_string();
        let mut words = vec!["XREAD", "COUNT", &most];
        if !wait.is_zero() {
            words.extend(["BLOCK", &block]);
        }
        words.extend(["STREAMS", &self.keys.log, &after]);
        self.patience = wait + reader::PATIENCE;
        let asked = self.connection.ask_now(&words, self.patience);
        asked
            .map(drop)
            .map_err(|error| failure(&error, self.patience))
    }

    fn items(&mut self) -> Result<Vec<Item>, StoreFault> {
        items(&value_of(self.connection.answer(), self.patience)?)
    }

    fn items_now(&mut self) -> Heard<Vec<Item>> {
        heard(self.connection.answer_now(), self.patience, items)
    }

    fn item_at(&mut self, at: Position) -> Result<Option<Item>, StoreFault> {
        let (log, at) = (self.keys.log.clone(), at.to_string());
        let found = self.call(&["XRANGE", &log, &at, &at])?;
        Ok(all(values(&found).unwrap_or_default())?.pop())
    }

    fn snapshot(&mut self) -> Result<Option<StateSnapshot>, StoreFault> {
        let (before, newest) = (self.keys.before.clone(), self.keys.snapshot.clone());
        match self.kept(&before)? {
            Some(kept) => Ok(Some(kept)),
            None => self.kept(&newest),
        }
    }

    fn snapshots_at(&mut self) -> Result<Option<(Position, Position)>, StoreFault> {
        let keys = [self.keys.before.clone(), self.keys.snapshot.clone()];
        let mut places = [None; 2];
        for (place, key) in places.iter_mut().zip(&keys) {
            let found = self.call(&["HGET", key, "at"])?;
            *place = found.as_str().and_then(Position::parse);
        }
        let [before, newest] = places;
        Ok(newest.map(|newest| (before.unwrap_or(newest), newest)))
    }

    fn store(&mut self, snapshot: &StateSnapshot) -> Result<bool, StoreFault> {
        let at = snapshot.at.to_string();
        let arguments = [at.as_bytes(), snapshot.nonce.as_bytes(), &*snapshot.state];
        let stored = self.run(Script::Store, &arguments, STATE_PATIENCE)?;
        Ok(stored.as_str() == Some("OK"))
    }

    fn trim(&mut self) -> Result<(), StoreFault> {
        self.run(Script::Trim, &[], PATIENCE).map(drop)
    }

    fn confirm(&mut self, replicas: u32) -> Result<bool, StoreFault> {
        let (count, ms) = (replicas.to_string(), CONFIRM.as_millis().to_string());
        let words = ["WAIT", &count, &ms];
        match call(&mut self.connection, &words, CONFIRM + PATIENCE)? {
            Value::Integer(confirmed) => Ok(confirmed >= i64::from(replicas)),
            _ => Ok(false),
        }
    }
}

/// What the script that appends is told.
fn to_append<'a>(fence: &'a Fence, epoch: &'a str, entries: &'a [(Nonce, &[u8])]) -> Vec<&'a [u8]> {
    let mut arguments: Vec<&[u8]> = vec![fence.identity.as_bytes(), epoch.as_bytes()];
    for (nonce, payload) in entries {
        arguments.extend([nonce.as_bytes(), payload]);
    }
    arguments
}

fn has_appended(answer: &Value) -> Result<(), StoreFault> {
    match answer.as_str() {
        Some("OK") => Ok(()),
        _ => Err(StoreFault::Fenced),
    }
}

/// What a read has found: of each stream its name and its items, and there is one.
fn items(found: &Value) -> Result<Vec<Item>, StoreFault> {
    let stream = values(found).and_then(|all| values(values(all.first()?)?.get(1)?));
    all(stream.unwrap_or_default())
}

fn all(found: &[Value]) -> Result<Vec<Item>, StoreFault> {
    found.iter().map(item).collect()
}

fn item(found: &Value) -> Result<Item, StoreFault> {
    let read = || {
        let [at, fields] = values(found)? else {
            return None;
        };
        let at = Position::parse(at.as_str()?)?;
        let (fields, _) = values(fields)?.as_chunks::<2>();
        let field = |name: &str| {
            let mut fields = fields.iter();
            let found = fields.find(|[key, _]| key.as_str() == Some(name));
            found.map(|[_, value]| value)
        };
        let what = match field("open") {
            Some(identity) => Body::Opening {
                identity: identity.as_str()?.to_owned(),
                before: Position::parse(field("before")?.as_str()?)?,
                nonce_before: field("bn")?.as_str()?.to_owned(),
            },
            None => Body::Entry(field("p")?.as_bytes()?.to_vec()),
        };
        let nonce = field("n")?.as_str()?.to_owned();
        Some(Item { at, nonce, what })
    };
    read().ok_or_else(foreign)
}

fn foreign() -> StoreFault {
    StoreFault::Refused(
        "what stands in the fleet's keys is another program's, or another version's: use \
         another database, or another name by --fleet"
            .to_owned(),
    )
}
