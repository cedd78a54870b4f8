// A file that is sent from here, or a job that is followed: what is known of it, and how it looks.

import { trackProcessing, uploadAndTrack } from "../client/landfall";
import { cancelJob } from "../client/transfer";
import { bytes, clean, clock, doing, left, now, rough, title } from "./format.js";
import { Job } from "./job.js";
import { $, ask, isRefusal, put, putName, say, why } from "./shell.js";

/** A page may stay open for days. */
export const OPTIONS = { baseUrl: ".", retries: Infinity };
/** A stage that says nothing for so long is said to be silent. */
const SILENT_MS = 60_000;
/** Where nobody sends an upload, nothing comes of it for longer than this. */
const IDLE_MS = 5000;
const LABELS = { uploading: "Upload", scanning: "Scan", transcoding: "Transcode", storing: "Store" };

export class Row {
  /** A file of this page's, and whether it has been sent. */
  file = null;
  isSent = false;
  /** Whether it was sent from this page, now or before a reload. */
  isOwn = false;
  /** How it is followed, in the words of landfall.js; null before. */
  link = null;
  /** Why it can't be sent, or followed any more. */
  failure = null;
  /** The answer with which the server refused to show it. */
  refusal = null;
  /** The server began anew, and has said nothing of it since. */
  isForgotten = false;
  /** Why it goes on though somebody wanted to cancel it. */
  uncancelled = "";
  /** What whoever asks may do to it. */
  may = [];
  /** The snapshot that the stream has yet to come to. */
  past = null;
  /** When something new was heard of it. */
  heard = -Infinity;
  stop = () => {};

  /** `view` has `changed()`, `ended(row)`, `again(row)` and `drop(row)`. */
  constructor(id, known, view) {
    this.view = view;
    this.job = new Job(id);
    this.node = $("upload-row").content.firstElementChild.cloneNode(true);
    this.part(".drop").addEventListener("click", () => view.drop(this));
    this.part(".again").addEventListener("click", () => view.again(this));
    this.part(".stop").addEventListener("click", () => this.cancel());
    if (known) this.expect(known.name, known.size);
  }

  get id() {
    return this.job.id;
  }

  get name() {
    return this.job.name ?? this.id;
  }

  get isOver() {
    return this.failure !== null || this.job.isOver;
  }

  get isSending() {
    return this.file !== null && !this.isSent && !this.isOver;
  }

  get isLost() {
    return this.link === "reconnecting" && !this.isOver;
  }

  /** Whether it was being sent before a reload, and nobody goes on with it. */
  get isPaused() {
    const { stage } = this.job;
    const isReceived = ![null, "uploading"].includes(stage);
    return this.isOwn && !this.file && !this.isOver && !isReceived && now() - this.heard > IDLE_MS;
  }

  get handlers() {
    return {
      onProgress: (data) => this.hear("progress", data),
      onDone: (_, data) => this.hear("done", data),
      onFailure: (message, _, data) => (data ? this.hear("error", data) : this.lose(message)),
      onDeleted: () => this.view.deleted(this),
      onReset: ({ reason }) => {
        this.isForgotten = reason === "unknown";
        this.view.changed();
      },
      onStateChange: (state) => this.turn(state),
    };
  }

  /** An upload of this page's: its stages are known before they come. */
  expect(name, size) {
    this.isOwn = true;
    this.job.name = name;
    this.job.size = size;
    this.job.expectUpload();
  }

  send() {
    this.job.began ??= now();
    this.link = "uploading";
    this.stop = uploadAndTrack(this.file, this.handlers, { ...OPTIONS, jobId: this.id });
  }

  /** Sees where the job is, and follows it from its beginning. */
  async pickUp() {
    this.failure = this.refusal = null;
    this.view.changed();
    const answer = await this.look();
    if (!this.node.isConnected) return;
    if (answer?.status === 410) return this.view.deleted(this);
    if (answer && isRefusal(answer)) {
      this.refusal = answer;
      this.failure = "It is shown with a token for it";
      return this.view.changed();
    }
    if (answer?.ok && answer.said) this.know(answer.said, answer.skew);
    // Where the server is away, the stream comes when it is back.
    this.stop = trackProcessing(this.id, this.handlers, OPTIONS);
    this.view.changed();
  }

