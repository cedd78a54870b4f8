// The first view: files that are sent from here, and jobs that the address names.

import { trackProcessing, uploadAndTrack } from "./landfall.js";
import { bytes, clock, Rate, title } from "./format.js";
import { Job } from "./job.js";
import { $, address, connection, put, say } from "./shell.js";

/** Uploads at once: a browser has few connections per host, and the host is small. */
const SENDING_MAX = 2;
/** Where a job is now is told by its newest event. A page may stay open for days. */
const OPTIONS = { baseUrl: ".", replay: "latest", retries: Infinity };
const LABELS = { uploading: "Upload", scanning: "Scan", transcoding: "Transcode", storing: "Store" };

const rows = new Map();
let isDrawing = false;

export const uploads = {
  show: draw,

  /** What is sent and followed goes on. */
  hide() {},

  /** Takes up the jobs that the address names. */
  follow(jobs) {
    const { known } = address;
    const isNew = (id) => !rows.has(id) && /^[\w.~-]{1,128}$/.test(id);
    for (const id of jobs) if (isNew(id)) new Row(id, known[id]).pickUp();
    remember(known);
  },

  /** Once more, with another token. */
  reopen() {
    for (const row of [...rows.values()]) if (row.refusal) row.again();
  },
};

class Row {
  /** A file of this page's, and whether it has been sent. */
  file = null;
  isSent = false;
  /** How it is followed, in the words of landfall.js; null before. */
  link = null;
  /** Why it can't be sent, or followed any more. */
  failure = null;
  /** The status and message with which the server refused to show it. */
  refusal = null;
  /** The server began anew, and has said nothing of it since. */
  isForgotten = false;
  rate = new Rate();
  stop = () => {};

  constructor(id, known, before = $("rows").firstChild) {
    this.job = new Job(id);
    this.node = $("upload-row").content.firstElementChild.cloneNode(true);
    this.part(".drop").addEventListener("click", () => this.drop());
    this.part(".again").addEventListener("click", () => this.again());
    if (known) this.expect(known.name, known.size);
    rows.set(id, this);
    $("rows").insertBefore(this.node, before);
  }

  get name() {
    return this.job.name ?? this.job.id;
  }

  get isOver() {
    return this.failure !== null || this.job.isOver;
  }

  get isSending() {
    return this.file !== null && !this.isSent && this.failure === null;
  }

  get handlers() {
    return {
      onProgress: (data) => this.hear("progress", data),
      onDone: (_, data) => this.hear("done", data),
      onFailure: (message) => this.lose(message),
      onDeleted: () => this.hear("deleted", {}),
      onReset: ({ reason }) => {
        this.isForgotten = reason === "unknown";
        draw();
      },
      onState: (state) => this.turn(state),
    };
  }

  /** An upload of this page's: its stages are known before they come. */
  expect(name, size) {
    this.job.name = name;
    this.job.size = size;
    this.job.expectUpload();
  }

  send() {
    this.job.began = Date.now();
    this.link = "uploading";
    this.stop = uploadAndTrack(this.file, this.handlers, { ...OPTIONS, jobId: this.job.id });
  }

  /** Sees where the job is, and follows it if it goes on. */
  async pickUp() {
    this.failure = this.refusal = null;
    draw();
    try {
      const answer = await fetch(`api/jobs/${this.job.id}`);
      const said = await answer.json();
      if (isRefusal(answer)) {
        this.refusal = [answer.status, said.error];
        this.failure = "The server doesn't show this job without a token for it";
        return draw();
      }
      if (answer.status === 410) return this.hear("deleted", {});
      if (answer.ok) this.know(said, Date.now() - Date.parse(answer.headers.get("Date")));
    } catch {
      // The stream comes when the server does.
    }
    if (!this.job.isOver && rows.has(this.job.id)) {
      this.stop = trackProcessing(this.job.id, this.handlers, OPTIONS);
    }
    draw();
  }

  /** Takes a snapshot, whose clock is `skew` ms behind this one. */
  know({ createdAt, updatedAt, lastEvent }, skew) {
    if (!lastEvent) return;
    this.job.apply(lastEvent.event, lastEvent.data, null, Date.parse(updatedAt) + skew);
    this.job.began = Date.parse(createdAt) + skew;
  }

