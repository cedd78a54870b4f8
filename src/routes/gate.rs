//! Who may do what.
//!
//! On the public listener whoever knows a job's name may follow it, unless there are
//! keys for tokens: then a token has to cover it. The publishing listener is open to
//! whoever reaches it where that is this host alone and no publishing key is set; else
//! it takes that key, or a token. A token that is shown is held to, also where none is
//! needed.
//!
//! Where nothing is shown, being able to reach a listener is what is trusted, and a web
//! page can reach what its visitor can. So what changes something must not come from a
//! foreign page (`Origin`), and an open listener must be called by its own name (`Host`).

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::quotas::CountedPublisher;
use super::{Access, Peer};
use crate::access::cors::{Allowed, Cors, CorsLines, Origin};
use crate::access::credential::{CookieName, Credential, CredentialError, CredentialSource};
use crate::access::host::{self, HostName};
use crate::access::keyfile;
use crate::access::token::{Claims, Keys, PublishKey, TokenError};
use crate::event::job::JobId;
use crate::http::{Head, Method, Response, Status};

crate::sys::config::config! {
    /// Who may do what.
    ///
    /// See [`ServerConfig`](crate::ServerConfig).
    pub struct AuthConfig {
        /// Files with the keys for tokens: the first signs, all verify. Default: none, and
        /// then whoever knows a job's name may follow it.
        pub token_keys: Vec<PathBuf> = Vec::new(),
        /// A file with the key that workers show. Default: none.
        pub publish_key: Option<PathBuf> = None,
        /// The cookie that a token may be in. Default: `landfall_token`.
        pub token_cookie: CookieName = CookieName::default(),
        /// The longest that a token in a query may live: from its `iat` where it has one, else
        /// from now. Default: 5 min.
        pub query_token_max_ttl: Duration = Duration::from_secs(5 * 60),
        /// Lets a publishing listener that others can reach do without a key. Default: false.
        pub insecure: bool = false,
        /// The web pages that may read answers. Default: those of the same origin.
        pub cors_origins: Vec<Allowed> = Vec::new(),
        /// Names that the server goes by, besides addresses and names without a dot.
        /// Default: none.
        pub hosts: Vec<HostName> = Vec::new(),
    }
}

/// What requests have to pass.
pub struct Gate {
    config: AuthConfig,
    keys: Option<Keys>,
    publish_key: Option<PublishKey>,
    /// The publishing listener can be reached from this host only.
    publish_is_local: bool,
    /// The publishing listener is a unix socket: no web page reaches it.
    publish_is_unix: bool,
    cors: Cors,
    publish_cors: Cors,
}

/// What a request may do.
#[derive(Debug)]
pub struct Pass(Grant);

#[derive(Debug)]
enum Grant {
    /// Follow jobs whose names it knows.
    Named,
    /// Everything, since it could reach the listener.
    Reached,
    /// Everything, since it showed the publishing key.
    Key,
    /// What its token says, and which that is.
    Token(Box<Claims>, CredentialSource, u64),
}

impl Gate {
    /// Reads the key files. Blocks.
    ///
    /// # Errors
    /// A file can't be read or holds no key.
    pub fn new(
        config: AuthConfig,
        publish_is_local: bool,
        publish_is_unix: bool,
    ) -> io::Result<Gate> {
        let keys = keyfile::token_keys(&config.token_keys)?;
        let publish_key = match &config.publish_key {
            Some(path) => Some(keyfile::publish_key(path)?),
            None => None,
        };
        let cors = Cors::new(&config.cors_origins);
        Ok(Gate {
            keys,
            publish_key,
            publish_is_local,
            publish_is_unix,
            // What pages of any origin may read must not be what only workers may.
            publish_cors: cors.without_any(),
            cors,
            config,
        })
    }

    /// Whether whoever reaches the publishing listener may do anything there.
    pub fn publishing_is_open(&self) -> bool {
        self.publish_key.is_none() && (self.publish_is_local || self.config.insecure)
    }