  /** Asks for the snapshot, and what may be done. */
  async look() {
    const answer = await ask(`api/jobs/${this.id}`).catch(() => null);
    if (answer?.ok) this.may = answer.may;
    // The server of a fleet that holds the upload.
    this.on = answer?.said?.node;
    return answer;
  }

  know({ createdAt, updatedAt, lastEvent }, skew) {
    if (!lastEvent) return;
    const at = Date.parse(updatedAt) + skew;
    this.past = { at, began: Date.parse(createdAt) + skew, data: plain(lastEvent.data), isTold: false };
    this.job.apply(lastEvent.event, lastEvent.data, null, at);
    this.job.began = this.past.began;
  }

  hear(event, data) {
    const { past } = this;
    if (past && !past.isTold) {
      // The stream tells it all from the beginning.
      const { id, name, size } = this.job;
      this.job = new Job(id);
      if (this.isOwn) this.expect(name, size);
      past.isTold = true;
    }
    const { job } = this;
    const { stage } = job;
    this.isForgotten = false;
    if (!job.apply(event, data, null, past?.at ?? now())) return;
    if (past) {
      job.began = past.began;
      if (plain(data) === past.data) this.past = null;
    } else {
      this.heard = now();
      if (job.stage !== stage || job.isOver) say(this, `${this.name}: ${this.what()}`);
    }
    this.view.changed();
  }

  turn(link) {
    if (link === "reconnecting" && this.link !== link) say("link", "The connection was lost, reconnecting");
    if (link === "open" && this.link === "reconnecting") say("link", "Connected again");
    this.link = link;
    const isLive = link === "open" || link === "polling";
    // What comes so long after a stream has begun isn't what was.
    if (isLive) setTimeout(() => (this.past = null), IDLE_MS);
    if (this.isSending && (isLive || link === "connecting")) {
      this.isSent = true;
      this.hear("progress", { stage: "uploading", percent: 100 });
      this.look().then(() => this.view.changed());
    }
    this.view.changed();
  }

  /** It can't be sent or followed. */
  async lose(message) {
    const answer = await this.look();
    if (answer && isRefusal(answer)) this.refusal = answer;
    else if (/token/.test(message)) {
      this.refusal = { status: 403, challenge: "Bearer error=", said: { error: message } };
    }
    this.failure = this.refusal ? "It can be sent with a token for it" : plainly(message);
    this.job.ended = now();
    say(this, `${this.name}: ${this.what()}`);
    this.view.changed();
  }

  async cancel() {
    if (this.isSending && this.link === null) return this.view.drop(this);
    this.part(".stop").disabled = true;
    this.uncancelled = "";
    try {
      await (this.stop.cancel?.() ?? cancelJob(this.id, OPTIONS));
    } catch (error) {
      // What a request says that fails is of no use to people.
      this.uncancelled = `Not cancelled: ${error.status ? error.message : why()}`;
      say(this, `${this.name}: ${this.uncancelled}`);
    }
    this.part(".stop").disabled = false;
    this.view.changed();
  }

  part(name) {
    return this.node.querySelector(name);
  }

  draw() {
    const { job, isLost, isPaused } = this;
    const isCancelled = job.state === "error" && job.data.reason === "cancelled";
    const outcome = this.failure !== null ? "error" : job.state;
    this.node.dataset.state = isLost ? "lost" : isPaused ? "paused" : isCancelled ? "cancelled" : outcome;
    putName(this.part("h3"), this.name);
    const size = job.size ?? job.made;
    put(this.part(".size"), size === null ? "" : bytes(size));
    this.drawStages(outcome);
    put(this.part(".what"), `${isLost ? "Reconnecting · " : ""}${this.what()}`);
    put(this.part(".how"), this.how());
    put(this.part(".detail"), this.detail());
    this.part(".detail").title = clean(job.data.digest ?? "");
    this.drawActs(outcome);
  }

