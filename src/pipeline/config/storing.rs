//! What the stage `storing` goes by.

#[cfg(feature = "s3")]
use rusty_s3::{Bucket, UrlStyle};

#[cfg(feature = "s3")]
use super::Spot;
use super::TomlTable;

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
    pub(super) fn read(&mut self, table: &mut TomlTable<'_>) {
        let Some((to, at)) = table.text("to") else {
            return;
        };
        match to.as_str() {
            "files" => *self = Storing::Files,
            #[cfg(feature = "s3")]
            "s3" => {
                if let Some(store) = S3Store::read(at, table) {
                    *self = Storing::S3(store);
                }
            }
            #[cfg(not(feature = "s3"))]
            "s3" => {
                let message = "this binary is built without s3: build it with --features s3, or \
                               use to = \"files\"";
                table.refuse(at, message);
            }
            _ => table.refuse(at, "to is \"files\" or \"s3\""),
        }
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
    fn read(at: Spot, table: &mut TomlTable<'_>) -> Option<S3Store> {
        let endpoint = table.text("endpoint");
        if endpoint.is_none() {
            let message = "to = \"s3\" needs an endpoint, as \"https://s3.example.com\"";
            table.refuse(at, message);
        }
        let name = table.text("bucket");
        if name.is_none() {
            table.refuse(at, "to = \"s3\" needs the name of a bucket");
        }
        let region = table.text("region").map(|(region, _)| region);
        let mut style = UrlStyle::Path;
        if let Some((text, at)) = table.text("style") {
            match text.as_str() {
                "path" => {}
                "host" => style = UrlStyle::VirtualHost,
                _ => table.refuse(at, "style is \"path\" or \"host\""),
            }
        }
        let prefix = table.text("prefix").map(|(prefix, _)| prefix);
        let ((endpoint, at), (name, _)) = (endpoint?, name?);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let url = endpoint
            .parse()
            .map_err(|error| format!("endpoint is http:// or https:// and a host: {error}"));
        let bucket = url.and_then(|url| {
            let bucket = Bucket::new(url, style, name, region);
            bucket.map_err(|error| format!("endpoint and bucket: {error}"))
        });
        match bucket {
            Ok(bucket) => Some(S3Store {
                bucket,
                prefix: prefix.unwrap_or_default(),
            }),
            Err(message) => {
                table.refuse(at, message);
                None
            }
        }
    }
}
