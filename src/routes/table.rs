//! Everything that is served, a line each: who may ask, who answers, what the answers are
//! counted under, what `Allow` says, and what the OpenAPI description has to have.

use std::borrow::Cow;

#[cfg(feature = "uploads")]
use super::upload::{post, tus};
use super::{Access, Answer, Request};
use super::{begin, cancel, delete, list, openapi, publish, snapshot, stream, web};
#[cfg(feature = "uploads")]
use super::{file, retry};
use crate::event::Malformed;
use crate::event::job::JobId;
use crate::http::{BasePath, Head, Method, Response, Status};
use crate::upload::UploadId;

/// A method of a path, and what is done about it. HEAD of what has no line of its own is
/// answered as GET; OPTIONS is answered for every path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; what stands in braces is a segment of that kind.
    pub path: &'static str,
    /// The listener: what is public is served on both.
    pub access: Access,
    /// What the caller has to be allowed.
    pub right: Right,
    /// What answers.
    pub handler: Handler,
}

/// What a caller has to be allowed before it is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: the answer says nothing of any job.
    Nothing,
    /// To follow the job that the path names.
    Follow,
    /// To publish to it.
    Publish,
    /// To cancel it.
    Cancel,
    /// What the handler finds it needs, by the jobs that the query, the body or the upload
    /// names.
    Named,
}

