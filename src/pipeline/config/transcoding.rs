//! What the stage `transcoding` goes by.

use super::{Need, TomlTable};

/// What ffmpeg is asked for.
#[derive(Clone, Debug, Default)]
pub struct Transcoding {
    /// The output's options. Default: H.264 and AAC, for which every browser has a player.
    pub args: Option<Vec<String>>,
    /// The output's extension, by which ffmpeg takes the container. Default: mp4, and m4a
    /// where there is no picture.
    pub extension: Option<String>,
    /// The most that ffmpeg may write, in bytes. Default: 16 GiB.
    pub max_output: Option<u64>,
}

const EXTENSION_MAX_BYTES: usize = 16;

impl Transcoding {
    pub(super) fn read(&mut self, table: &mut TomlTable<'_>) {
        // Whose file asks for it wants it, and not that it is passed over.
        for program in ["ffmpeg", "ffprobe"] {
            table.need(table.at(), Need::Program(program.to_owned()));
        }
        if let Some((args, at)) = table.list("args") {
            if args.iter().any(|argument| argument.contains('\0')) {
                table.refuse(at, "an argument can't hold NUL");
            }
            self.args = Some(args);
        }
        if let Some((extension, at)) = table.text("extension") {
            let fits = !extension.is_empty() && extension.len() <= EXTENSION_MAX_BYTES;
            if !fits || !extension.bytes().all(|b| b.is_ascii_alphanumeric()) {
                let message = format!(
                    "extension is 1 to {EXTENSION_MAX_BYTES} letters and digits, as \"mp4\""
                );
                table.refuse(at, message);
            }
            self.extension = Some(extension);
        }
        if let Some(size) = table.size("max_output") {
            self.max_output = Some(size);
        }
    }
}
