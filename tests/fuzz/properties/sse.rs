//! Event streams as WHATWG HTML 9.2 reads them, plainly: whole, and in memory.

/// An event that a browser would fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    pub event: String,
    pub data: String,
    pub id: String,
}

/// The events of a stream. What isn't ended by a blank line is none.
pub fn read(bytes: &[u8]) -> Vec<Fired> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut event, mut data, mut id) =
        (Vec::new(), String::new(), String::new(), String::new());
    // What follows the last line end is no line.
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    for line in lines {
        if line.is_empty() {
            let (event, data) = (std::mem::take(&mut event), std::mem::take(&mut data));
            if let Some(data) = data.strip_suffix('\n') {
                events.push(Fired {
                    event: match event.is_empty() {
                        true => "message".to_owned(),
                        false => event,
                    },
                    data: data.to_owned(),
                    id: id.clone(),
                });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            _ => {}
        }
    }
    events
}