  hear(event, data) {
    const { job } = this;
    const { stage } = job;
    this.isForgotten = false;
    const now = Date.now();
    if (!job.apply(event, data, null, now)) return;
    if (job.stage !== stage) this.rate = new Rate();
    // A stage goes through the file: that is its speed, where it doesn't tell one itself.
    const through = data.loaded ?? (job.size * job.percent) / 100;
    if (through > 0) this.rate.add(now, through);
    if (job.stage !== stage || job.isOver) say(`${this.name}: ${this.what()}`);
    draw();
  }

  turn(link) {
    if (link === "reconnecting" && this.link !== link) say("The connection was lost, reconnecting");
    if (link === "open" && this.link === "reconnecting") say("Connected again");
    this.link = link;
    if (this.isSending && link !== "uploading" && link !== "closed") {
      this.isSent = true;
      this.hear("progress", { stage: "uploading", percent: 100 });
    }
    draw();
    sendNext();
  }

  /** The job has failed, or it can't be sent or followed: the snapshot tells which. */
  async lose(message) {
    try {
      const answer = await fetch(`api/jobs/${this.job.id}`);
      const said = await answer.json();
      if (isRefusal(answer)) this.refusal = [answer.status, said.error];
      else if (said.state === "error") return this.hear("error", said.lastEvent.data);
    } catch {
      // What is known has to do.
    }
    this.failure = message;
    this.job.ended = Date.now();
    say(`${this.name}: ${this.what()}`);
    draw();
    sendNext();
  }

  again() {
    const { file, job } = this;
    if (!file) return this.pickUp();
    const before = this.node.nextElementSibling;
    this.drop();
    take([file], before);
    rows.get([...rows.keys()].pop()).part(".drop").focus();
  }

  drop() {
    const next = this.node.nextElementSibling ?? this.node.previousElementSibling;
    const hadFocus = this.node.contains(document.activeElement);
    rows.delete(this.job.id);
    this.stop();
    this.node.remove();
    if (hadFocus) (next?.querySelector(".drop") ?? $("files")).focus();
    remember();
    draw();
    sendNext();
  }

  part(name) {
    return this.node.querySelector(name);
  }

  draw(now) {
    const { job } = this;
    const isLost = this.link === "reconnecting" && !this.isOver;
    const outcome = this.failure !== null ? "error" : job.state;
    this.node.dataset.state = isLost ? "lost" : outcome;
    put(this.part("h3"), this.name);
    put(this.part(".size"), job.size === null ? "" : bytes(job.size));
    this.drawStages(outcome);
    put(this.part(".what"), `${isLost ? "Reconnecting · " : ""}${this.what()}`);
    put(this.part(".how"), this.how(now, isLost));
    put(this.part(".detail"), this.detail());
    this.part(".detail").title = job.data.digest ?? "";
    const isSecond = outcome === "error" || outcome === "deleted";
    this.part(".again").hidden = !isSecond || !(this.file || this.failure);
    const act = this.isSending ? "Cancel" : "Remove";
    this.part(".drop").title = act;
    this.part(".drop").setAttribute("aria-label", `${act} ${this.name}`);
  }

