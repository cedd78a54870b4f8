//! What a command prints: read the same however it is cut, and always fit to be published.

use landfall::Event;
use landfall::internals::progress::{
    ERROR_LINE_MAX_BYTES, Format, Reader, STAGE_MAX_BYTES, Source, Update,
};

use super::each_cut;

/// Changes from stdout to stderr and back. No text has it.
const OTHER_SOURCE: u8 = 0xfe;

/// The input's first byte is the format: 1 for bare numbers. The rest is what is printed.
pub fn check(input: &[u8]) {
    let Some((&first, printed)) = input.split_first() else {
        return;
    };
    let format = match first {
        1 => Format::Number,
        _ => Format::Auto,
    };
    let mut whole = None;
    each_cut(printed, |pieces| {
        let (updates, error_line) = read(format, pieces, false);
        updates.iter().for_each(judge);
        assert!(error_line.len() <= ERROR_LINE_MAX_BYTES);
        assert!(!error_line.chars().any(char::is_control));
        let read = (updates, error_line);
        assert_eq!(whole.get_or_insert_with(|| read.clone()), &read);
    });
    // Lines that are read before they end may say more, and nothing worse.
    let pieces: Vec<&[u8]> = printed.chunks(7).collect();
    let (updates, _) = read(format, &pieces, true);
    updates.iter().for_each(judge);
}

fn read(format: Format, pieces: &[&[u8]], pauses: bool) -> (Vec<Update>, String) {
    let mut reader = Reader::new(format);
    let mut updates = Vec::new();
    let mut source = Source::Stdout;
    for piece in pieces {
        for (index, part) in piece.split(|&byte| byte == OTHER_SOURCE).enumerate() {
            if index > 0 {
                source = match source {
                    Source::Stdout => Source::Stderr,
                    Source::Stderr => Source::Stdout,
                };
            }
            reader.feed(source, part, |update| updates.push(update));
        }
        if pauses {
            reader.pause(|update| updates.push(update));
        }
    }
    reader.finish(|update| updates.push(update));
    (updates, reader.last_error_line().to_owned())
}

/// What is told can be published as it is.
fn judge(update: &Update) {
    assert!(update.percent.is_none_or(|it| (0.0..=100.0).contains(&it)));
    if let Some(stage) = &update.stage {
        assert!((1..=STAGE_MAX_BYTES).contains(&stage.len()));
    }
    let json = update.to_json();
    let event = Event::new("progress", &json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let data: serde_json::Value = serde_json::from_str(event.data()).expect("no JSON");
    assert_eq!(data["stage"].as_str(), update.stage.as_deref());
    assert_eq!(data["percent"].as_f64(), update.percent.map(|it| it + 0.0));
}
