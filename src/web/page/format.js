// Figures and texts as people read them.

const UNITS = ["kB", "MB", "GB", "TB"];

/** A clock that nobody sets: it counts on from when the page was opened. */
export const now = () => performance.timeOrigin + performance.now();

/** 84213000 as "84.2 MB". */
export function bytes(count) {
  if (count < 1000) return `${Math.round(count)} B`;
  let unit = -1;
  do {
    count /= 1000;
    unit++;
  } while (count >= 999.5 && unit < UNITS.length - 1);
  return `${count.toFixed(count < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Milliseconds as "0:42" or "1:02:03". */
export function clock(span) {
  const seconds = Math.max(0, Math.floor(span / 1000));
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (n) => `${n}`.padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Milliseconds as "42 s", "3 min", "3 h" or "2 d". */
export function rough(span) {
  const seconds = Math.floor(span / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Milliseconds as "just now" or "42 s ago". */
export function ago(span) {
  return span < 2000 ? "just now" : `${rough(span)} ago`;
}

/** What time is left, no more exactly than anybody knows: "20 s left", "3 min left". */
export function left(span) {
  const seconds = span / 1000;
  if (seconds < 5) return "a few seconds left";
  if (seconds < 95) return `${Math.ceil(seconds / 10) * 10} s left`;
  return `${rough(span + 30_000)} left`;
}

/** "scanning" as "Scanning", "make_thumbnails" as "Make thumbnails". */
export function title(name) {
  const words = name.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a running job does. */
export function doing({ stage, percent, position, data, skipped }) {
  if (stage === null) return "";
  if (stage === "queued") {
    const place = position === 1 ? " · next" : position ? ` · #${position}` : "";
    return `Queued${data.for ? ` for ${data.for}` : ""}${place}`;
  }
  if (skipped.has(stage)) return `${title(stage)} skipped`;
  return title(stage) + (percent === null ? "" : ` ${Math.floor(percent)}%`);
}

/** A text without what draws nothing, or turns what stands beside it round. */
export function clean(text) {
  return `${text}`
    .replace(/\x1b\[[\d;?]*[ -/]*[@-~]/g, "")
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu, "");
}
