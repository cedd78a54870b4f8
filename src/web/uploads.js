// The first view: files that are sent from here, and jobs that the address names.

import { bytes, clock, Rate, title } from "./format.js";
import { Job } from "./job.js";
import { $, address, connection, put, say } from "./shell.js";
import { follow } from "./stream.js";

/** Uploads at once: a browser has few connections per host, and the host is small. */
const SENDING_MAX = 2;
/** Jobs on the stream at once: their names have to fit into its address. */
const FOLLOWED_MAX = 150;
const LABELS = { uploading: "Upload", scanning: "Scan", transcoding: "Transcode", storing: "Store" };

const rows = new Map();
let stop = null;
let followed = "";
/** How the stream is, as it told. */
let stream = [null];
let isDrawing = false;

export const uploads = {
  show() {
    connection("uploads", ...stream);
    draw();
  },

  /** What is sent and followed goes on. */
  hide() {},

  /** Connects once more, with another token. */
  reopen() {
    followed = "";
    connect();
  },

  /** Takes up the jobs that the address names. */
  follow(jobs) {
    for (const id of jobs) {
      if (rows.has(id) || !/^[\w.~-]{1,128}$/.test(id)) continue;
      const row = new Row(id, address.known[id]);
      row.pickUp();
    }
    connect();
  },
};

class Row {
  rate = new Rate();
  file = null;
  request = null;
  /** What went wrong while it was sent. */
  failure = null;
  /** The server began anew, and has said nothing of it since. */
  isForgotten = false;

  constructor(id, known) {
    this.job = new Job(id);
    this.job.name = known?.name ?? null;
    this.job.size = known?.size ?? null;
    this.node = $("upload-row").content.firstElementChild.cloneNode(true);
    this.part = (name) => this.node.querySelector(name);
    this.part(".drop").addEventListener("click", () => this.drop());
    this.part(".again").addEventListener("click", () => this.again());
    rows.set(id, this);
    $("rows").prepend(this.node);
    remember();
    draw();
  }

  get isOver() {
    return this.failure !== null || this.job.isOver;
  }

  /** It is sent, or waits until it can be. */
  get isHere() {
    return this.file !== null && this.request?.readyState !== 4 && this.failure === null;
  }

  /** When the job began, which its stream doesn't say. */
  async pickUp() {
    try {
      const answer = await fetch(`/api/jobs/${this.job.id}`);
      if (!answer.ok) return;
      const { createdAt, updatedAt } = await answer.json();
      const skew = Date.now() - Date.parse(answer.headers.get("Date"));
      this.job.began = Date.parse(createdAt) + skew;
      if (this.job.isOver) this.job.ended = Date.parse(updatedAt) + skew;
    } catch {
      // The time since the page was opened has to do.
    }
    draw();
  }

  take(file) {
    this.file = file;
    this.job.name = file.name;
    this.job.size = file.size;
    this.job.expectUpload();
    remember();
    sendNext();
  }

  send() {
    const { job, file } = this;
    const request = (this.request = new XMLHttpRequest());
    job.began = Date.now();
    request.upload.onprogress = ({ loaded }) => {
      job.sent((100 * loaded) / (file.size || 1), Date.now());
      this.rate.add(Date.now(), loaded);
      draw();
    };
    request.onload = () => {
      if (request.status === 201) job.sent(100, Date.now());
      else this.fail(explain(request));
      sendNext();
    };
    request.onerror = () => {
      this.fail("The connection was lost while the file was sent");
      sendNext();
    };
    const query = new URLSearchParams({ name: file.name, job: job.id });
    request.open("POST", `/api/uploads?${query}`);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.send(file);
    connect();
  }

  fail(message) {
    this.failure = message;
    this.job.ended = Date.now();
    say(`${this.job.name}: ${message}`);
    draw();
    connect();
  }

  again() {
    const { file } = this;
    this.drop();
    new Row(newName()).take(file);
  }

