//! Where a request shows who it is: what is taken for a token stands there, alone.

use landfall::internals::access::credential::{
    CookieName, Credential, CredentialError, CredentialSource,
};
use landfall::internals::http::{Head, HeadLimits};

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 1 << 20,
    target_bytes: 1 << 20,
};

/// The input is lines: the cookies, then a query, then `Authorization`.
pub fn check(input: &[u8]) {
    let mut parts = input.split(|&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (cookies, query, authorization) = (part(), part(), part());
    let Some(found) = find(cookies, query, authorization) else {
        return;
    };
    let reference = in_cookies(cookies);
    match &found {
        Ok(Some((source, text))) => {
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
            match source {
                CredentialSource::Bearer => assert!(authorization.len() > "bearer ".len()),
                CredentialSource::Cookie => assert_eq!(reference, [text.as_bytes()]),
                CredentialSource::Query => assert!(reference.is_empty()),
            }
        }
        Ok(None) => assert!(reference.is_empty()),
        Err(CredentialError::TwoCookies) => assert!(reference.len() > 1),
        Err(_) => {}
    }
    // Cookies of others change nothing, whatever they say, before it or behind it.
    let others = [b"a=\"x\"; b; =; xlandfall_token=z; ", cookies].concat();
    assert_eq!(find(&others, query, authorization), Some(found.clone()));
    let others = [cookies, b"; landfall_token2=z; c=d"].concat();
    assert_eq!(find(&others, query, authorization), Some(found));
}

type Found = Result<Option<(CredentialSource, String)>, CredentialError>;

/// None where it is no request.
fn find(cookies: &[u8], query: &[u8], authorization: &[u8]) -> Option<Found> {
    let mut bytes = [b"GET /?", query, b" HTTP/1.1\r\nHost: h\r\n"].concat();
    for (name, value) in [("Cookie", cookies), ("Authorization", authorization)] {
        if !value.is_empty() {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    let (head, _) = Head::parse(&bytes, LIMITS).ok()??;
    let found = Credential::find(&head, &CookieName::default());
    Some(found.map(|found| found.map(|found| (found.source, found.text.into_owned()))))
}

/// The different values of the cookie, by RFC 6265 section 4.1.1.
fn in_cookies(cookies: &[u8]) -> Vec<&[u8]> {
    let mut values: Vec<&[u8]> = cookies
        .split(|&byte| byte == b';')
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = halves.next()?.trim_ascii();
            let value = halves.next()?.trim_ascii();
            (name == b"landfall_token").then_some(value)
        })
        .map(|value| match value {
            [b'"', inner @ .., b'"'] => inner,
            value => value,
        })
        .filter(|value| !value.is_empty())
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}
