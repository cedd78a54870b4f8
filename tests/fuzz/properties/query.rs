//! Request targets: a path and pairs, decoded once.

use landfall::internals::http::target::Target;

/// The input is a request target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Some(target) = Target::parse(text) else {
        return;
    };
    if target.path() == "*" {
        assert_eq!(text, "*");
        return;
    }
    assert!(target.path().starts_with('/') && !target.path().contains('?'));
    assert!(!text.contains('#'), "a fragment is no part of a target");
    let segments: Vec<_> = target.segments().collect();
    // Dots and escaped slashes lead nowhere.
    let raw: Vec<_> = target.path()[1..].split('/').collect();
    assert_eq!(segments.len(), raw.len());
    for (segment, raw) in segments.iter().zip(raw) {
        let decoded = unescape(raw).and_then(|bytes| String::from_utf8(bytes).ok());
        assert_eq!(segment.as_deref(), decoded.as_deref());
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let raw: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let pairs: Vec<_> = target.query().collect();
    assert_eq!(pairs.len(), raw.len());
    let mut encoded = Vec::new();
    for (pair, raw) in pairs.iter().zip(raw) {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        let decoded = |text: &str| {
            let bytes = unescape(&text.replace('+', " "))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(
            pair.as_ref().map(|(name, value)| (&**name, &**value)),
            decoded(name)
                .zip(decoded(value))
                .as_ref()
                .map(|(name, value)| (&**name, &**value))
        );
        if let Some((name, value)) = pair {
            encoded.push(format!("{}={}", escape(name), escape(value)));
        }
    }
    let again = format!("/?{}", encoded.join("&"));
    let again: Vec<_> = Target::parse(&again).expect("a target").query().collect();
    let whole: Vec<_> = pairs.into_iter().filter(Option::is_some).collect();
    assert_eq!(again, whole);
    if text.starts_with('/') {
        let absolute = format!("http://h:1{text}");
        let absolute = Target::parse(&absolute).expect("a target");
        assert_eq!(absolute.authority(), Some("h:1"));
        assert_eq!(absolute.path(), target.path());
        let pairs = |target: Target<'_>| format!("{:?}", target.query().collect::<Vec<_>>());
        assert_eq!(pairs(absolute), pairs(target));
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(out)
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