  drawStages(outcome) {
    const { job } = this;
    const list = this.part(".stages");
    const names = [...job.stages.keys()];
    if (list.dataset.names !== names.join()) {
      list.dataset.names = names.join();
      list.replaceChildren(...names.map(newStage));
    }
    const current = job.stage ?? (this.isSending ? "uploading" : null);
    [...job.stages].forEach(([name, percent], index) => {
      const item = list.children[index];
      const isCurrent = name === current && outcome !== "done" && outcome !== "deleted";
      item.firstChild.value = percent;
      item.className = job.skipped.has(name) ? "skipped" : !isCurrent ? "" : outcome === "error" ? "failed" : "current";
      if (isCurrent) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  what() {
    const { job } = this;
    if (this.failure !== null) return this.file && !this.isSent ? "Not sent" : "Not followed";
    if (job.state === "done") return "Done";
    if (job.state === "deleted") return "Deleted";
    if (job.state === "error") return job.stage ? `${title(job.stage)} failed` : "Failed";
    if (this.file && this.link === null) return "Waiting to be sent";
    if (this.isForgotten) return "No news since the server restarted";
    if (job.stage === null) return this.isSending ? "Uploading 0 %" : "Nothing known of it yet";
    if (job.stage === "queued") {
      const stage = job.data.for ? ` for ${job.data.for}` : "";
      return `Queued${stage}` + (job.position > 0 ? `, number ${job.position} in line` : "");
    }
    if (job.skipped.has(job.stage)) return `${title(job.stage)} skipped`;
    return title(job.stage) + (job.percent === null ? "" : ` ${Math.floor(job.percent)} %`);
  }

  how(now, isLost) {
    const { job } = this;
    if (job.began === null) return "";
    const took = clock((job.ended ?? now) - job.began);
    if (this.isOver) return `took ${took}`;
    const speed = isLost || this.isForgotten ? null : this.speed();
    return speed ? `${speed} · ${took}` : took;
  }

  speed() {
    const { speed } = this.job.data;
    if (typeof speed === "number") return `${speed.toFixed(1)}×`;
    if (typeof speed === "string") return speed;
    const rate = this.rate.get();
    return rate > 0 ? `${bytes(rate)}/s` : null;
  }

  detail() {
    const { job } = this;
    if (this.failure !== null) return this.failure;
    if (job.state === "deleted") return "Somebody has deleted this job, or begun it anew";
    if (job.state === "error") return job.data.message ?? "The server doesn't say why";
    const skipped = [...job.skipped].map(([stage, why]) => `${title(stage)} was skipped: ${why}`);
    const { contentType, digest, restarted, retry, reason } = job.data;
    const short = digest?.replace(/([0-9a-f]{16})[0-9a-f]+$/, "$1…");
    return [
      job.state === "done" && contentType,
      job.state === "done" && short,
      restarted && "Begun anew, since the server restarted",
      retry && `Tried again: ${reason}`,
      ...skipped,
    ].filter(Boolean).join(" · ");
  }
}

const isRefusal = ({ status }) => status === 401 || status === 403;

function newStage(name) {
  const item = document.createElement("li");
  const bar = document.createElement("progress");
  const label = document.createElement("span");
  put(label, LABELS[name] ?? title(name));
  label.setAttribute("aria-hidden", "true");
  bar.setAttribute("aria-label", label.textContent);
  bar.max = 100;
  item.append(bar, label);
  return item;
}

/** Has files wait to be sent, in front of a row, or of all. */
function take(files, before = $("rows").firstChild) {
  for (const file of files) {
    const row = new Row(newName(), null, before);
    row.file = file;
    row.expect(file.name, file.size);
  }
  remember();
  sendNext();
}

function sendNext() {
  const waiting = [...rows.values()].filter((row) => row.isSending);
  let room = SENDING_MAX - waiting.filter((row) => row.link !== null).length;
  for (const row of waiting) if (row.link === null && room-- > 0) row.send();
  draw();
}

/** A name that can't be guessed: whoever knows it can follow the job. */
function newName() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `up_${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Keeps the rows in the address, and what is known of uploads where a reload finds it. */
function remember(before = address.known) {
  const known = {};
  for (const [id, { job, file }] of rows) {
    if (file || before[id]) known[id] = { name: job.name, size: job.size };
  }
  address.set([...rows.keys()], known);
}

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const all = [...rows.values()];
    const now = Date.now();
    for (const row of all) row.draw(now);
    const running = all.filter((row) => !row.isOver);
    $("uploads-head").hidden = !all.length;
    $("clear").hidden = running.length === all.length;
    const count = running.length ? `${running.length} in progress` : "";
    put($("uploads-title"), count || "All finished");
    document.title = count ? `${count} · Landfall` : "Landfall";
    const links = running.map((row) => row.link);
    const link = ["reconnecting", "connecting", "open"].find((state) => links.includes(state));
    const refused = all.find((row) => row.refusal)?.refusal;
    connection("uploads", ...(refused ? ["refused", ...refused] : [link]));
  });
}

setInterval(() => {
  if ([...rows.values()].some((row) => !row.isOver)) draw();
}, 1000);

$("clear").addEventListener("click", () => {
  for (const row of [...rows.values()]) if (row.isOver) row.drop();
  $("files").focus();
});
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
const mark = (isOver) => $("drop").classList.toggle("over", isOver);
let inside = 0;
addEventListener("dragenter", (event) => isFile(event) && mark(++inside > 0));
addEventListener("dragleave", (event) => isFile(event) && mark(--inside > 0));
addEventListener("dragover", (event) => isFile(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isFile(event)) return;
  event.preventDefault();
  mark((inside = 0) > 0);
  if (address.view !== "uploads") location.hash = $("to-uploads").hash;
  take(event.dataTransfer.files);
});
// Leaving cuts off what is being sent.
addEventListener("beforeunload", (event) => {
  if ([...rows.values()].some((row) => row.isSending)) event.preventDefault();
});