    /// Whether anything says who may publish.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some() || self.publish_key.is_some()
    }

    /// The header lines for web pages of other origins.
    pub fn cors_lines(&self, head: &Head<'_>, access: Access) -> Option<CorsLines> {
        self.cors_lines_for(head.origin, access)
    }

    /// The same for a request of which nothing but its origin is known.
    pub fn cors_lines_for(&self, origin: Option<&[u8]>, access: Access) -> Option<CorsLines> {
        self.cors(access).lines(origin)
    }

    /// The answer to a preflight, for a path where `methods` are served.
    pub fn preflight(&self, head: &Head<'_>, access: Access, methods: String) -> Response {
        let fields = self.cors(access).preflight(head.origin, &methods);
        fields.into_iter().flatten().fold(
            Response::empty(Status::NoContent).with("Allow", methods),
            |response, (name, value)| response.with(name, value),
        )
    }

    /// Says what a request may do.
    ///
    /// # Errors
    /// The answer: 401 where it has to show something else, 403 where it comes from a
    /// web page that has no business here.
    pub fn admit(&self, head: &Head<'_>, access: Access) -> Result<Pass, Response> {
        let pass = self.identify(head, access)?;
        self.check_origin(head, access, &pass)?;
        self.check_host(head, access, &pass)?;
        Ok(pass)
    }

    /// Whether the value of `Host` is a name of this server.
    pub fn knows_host(&self, host: &[u8]) -> bool {
        host::is_known(host, &self.config.hosts)
    }

    fn cors(&self, access: Access) -> &Cors {
        match access {
            Access::Public => &self.cors,
            Access::Publish => &self.publish_cors,
        }
    }

    fn identify(&self, head: &Head<'_>, access: Access) -> Result<Pass, Response> {
        if self.has_keys() {
            let found = Credential::find(head, &self.config.token_cookie);
            if let Some(credential) = found.map_err(|error| self.unreadable(&error))?
                && let Some(pass) = self.judge(&credential, access)?
            {
                return Ok(pass);
            }
        }
        match access {
            Access::Public if self.keys.is_none() => Ok(Pass(Grant::Named)),
            Access::Publish if self.publishing_is_open() => Ok(Pass(Grant::Reached)),
            Access::Public => Err(unauthorized(
                "a token is needed: send it as Authorization: Bearer, as a cookie, or as \
                 ?token=",
                false,
            )),
            Access::Publish => Err(unauthorized(
                "this listener takes the publishing key, or a token, as Authorization: Bearer",
                false,
            )),
        }
    }

    /// What a credential is good for. None where nobody here could tell.
    fn judge(&self, credential: &Credential<'_>, access: Access) -> Result<Option<Pass>, Response> {
        let shown = credential.text.as_bytes();
        if credential.source == CredentialSource::Bearer
            && let Some(key) = &self.publish_key
            && key.is(shown)
        {
            return Ok(Some(Pass(Grant::Key)));
        }
        let Some(keys) = &self.keys else {
            return match access {
                Access::Publish if credential.source == CredentialSource::Bearer => {
                    Err(self.invalid(credential.source, "this isn't the publishing key"))
                }
                _ => Ok(None),
            };
        };
        let now = now();
        let claims = Claims::verify(&credential.text, keys, now).map_err(|error| {
            let message = match error {
                // Whoever shows what isn't like a token means the key.
                TokenError::Malformed
                    if access == Access::Publish && self.publish_key.is_some() =>
                {
                    "this is neither the publishing key nor a token".to_owned()
                }
                error => error.to_string(),
            };
            self.invalid(credential.source, &message)
        })?;
        let max = self.config.query_token_max_ttl;
        if credential.source == CredentialSource::Query && claims.lifetime(now) > max.as_secs() {
            let message = format!(
                "a token in a query may live {} at most, since addresses end up in logs: make \
                 one that ends sooner, or send it as a cookie",
                humantime::format_duration(max)
            );
            return Err(self.invalid(credential.source, &message));
        }
        Ok(Some(Pass(Grant::Token(
            Box::new(claims),
            credential.source,
            credential.fingerprint(),
        ))))
    }

    /// 401 for a credential that is no good: whoever sends one may not know of it, as where a
    /// browser has kept a cookie.
    fn invalid(&self, source: CredentialSource, message: &str) -> Response {
        let message = match source {
            CredentialSource::Bearer => format!("in Authorization: {message}"),
            CredentialSource::Cookie => {
                format!("in the cookie {}: {message}", self.config.token_cookie)
            }
            CredentialSource::Query => format!("in ?token=: {message}"),
        };
        unauthorized(&message, true)
    }

    fn unreadable(&self, error: &CredentialError) -> Response {
        let message = error.to_string();
        match (error, error.source()) {
            (CredentialError::BadQuery, _) => Response::error(Status::BadRequest, &message),
            (_, Some(source)) => self.invalid(source, &message),
            (_, None) => unauthorized(&message, true),
        }
    }

    /// No foreign page changes anything through its visitor's browser.
    fn check_origin(&self, head: &Head<'_>, access: Access, pass: &Pass) -> Result<(), Response> {
        if !changes_something(head.method) {
            return Ok(());
        }
        let source = match &pass.0 {
            Grant::Token(_, source, _) => Some(*source),
            Grant::Key => Some(CredentialSource::Bearer),
            Grant::Named | Grant::Reached => None,
        };
        let Some(origin) = head.origin else {
            // A browser says where a request that changes something comes from.
            return match source {
                Some(CredentialSource::Cookie) => Err(forbidden(
                    "a request that is let in by a cookie has to have Origin: send the token \
                     as Authorization: Bearer instead",
                )),
                _ => Ok(()),
            };
        };
        let cors = self.cors(access);
        let is_own = || {
            let origin = std::str::from_utf8(origin).ok()?.parse::<Origin>().ok()?;
            Some(host::is_same(head.host?, origin.authority()))
        };
        // A page has to know a token to send it in either of these.
        let is_shown = matches!(
            source,
            Some(CredentialSource::Bearer | CredentialSource::Query)
        );
        if cors.names(origin) || cors.allows_any() && is_shown || is_own() == Some(true) {
            return Ok(());
        }
        Err(forbidden(
            "pages of this origin may not change anything here: allow the origin with --cors-origin",
        ))
    }

    /// No page whose name was made to resolve to this host does what its visitor could.
    fn check_host(&self, head: &Head<'_>, access: Access, pass: &Pass) -> Result<(), Response> {
        let is_trusted_unshown = match (&pass.0, access) {
            (Grant::Key | Grant::Token(..), _) => false,
            // Names of jobs are secrets that a page would have to know.
            (_, Access::Public) => changes_something(head.method),
            (_, Access::Publish) => !self.publish_is_unix,
        };
        match head.host {
            Some(host) if is_trusted_unshown && !self.knows_host(host) => Err(forbidden(
                "the name in Host isn't one of this server's: use its address, or add the name with \
                 --host",
            )),
            _ => Ok(()),
        }
    }
}