  drop() {
    const next = this.node.nextElementSibling ?? this.node.previousElementSibling;
    const hadFocus = this.node.contains(document.activeElement);
    rows.delete(this.job.id);
    this.file = null;
    this.request?.abort();
    this.node.remove();
    if (hadFocus) (next?.querySelector(".drop") ?? $("files")).focus();
    remember();
    draw();
    connect();
    sendNext();
  }

  draw(now) {
    const { job } = this;
    const isLost = stream[0] === "reconnecting" && !this.isOver && !this.isHere;
    const outcome = this.failure !== null ? "error" : job.state;
    this.node.dataset.state = isLost ? "lost" : outcome;
    put(this.part("h3"), job.name ?? job.id);
    put(this.part(".size"), job.size === null ? "" : bytes(job.size));
    this.drawStages(outcome);
    put(this.part(".what"), isLost ? `Reconnecting… last seen: ${this.what().toLowerCase()}` : this.what());
    put(this.part(".how"), this.how(now, isLost));
    const detail = this.detail();
    this.part(".detail").hidden = !detail;
    put(this.part(".detail"), detail);
    this.part(".again").hidden = outcome !== "error" || this.file === null;
    const drop = this.part(".drop");
    const act = this.isHere ? "Cancel" : "Remove";
    put(drop, act);
    drop.setAttribute("aria-label", `${act} ${job.name ?? job.id}`);
  }

