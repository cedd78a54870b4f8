//! What the stage `storing` goes by.

#[cfg(feature = "s3")]
use rusty_s3::{Bucket, UrlStyle};

#[cfg(feature = "s3")]
use super::Spot;
use super::{Table, Wrong};

/// Where results are kept.
#[derive(Clone, Debug, Default)]
pub enum Storing {
    /// In the data directory.
    #[default]
    Files,
    /// In an S3-compatible store.
    #[cfg(feature = "s3")]
    S3(S3Store),
}

impl Storing {
    pub(super) fn read(&mut self, table: &mut Table<'_>) -> Result<(), Wrong> {
        let Some((to, at)) = table.text("to")? else {
            return Ok(());
        };
        *self = match to.as_str() {
            "files" => Storing::Files,
            #[cfg(feature = "s3")]
            "s3" => Storing::S3(S3Store::read(at, table)?),
            #[cfg(not(feature = "s3"))]
            "s3" => {
                let message = "this binary is built without s3: build it with --features s3, or \
                               use to = \"files\"";
                return Err(at.wrong(message));
            }
            _ => return Err(at.wrong("to is \"files\" or \"s3\"")),
        };
        Ok(())
    }
}

/// The store. Who may write to it is said by AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
/// AWS_SESSION_TOKEN in the environment.
#[cfg(feature = "s3")]
#[derive(Clone, Debug)]
pub struct S3Store {
    /// Which.
    pub(in crate::pipeline) bucket: Bucket,
    /// What objects' names begin with. Default: nothing.
    pub(in crate::pipeline) prefix: String,
}

#[cfg(feature = "s3")]
impl S3Store {
    fn read(at: Spot, table: &mut Table<'_>) -> Result<S3Store, Wrong> {
        let (endpoint, endpoint_at) = table.text("endpoint")?.ok_or_else(|| {
            at.wrong("to = \"s3\" needs an endpoint, as \"https://s3.example.com\"")
        })?;
        let (name, _) = table
            .text("bucket")?
            .ok_or_else(|| at.wrong("to = \"s3\" needs the name of a bucket"))?;
        let region = table.text("region")?.map(|(region, _)| region);
        let style = match table.text("style")? {
            None => UrlStyle::Path,
            Some((style, at)) => match style.as_str() {
                "path" => UrlStyle::Path,
                "host" => UrlStyle::VirtualHost,
                _ => return Err(at.wrong("style is \"path\" or \"host\"")),
            },
        };
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let url = endpoint.parse().map_err(|error| {
            endpoint_at.wrong(format!(
                "endpoint is http:// or https:// and a host: {error}"
            ))
        })?;
        let bucket = Bucket::new(url, style, name, region)
            .map_err(|error| endpoint_at.wrong(format!("endpoint and bucket: {error}")))?;
        let prefix = table.text("prefix")?.map(|(prefix, _)| prefix);
        Ok(S3Store {
            bucket,
            prefix: prefix.unwrap_or_default(),
        })
    }
}