/// What answers a request, by what it has to be told.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Everybody gets the same, by the last segment.
    File(fn(&Head<'_>, &BasePath, &str) -> Answer),
    /// The path names a job.
    Job(fn(Request<'_>, JobId) -> Answer),
    /// It does, and where all is well the connection becomes a stream.
    Stream(fn(Request<'_>, JobId) -> Answer),
    /// The path names no job.
    Jobs(fn(Request<'_>) -> Answer),
    /// It doesn't, and where all is well the connection becomes a stream.
    Streams(fn(Request<'_>) -> Answer),
    /// An upload by tus begins.
    Tus(fn(Request<'_>) -> Answer),
    /// The path names an upload by tus. None: no upload has such a name.
    TusUpload(fn(Request<'_>, Option<UploadId>) -> Answer),
}

use Access::{Public, Publish};
use Handler::{File, Job, Jobs, Stream, Streams};
#[cfg(feature = "uploads")]
use Handler::{Tus, TusUpload};
#[cfg(feature = "uploads")]
use Method::Patch;
use Method::{Delete, Get, Post, Put};
use Right::{Follow, Named, Nothing};

/// What is asked for most stands first, and a path's methods stand together.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(Post,         "/api/jobs/{job}/events", Publish, Right::Publish, Job(publish::one)),
    route(Get,          "/api/jobs/{job}/events", Public,  Follow,         Stream(stream::one)),
    route(Get,          "/api/events",            Public,  Named,          Streams(stream::many)),
    route(Post,         "/api/events",            Publish, Named,          Jobs(publish::many)),
    route(Get,          "/api/jobs",              Public,  Named,          Jobs(list::get)),
    route(Get,          "/api/jobs/{job}",        Public,  Follow,         Job(snapshot::get)),
    route(Put,          "/api/jobs/{job}",        Publish, Right::Publish, Job(begin::put)),
    route(Delete,       "/api/jobs/{job}",        Publish, Right::Publish, Job(delete::delete)),
    route(Post,         "/api/jobs/{job}/cancel", Public,  Right::Cancel,  Job(cancel::post)),
    #[cfg(feature = "uploads")]
    route(Post,         "/api/jobs/{job}/retry",  Publish, Right::Publish, Job(retry::post)),
    #[cfg(feature = "uploads")]
    route(Get,          "/api/jobs/{job}/file",   Public,  Follow,         Job(file::get)),
    #[cfg(feature = "uploads")]
    route(Post,         "/api/uploads",           Public,  Named,          Jobs(post::post)),
    #[cfg(feature = "uploads")]
    route(Post,         "/api/tus",               Public,  Named,          Tus(tus::post)),
    #[cfg(feature = "uploads")]
    route(Method::Head, "/api/tus/{upload}",      Public,  Named,          TusUpload(tus::head)),
    #[cfg(feature = "uploads")]
    route(Patch,        "/api/tus/{upload}",      Public,  Named,          TusUpload(tus::patch)),
    #[cfg(feature = "uploads")]
    route(Delete,       "/api/tus/{upload}",      Public,  Named,          TusUpload(tus::delete)),
    #[cfg(feature = "uploads")]
    route(Post,         "/api/tus/{upload}",      Public,  Named,          TusUpload(tus::overridden)),
    route(Get,          "/openapi.json",          Publish, Nothing,        File(openapi::get)),
    route(Get,          "/",                      Public,  Nothing,        File(web::get)),
    route(Get,          "/landfall.js",           Public,  Nothing,        File(web::get)),
    route(Get,          "/landfall.d.ts",         Public,  Nothing,        File(web::get)),
    // What the page is made of.
    route(Get,          "/{file}",                Public,  Nothing,        File(web::get)),
];

const fn route(
    method: Method,
    path: &'static str,
    access: Access,
    right: Right,
    handler: Handler,
) -> Route {
    Route {
        method,
        path,
        access,
        right,
        handler,
    }
}

/// The most segments that a path has.
const SEGMENTS_MAX: usize = 4;

/// A path that is served.
pub struct Matched<'a> {
    /// As it stands in the table. None of `*`, which is every path.
    path: Option<&'static str>,
    /// What it names.
    pub named: Subject<'a>,
}

/// What a path names with the segment that stands for what is in braces.
pub enum Subject<'a> {
    /// A job.
    Job(JobId),
    /// An upload; none by a name that no upload has.
    Upload(Option<UploadId>),
    /// Nothing but what the last segment says.
    Last(Cow<'a, str>),
}

impl<'a> Matched<'a> {
    /// The path that a request is for.
    ///
    /// # Errors
    /// The answer where there is none, or where the job's name is none.
    pub fn of(head: &Head<'a>, base: &BasePath) -> Result<Matched<'a>, Response> {
        let below = head.target.below(base);
        let target = below.ok_or_else(|| outside(head, base))?;
        if target.path() == "*" {
            return Ok(Matched {
                path: None,
                named: Subject::Last(Cow::default()),
            });
        }
        let mut segments: [Cow<'_, str>; SEGMENTS_MAX] = Default::default();
        let mut count = 0;
        for segment in target.segments() {
            let segment = segment.ok_or_else(bad_escape)?;
            *segments.get_mut(count).ok_or_else(web::not_found)? = segment;
            count += 1;
        }
        // Clients of tus are given the address with a slash at its end.
        if count == 3 && segments[1] == "tus" && segments[2].is_empty() {
            count = 2;
        }
        let segments = &mut segments[..count];
        let route = ROUTES.iter().find(|route| fits(route.path, segments));
        let path = route.ok_or_else(web::not_found)?.path;
        let mut kinds = parts(path).zip(segments.iter());
        let named = match kinds.find(|(part, _)| is_kind(part)) {
            Some(("{job}", name)) => Subject::Job(name.parse().map_err(bad_name)?),
            Some(("{upload}", name)) => Subject::Upload(name.parse().ok()),
            _ => Subject::Last(segments.last_mut().map(std::mem::take).unwrap_or_default()),
        };
        Ok(Matched {
            path: Some(path),
            named,
        })
    }

    /// What answers a method there, and where that stands in the table.
    ///
    /// # Errors
    /// 405.
    pub fn route(
        &self,
        method: Method,
        access: Access,
    ) -> Result<(usize, &'static Route), Response> {
        let found = self.line(method);
        match found {
            Some((index, route)) if route.is_on(access) => Ok((index, route)),
            _ => {
                let (method, allowed) = (method.as_str(), self.allow(access));
                let message = match found {
                    Some(_) => format!(
                        "the public listener doesn't take {method} here: send it to the publishing \
                         listener (--publish)"
                    ),
                    None => format!("nothing takes {method} here: use {allowed}"),
                };
                let response = Response::error(Status::MethodNotAllowed, &message);
                Err(response.with("Allow", allowed))
            }
        }
    }

    /// The methods that a listener serves there, as `Allow` has them.
    pub fn allow(&self, access: Access) -> String {
        let is_served = |method: &Method| {
            *method == Method::Options
                || ROUTES
                    .iter()
                    .any(|route| self.has(route) && route.is_on(access) && route.takes(*method))
        };
        let methods = Method::ALL.into_iter().filter(is_served);
        let methods: Vec<&str> = methods.map(Method::as_str).collect();
        methods.join(", ")
    }

    /// Whether it is for uploads by tus, whose answers all say so.
    pub fn is_of_tus(&self) -> bool {
        let mut routes = ROUTES.iter().filter(|route| self.has(route));
        self.path.is_some()
            && routes.any(|route| matches!(route.handler, Handler::Tus(_) | Handler::TusUpload(_)))
    }

    fn has(&self, route: &Route) -> bool {
        self.path.is_none_or(|path| path == route.path)
    }

    fn line(&self, method: Method) -> Option<(usize, &'static Route)> {
        let path = self.path?;
        let mut lines = ROUTES.iter().enumerate();
        let exactly = lines.find(|(_, route)| route.path == path && route.method == method);
        exactly.or_else(|| {
            let mut lines = ROUTES.iter().enumerate();
            lines.find(|(_, route)| route.path == path && route.takes(method))
        })
    }
}

impl Route {
    /// Whether, where all is well, the connection becomes a stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.handler, Handler::Stream(_) | Handler::Streams(_))
    }

    fn is_on(&self, access: Access) -> bool {
        self.access == Access::Public || access == Access::Publish
    }

    fn takes(&self, method: Method) -> bool {
        method == self.method || (method == Method::Head && self.method == Method::Get)
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path[1..].split('/')
}

fn is_kind(part: &str) -> bool {
    part.starts_with('{')
}

fn fits(path: &str, segments: &[Cow<'_, str>]) -> bool {
    let mut segments = segments.iter();
    parts(path).all(|part| {
        segments.next().is_some_and(|segment| match part {
            "{file}" => web::has(segment),
            part => is_kind(part) || part == segment,
        })
    }) && segments.next().is_none()
}

fn bad_name(error: Malformed) -> Response {
    Response::error(Status::BadRequest, &error.to_string())
}

/// The answer to what isn't below the path that everything is below.
fn outside(head: &Head<'_>, base: &BasePath) -> Response {
    if base.is(head.target.path()) {
        let response = Response::empty(Status::PermanentRedirect);
        // What the page loads is named as it is seen from there.
        let target = head.target.to_string();
        let query = target.strip_prefix(base.as_str()).unwrap_or_default();
        return response.with("Location", format!("{base}/{query}"));
    }
    let message =
        format!("nothing is served at this path: everything is below {base}/ (--base-path)");
    Response::error(Status::NotFound, &message)
}

fn bad_escape() -> Response {
    let message = "the path's percent-encoding is broken: % and two digits, of UTF-8";
    Response::error(Status::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Methods and paths, and whether only the publishing listener has them.
    type Lines = BTreeSet<(String, String, bool)>;

    #[test]
    fn the_openapi_description_has_exactly_these_routes() {
        let described: serde_json::Value =
            serde_json::from_slice(&openapi::DESCRIPTION.unpack()).unwrap();
        let mut lines = Lines::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let method = method.to_uppercase();
                let is_route = Method::ALL.iter().any(|known| known.as_str() == method);
                // GET's line is HEAD's as well.
                let is_implied = method == "OPTIONS" || method == "HEAD" && item["get"].is_object();
                if is_route && !is_implied {
                    let on_one = !operation["servers"].is_null() || !item["servers"].is_null();
                    lines.insert((method, path.clone(), on_one));
                }
            }
        }
        let served: Lines = ROUTES
            .iter()
            .filter(|route| route.path != "/{file}")
            .map(|route| {
                let on_one = route.access == Access::Publish;
                (route.method.as_str().into(), route.path.into(), on_one)
            })
            .collect();
        let only = |these: &Lines, others: &Lines| format!("{:?}", these - others);
        assert_eq!(only(&served, &lines), "{}", "served, and not described");
        assert_eq!(only(&lines, &served), "{}", "described, and not served");
    }

    #[test]
    fn a_path_has_each_method_once_and_its_methods_stand_together() {
        let mut seen = BTreeSet::new();
        let mut before = "";
        for route in ROUTES {
            let name = (route.path, route.method.as_str());
            assert!(seen.insert(name), "{name:?} twice");
            let is_new = seen.iter().filter(|(path, _)| *path == route.path).count() == 1;
            assert_eq!(is_new, route.path != before, "{name:?}");
            before = route.path;
        }
    }

    #[test]
    fn a_right_to_a_job_is_asked_of_paths_that_name_one() {
        for route in ROUTES {
            let is_of_job = matches!(route.right, Right::Follow | Right::Publish | Right::Cancel);
            let names_one = matches!(route.handler, Handler::Job(_) | Handler::Stream(_));
            assert_eq!(is_of_job, names_one, "{}", route.path);
            assert_eq!(is_of_job, route.path.contains("{job}"), "{}", route.path);
            let is_open = matches!(route.handler, Handler::File(_));
            assert_eq!(is_open, route.right == Right::Nothing, "{}", route.path);
        }
    }
}