  drawActs(outcome) {
    const { job, may, isPaused } = this;
    const isRunning = !this.isOver && !isPaused && job.state === "running";
    this.part(".file").href = `api/jobs/${this.id}/file`;
    this.part(".file").hidden = !(outcome === "done" && job.data.stored && may.includes("file"));
    this.part(".again").hidden = !(isPaused || (outcome === "error" && !this.refusal));
    put(this.part(".again"), isPaused ? "Choose the file" : "Try again");
    this.part(".stop").hidden = !(this.isSending || (isRunning && may.includes("cancel")));
    this.part(".acts").hidden = !this.part(".acts > :not([hidden])");
    for (const act of this.node.querySelectorAll(".acts > *, .drop")) {
      act.setAttribute("aria-label", `${act.textContent || "Remove"} ${clean(this.name)}`);
    }
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
      const isCurrent = name === current && outcome !== "done";
      const state = job.skipped.has(name) ? "skipped" : !isCurrent ? "" : outcome === "error" ? "failed" : "current";
      item.firstChild.value = percent;
      item.firstChild.setAttribute("aria-valuetext", /^[sf]/.test(state) ? state : `${Math.floor(percent)}%`);
      item.className = state;
      item.ariaCurrent = isCurrent ? "step" : null;
    });
  }

  what() {
    const { job } = this;
    if (this.refusal) return "A token is needed";
    if (this.failure !== null) return this.file && !this.isSent ? "Not sent" : "Not followed";
    if (job.state === "done") return "Done";
    if (job.state === "error") {
      if (job.data.reason === "cancelled") return "Cancelled";
      return job.stage && job.stage !== "queued" ? `${title(job.stage)} failed` : "Failed";
    }
    if (this.file && this.link === null) return "Waiting to be sent";
    if (this.isForgotten) return "No news since the server restarted";
    if (this.isPaused) return job.stage ? `Paused at ${Math.floor(job.percent)}%` : "Not on the server";
    if (job.stage === null) return this.isSending ? "Uploading 0%" : "Nothing known of it yet";
    return doing(job);
  }

  how() {
    const { job } = this;
    if (job.began === null || this.isPaused || this.isLost) return "";
    const took = clock((job.ended ?? now()) - job.began);
    if (this.isOver) return `took ${took}`;
    const since = now() - job.updated;
    if (this.isForgotten || job.stage === "queued" || job.updated === null) return took;
    if (since > SILENT_MS) return `no news for ${rough(since)}`;
    const { etaMs } = job.data;
    return [this.speed(), etaMs > 0 ? left(etaMs - since) : took].filter(Boolean).join(" · ");
  }

  speed() {
    const { speed, loaded, total, etaMs } = this.job.data;
    if (typeof speed === "number") return `${speed.toFixed(1)}×`;
    if (typeof speed === "string") return speed;
    return etaMs > 0 && total > loaded ? `${bytes(((total - loaded) * 1000) / etaMs)}/s` : null;
  }

  detail() {
    const { job } = this;
    const { message, contentType, digest, step, restarted, retry, reason } = job.data;
    if (this.failure !== null) return this.failure;
    if (this.isPaused) {
      return job.stage ? "Choose the file again, and it goes on from there" : "Choose the file again to send it";
    }
    if (job.state === "error") {
      if (reason === "cancelled") return "";
      return typeof message === "string" && message ? message : "The server doesn't say why";
    }
    const skipped = [...job.skipped].map(([stage, why]) => `${title(stage)} was skipped: ${why}`);
    const made = job.made !== (job.size ?? job.made) && bytes(job.made);
    const short = `${digest ?? ""}`.replace(/([0-9a-f]{8})[0-9a-f]+$/, "$1…");
    return [
      ...(job.state === "done" ? [contentType, made, short] : [this.uncancelled, typeof step === "string" && step]),
      restarted && "Begun anew since the server restarted",
      retry && `Tried again: ${reason}`,
      ...skipped,
      this.on && `on ${this.on}`,
    ].filter(Boolean).join(" · ");
  }
}

/** The same, whatever the client has made of it. */
function plain(data) {
  return JSON.stringify({ ...data, etaMs: 0 });
}

/** What the server says to programs, as it is said to people. */
function plainly(message) {
  if (!/name in Host/.test(message)) return message;
  return `This server doesn't go by the name ${location.host}. Whoever runs it can have it do so: --host ${location.hostname}`;
}

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
