// A job as the events of its stream tell of it.

/** What an upload goes through, before it is known which stages this server has. */
const UPLOAD_STAGES = ["uploading", "scanning", "transcoding", "storing"];
const ENDS = ["done", "error", "deleted"];

const isName = (stage) => typeof stage === "string" && stage !== "";

export class Job {
  name = null;
  size = null;
  made = null;
  /** "waiting" until the first event; then "running", "done", "error" or "deleted". */
  state = "waiting";
  stage = null;
  /** Of the current stage; null where it isn't known. */
  percent = null;
  position = null;
  /** What the last event said. */
  data = {};
  /** The stages that there are, in order: their names and percents. */
  stages = new Map();
  /** When it began, was heard of last, and ended, in ms. */
  began = null;
  updated = null;
  ended = null;
  /** The stages that weren't needed, and why. */
  skipped = new Map();
  #newest = 0n;
  #attempt = null;

  constructor(id) {
    this.id = id;
  }

  get isOver() {
    return ENDS.includes(this.state);
  }

  /** The stages of an upload are known before they come. */
  expectUpload() {
    for (const stage of UPLOAD_STAGES) if (!this.stages.has(stage)) this.stages.set(stage, 0);
  }

  /**
   * Takes an event. Returns whether it is news: one that came before is not. Ids only
   * grow; without one, as from a snapshot, an event tells no more than is known.
   */
  apply(event, said, id, now) {
    // What is no text, figure or flag isn't shown.
    const isPlain = ([, value]) => typeof value !== "object";
    const data = Object.fromEntries(Object.entries(said ?? {}).filter(isPlain));
    const number = /^\d+$/.test(id ?? "") ? BigInt(id) : null;
    if (number !== null) {
      if (number <= this.#newest) return false;
      this.#newest = number;
    }
    // What follows an end is another attempt, whether it says so or not.
    const { attempt = this.#attempt } = data;
    if (event === "progress" && (this.isOver || attempt > (this.#attempt ?? attempt))) this.#begin();
    // What has ended may yet be deleted.
    if (this.state === "deleted" || (this.isOver && event !== "deleted")) return false;
    this.#attempt = attempt;
    this.data = data;
    this.updated = now;
    this.began ??= now;
    if (typeof data.name === "string" && data.name) this.name = data.name;
    // What an upload has come to may be smaller than it was.
    if (data.size >= 0) this[event === "done" ? "made" : "size"] = Number(data.size);
    // A server's own stages are counted in tries; so its uploads are known.
    const stage = data.stage === "queued" ? data.for : data.stage;
    const took = typeof said?.durations === "object" ? said.durations : null;
    if (took || (data.attempt && UPLOAD_STAGES.includes(stage))) this.expectUpload();
    if (ENDS.includes(event)) this.#end(event, data, now, took ?? {});
    else if (event === "progress") this.#progress(data);
    else this.state = "running";
    return true;
  }

  #begin() {
    this.state = "running";
    this.began = this.ended = this.stage = this.percent = null;
    this.skipped.clear();
    for (const stage of this.stages.keys()) this.stages.set(stage, stage === "uploading" ? 100 : 0);
  }

  #progress(data) {
    this.state = "running";
    const stage = isName(data.stage) ? data.stage : (this.stage ?? "working");
    const percent = Number.isFinite(data.percent) ? Math.min(Math.max(data.percent, 0), 100) : null;
    this.position = stage === "queued" && data.position > 0 ? Number(data.position) : null;
    if (stage === "queued") {
      // What runs, or was sent, is over then, and so is all before what it waits for.
      const last = this.stage ?? "uploading";
      if (this.stages.has(last)) this.stages.set(last, 100);
      if (this.stages.has(data.for)) this.#fillTo(data.for);
      this.stage = stage;
      this.percent = null;
      return;
    }
    if (stage === "uploading") this.expectUpload();
    const before = [...this.stages.keys()];
    const at = before.indexOf(stage);
    if (at < 0) this.#insert(stage, before);
    // A stage that had ended and comes again is begun anew, as after a restart.
    const isNew = stage !== this.stage;
    for (const known of before.slice(at < 0 ? before.length : at + 1)) this.stages.set(known, 0);
    this.#fillTo(stage);
    const least = isNew || data.restarted || data.retry ? 0 : this.stages.get(stage);
    this.percent = percent === null && isNew ? null : Math.max(percent ?? least, least);
    this.stages.set(stage, this.percent ?? 0);
    this.stage = stage;
    if (data.skipped) this.skipped.set(stage, data.reason);
  }

  /** What stands before a stage has been gone through. */
  #fillTo(stage) {
    for (const known of this.stages.keys()) {
      if (known === stage) break;
      this.stages.set(known, 100);
    }
  }

  /** Puts a stage that nobody expected behind the one that runs. */
  #insert(stage, before) {
    const at = this.stage === null ? -1 : before.indexOf(this.stage);
    const percents = [...this.stages];
    percents.splice(at < 0 ? percents.length : at + 1, 0, [stage, 0]);
    this.stages = new Map(percents);
  }

  #end(event, data, now, took) {
    this.state = event;
    this.ended = now;
    this.position = null;
    if (event === "deleted") return;
    if (event === "error") {
      if (isName(data.stage)) {
        if (!this.stages.has(data.stage)) this.#insert(data.stage, [...this.stages.keys()]);
        this.stage = data.stage;
      }
      if (this.stage !== null && this.stages.size === 0) this.stages.set(this.stage, 0);
      if (this.stages.has(this.stage)) this.#fillTo(this.stage);
      return;
    }
    // What was expected and never came wasn't needed.
    for (const [stage, percent] of this.stages) {
      const came = percent > 0 || `${stage}Ms` in took || ("queuedMs" in took && stage === "uploading");
      if (came || this.stages.size === 1) this.stages.set(stage, 100);
      else this.stages.delete(stage);
    }
    this.percent = 100;
  }
}