impl Pass {
    /// Whether a job may be followed.
    ///
    /// # Errors
    /// 403, which names the job.
    pub fn follow(&self, job: &JobId) -> Result<(), Response> {
        match &self.0 {
            Grant::Token(claims, ..) if !claims.jobs.covers(job) => Err(out_of_scope(&format!(
                "the token doesn't cover the job {job}: its claim jobs has to cover it"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether every job whose name begins with `prefix` may be followed.
    ///
    /// # Errors
    /// The answer where they mayn't.
    pub fn follow_matching(&self, prefix: &str) -> Result<(), Response> {
        match &self.0 {
            _ if prefix.is_empty() => self.follow_all(),
            Grant::Token(claims, ..) if claims.jobs.covers_matching(prefix) => Ok(()),
            Grant::Token(..) => Err(out_of_scope(&format!(
                "the token doesn't cover every job that begins with {prefix}: its claim jobs needs \
                 \"{prefix}*\""
            ))),
            _ => self.follow_all(),
        }
    }

    /// Whether every job may be followed, without knowing their names.
    ///
    /// # Errors
    /// 403.
    pub fn follow_all(&self) -> Result<(), Response> {
        match &self.0 {
            Grant::Reached | Grant::Key => Ok(()),
            Grant::Token(claims, ..) if claims.jobs.covers_all() => Ok(()),
            Grant::Token(..) => Err(out_of_scope(
                "the token doesn't cover every job: ask for jobs, as in /api/events?job=a&job=b, or \
                 for a prefix that it covers, or use a token with \"*\" in its claim jobs",
            )),
            Grant::Named => Err(forbidden(
                "the public listener shows every job, or all with a prefix, only for a token that \
                 covers them, as \"*\" does: ask the publishing listener, or name the jobs, as in \
                 /api/events?job=a&job=b",
            )),
        }
    }

    /// Whether a job may be published to, or forgotten.
    ///
    /// # Errors
    /// What is wrong with the token, for a 403.
    pub fn publish(&self, job: &JobId) -> Result<(), String> {
        match &self.0 {
            Grant::Token(claims, ..) if !claims.publish.covers(job) => Err(format!(
                "the token doesn't allow publishing to the job {job}: its claim publish has to cover it"
            )),
            _ => Ok(()),
        }
    }

    /// Whether a job may be cancelled.
    ///
    /// # Errors
    /// 403, which says what would do.
    pub fn cancel(&self, job: &JobId, access: Access) -> Result<(), Response> {
        let is_covered = match &self.0 {
            Grant::Token(claims, ..) => {
                let publishes = access == Access::Publish && claims.publish.covers(job);
                claims.cancel.covers(job) || publishes
            }
            Grant::Reached | Grant::Key => true,
            Grant::Named => false,
        };
        if is_covered {
            return Ok(());
        }
        Err(match &self.0 {
            Grant::Token(..) => out_of_scope(&format!(
                "the token doesn't allow cancelling the job {job}: its claim cancel has to cover it"
            )),
            _ => forbidden(
                "cancel jobs on the publishing listener, or here with a token whose claim cancel \
                 covers the job",
            ),
        })
    }

    /// Whether it may publish to a job, on whichever listener.
    pub fn publishes(&self, job: &JobId) -> bool {
        match &self.0 {
            Grant::Token(claims, ..) => claims.publish.covers(job),
            Grant::Reached | Grant::Key => true,
            Grant::Named => false,
        }
    }

    /// Whether an upload may begin a job.
    ///
    /// # Errors
    /// 403, which names the job.
    pub fn upload(&self, job: &JobId) -> Result<(), Response> {
        match &self.0 {
            Grant::Token(claims, ..) if !claims.upload.covers(job) => Err(out_of_scope(&format!(
                "the token doesn't allow an upload to begin the job {job}: its claim upload has to \
                 cover it; choose a job that it covers with ?job="
            ))),
            _ => Ok(()),
        }
    }

    /// The second of the unix clock at which it ends, if it does.
    pub fn ends_at(&self) -> Option<u64> {
        match &self.0 {
            Grant::Token(claims, ..) => Some(claims.exp),
            _ => None,
        }
    }

    /// What its token is counted by.
    pub fn fingerprint(&self) -> Option<u64> {
        match self.0 {
            Grant::Token(_, _, fingerprint) => Some(fingerprint),
            _ => None,
        }
    }

    /// Whom its events are counted for. None where that may be anyone.
    pub fn publisher(&self, peer: &Peer) -> Option<CountedPublisher> {
        match self.0 {
            Grant::Token(_, _, fingerprint) => Some(CountedPublisher::Token(fingerprint)),
            Grant::Key => Some(CountedPublisher::Key(peer.network())),
            Grant::Named | Grant::Reached => peer.network().map(CountedPublisher::Address),
        }
    }

    /// Whether it has ended meanwhile.
    pub fn has_ended(&self) -> bool {
        self.ends_at().is_some_and(|end| end <= now())
    }
}

/// 403, and why.
fn forbidden(message: &str) -> Response {
    Response::error(Status::Forbidden, message)
}

/// 403 for a token that would have to allow more.
pub fn out_of_scope(message: &str) -> Response {
    forbidden(message).with("WWW-Authenticate", OUT_OF_SCOPE)
}

fn changes_something(method: Method) -> bool {
    !matches!(method, Method::Get | Method::Head | Method::Options)
}

/// The challenge to a credential that is no good.
pub const INVALID: &str = "Bearer realm=\"landfall\", error=\"invalid_token\"";

/// The challenge to a token that doesn't allow what is asked for (RFC 6750 section 3.1).
pub const OUT_OF_SCOPE: &str = "Bearer realm=\"landfall\", error=\"insufficient_scope\"";

fn unauthorized(message: &str, was_shown: bool) -> Response {
    let challenge = if was_shown {
        INVALID
    } else {
        "Bearer realm=\"landfall\""
    };
    Response::error(Status::Unauthorized, message).with("WWW-Authenticate", challenge)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