  drawStages(outcome) {
    const { job } = this;
    const list = this.part(".stages");
    const names = [...job.stages.keys()];
    if (list.dataset.names !== names.join()) {
      list.dataset.names = names.join();
      list.replaceChildren(
        ...names.map((name) => {
          const item = document.createElement("li");
          const bar = document.createElement("progress");
          const label = document.createElement("span");
          label.textContent = LABELS[name] ?? title(name);
          label.setAttribute("aria-hidden", "true");
          bar.setAttribute("aria-label", LABELS[name] ?? title(name));
          bar.max = 100;
          item.append(bar, label);
          return item;
        }),
      );
    }
    const current = job.stage === null && this.isHere ? "uploading" : job.stage;
    [...job.stages].forEach(([name, percent], index) => {
      const item = list.children[index];
      const isCurrent = name === current && outcome !== "done";
      item.firstChild.value = percent;
      item.className = isCurrent ? (outcome === "error" ? "failed" : "current") : percent === 100 ? "over" : "";
      if (isCurrent) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  what() {
    const { job, request } = this;
    if (this.failure !== null) return "Not sent";
    if (job.state === "done") return "Done";
    if (job.state === "error") return job.stage ? `${title(job.stage)} failed` : "Failed";
    if (this.file !== null && request === null) return "Waiting to be sent";
    if (job.stage === null) return "Nothing known of it yet";
    if (this.isForgotten) return "No news since the server restarted";
    if (job.stage === "queued") {
      return job.position > 0 ? `Queued, number ${job.position} in line` : "Queued";
    }
    const percent = job.percent === null ? "" : ` ${Math.floor(job.percent)} %`;
    return `${title(job.stage)}${percent}`;
  }

  how(now, isLost) {
    const { job } = this;
    if (job.began === null) return "";
    const took = clock((job.ended ?? now) - job.began);
    if (this.isOver) return `took ${took}`;
    const speed = isLost ? null : this.speed();
    return speed ? `${speed} · ${took}` : took;
  }

  speed() {
    const { speed } = this.job.data;
    if (!this.isHere && typeof speed === "number") return `${speed.toFixed(1)}×`;
    if (!this.isHere && typeof speed === "string") return speed;
    const rate = this.rate.get();
    return rate > 0 ? `${bytes(rate)}/s` : null;
  }

  detail() {
    const { job } = this;
    if (this.failure !== null) return this.failure;
    if (job.state === "error") return job.data.message ?? "The server doesn't say why";
    if (job.state !== "done") return "";
    const { contentType, digest } = job.data;
    return [contentType, digest].filter((text) => typeof text === "string").join(" · ");
  }
}

function heard(name, data, id) {
  const row = rows.get(data.jobId);
  if (!row) return;
  const { job } = row;
  if (name === "reset") {
    row.isForgotten = data.reason === "unknown" && job.stage !== null;
    return draw();
  }
  const [stage, now] = [job.stage, Date.now()];
  if (!job.apply(name, data, id, now)) return;
  row.isForgotten = false;
  if (job.stage !== stage) row.rate = new Rate();
  // Where a stage goes through the file, its speed is known.
  if (job.size && job.percent !== null && job.stage !== "transcoding" && !row.isHere) {
    row.rate.add(now, (job.size * job.percent) / 100);
  }
  if (job.stage !== stage || job.isOver) say(`${job.name ?? job.id}: ${row.what()}`);
  draw();
  if (job.isOver) connect();
}

/** Has the stream name those that run, and no more. */
function connect() {
  const jobs = [...rows.values()].filter((row) => !row.isOver && (row.file === null || row.request));
  const ids = jobs.slice(-FOLLOWED_MAX).map((row) => row.job.id);
  // One that has ended needn't be left out at once: the stream ends with its last job.
  const there = new Set(followed.split(" "));
  if (ids.length ? followed && ids.every((id) => there.has(id)) : !followed) return;
  stop?.();
  stop = null;
  followed = ids.join(" ");
  if (!ids.length) return heardState(null);
  // The newest event of each job says where it is; what came before isn't shown.
  const query = [...ids.map((id) => ["job", id]), ["replay", "latest"]];
  stop = follow(query, { onEvent: heard, onState: heardState });
}

function heardState(...next) {
  const was = stream[0];
  stream = next;
  if (next[0] === "reconnecting" && was !== next[0]) say("The connection was lost, reconnecting");
  if (next[0] === "live" && was === "reconnecting") say("Connected again");
  connection("uploads", ...next);
  draw();
}

function sendNext() {
  const all = [...rows.values()];
  let sending = all.filter((row) => row.isHere && row.request).length;
  for (const row of all) {
    if (sending >= SENDING_MAX) break;
    if (row.isHere && !row.request) {
      row.send();
      sending++;
    }
  }
  draw();
}

function explain(request) {
  try {
    return JSON.parse(request.responseText).error;
  } catch {
    return `The server answers with ${request.status}`;
  }
}

/** A name that can't be guessed: whoever knows it can follow the job. */
function newName() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `up_${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function remember() {
  const known = {};
  for (const [id, { job }] of rows) known[id] = { name: job.name, size: job.size };
  address.set([...rows.keys()], known);
}

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const now = Date.now();
    let over = 0;
    for (const row of rows.values()) {
      row.draw(now);
      over += row.isOver;
    }
    $("uploads-head").hidden = rows.size === 0;
    $("clear").hidden = over === 0;
    const running = rows.size - over;
    put($("uploads-title"), running ? `${running} in progress` : "All finished");
    document.title = running ? `${running} in progress · Landfall` : "Landfall";
  });
}

setInterval(() => {
  if ([...rows.values()].some((row) => !row.isOver)) draw();
}, 1000);

$("clear").addEventListener("click", () => {
  for (const row of [...rows.values()]) if (row.isOver) row.drop();
  $("files").focus();
});

function take(files) {
  for (const file of files) new Row(newName()).take(file);
}

$("files").addEventListener("change", ({ target }) => {
  take(target.files);
  target.value = "";
});
$("follow").addEventListener("submit", (event) => {
  event.preventDefault();
  uploads.follow([$("follow-job").value]);
  $("follow-job").value = "";
});

// A file that misses the field mustn't replace the page.
const isFile = (event) => event.dataTransfer?.types.includes("Files");
let inside = 0;
addEventListener("dragenter", (event) => {
  if (isFile(event) && ++inside) $("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (isFile(event) && !--inside) $("drop").classList.remove("over");
});
addEventListener("dragover", (event) => isFile(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isFile(event)) return;
  event.preventDefault();
  inside = 0;
  $("drop").classList.remove("over");
  location.hash = $("to-uploads").hash;
  take(event.dataTransfer.files);
});
// Leaving cuts off what is being sent.
addEventListener("beforeunload", (event) => {
  if ([...rows.values()].some((row) => row.isHere)) event.preventDefault();
});
