// Figures as people read them.

const UNITS = ["kB", "MB", "GB", "TB"];

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
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Milliseconds as "just now", "42 s ago" or "3 h ago". */
export function ago(span) {
  const seconds = Math.floor(span / 1000);
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** "scanning" as "Scanning", "make_thumbnails" as "Make thumbnails". */
export function title(name) {
  const words = name.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How fast a growing figure grows, a second: an average over the last few seconds. */
export class Rate {
  #points = [];

  add(now, value) {
    const points = this.#points;
    if (points.length && value < points[points.length - 1][1]) points.length = 0;
    points.push([now, value]);
    while (points.length > 2 && now - points[0][0] > 4000) points.shift();
  }

  /** Null where it can't be known yet. */
  get() {
    const [first, last] = [this.#points[0], this.#points[this.#points.length - 1]];
    const span = last && last[0] - first[0];
    return span > 300 ? ((last[1] - first[1]) * 1000) / span : null;
  }
}
