// A connection of the tab that leads: a stream, or what does instead where none can be had.
import type { TrackOptions, TrackState } from "../landfall.d.ts";
import { absolute, backoffMs, credentials, wordsOf } from "./tools";

/** A stream begins with a `retry:` at once. One that doesn't is held back by something. */
const FIRST_BYTE_MS = 10_000;
/** The waits that a server may ask for. */
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 3_600_000;
/** No event is larger, in characters: whatever that is, it is no event stream. */
const MAX_FRAME_CHARS = 2 ** 24;
/** So many failures in a row, and snapshots are asked for while there is no stream. */
const POLL_AFTER = 2;
const POLL_MS = 3000;
/** A round of them that isn't over then has failed. */
const POLL_LATE_MS = 10_000;
const NO_EVENT = "what came is no event of Landfall's";

const ENDS = ["done", "error", "deleted"];
export const LIVE = Infinity;

/** What comes of a session. */
export type News = { session?: string } & (
  | { is: "event"; name: string; job: string; id: number; data: any }
  | { is: "state"; jobs: string[]; state: TrackState; why: string | undefined }
  | { is: "failure"; jobs: string[]; message: string }
);

/** Whom a connection belongs to. */
export interface Owner {
  options: TrackOptions;
  tell(news: News): void;
  /** The connections need this job no longer. */
  forget(job: string): void;
  /** Not all of its jobs may be followed: each gets a connection of its own. */
  split(connection: Connection): void;
}

export class Connection {
  /** The jobs, each with the id after which it began. */
  from = new Map<string, number>();
  /** The last id that came; what the server sent before is all there was up to it. */
  #last = 0;
  /** How often in a row there was no stream. */
  #attempts = 0;
  /** How often in a row there was one that said nothing, or nothing that makes sense. */
  #mute = 0;
  #wasOpen = false;
  #isClosed = false;
  #token: string | undefined;
  /** Ends the stream there is. */
  #abort: AbortController | undefined;
  /** For the next one. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** For one that is silent. */
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** What the server asks to wait after a drop. */
  #retryMs = 5000;
  /** Ends the polling there is. */
  #polling: AbortController | undefined;
  /** Whether it succeeds, once that is known. */
  #isPolled: boolean | undefined;

  constructor(private group: Owner) {}

  get #options(): TrackOptions {
    return this.group.options;
  }

  /** Up to which id a job's events have come. */
  now(job: string): number {
    return Math.max(this.from.get(job) ?? 0, this.#last);
  }

  close(): void {
    this.#isClosed = true;
    this.#abort?.abort();
    this.#endPolling();
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
  }

  async open(): Promise<void> {
    let token: string | undefined;
    try {
      token = await this.#options.token?.([...this.from.keys()]);
    } catch (error) {
      this.#token = undefined;
      return this.#retry(wordsOf(error));
    }
    if (this.#isClosed) return;
    this.#token = token;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    // A token that ends takes its stream with it.
    this.#openAfter(Math.max(1000, lifeMs(token) / 2));
    const silenceMs = 2 * (this.#options.heartbeat ?? 15_000);
    const isCurrent = () => abort === this.#abort && !this.#isClosed;
    let wasOpened = false;
    const hear = () => {
      this.#listen(abort, silenceMs);
      if (wasOpened) this.#mute = 0;
      else this.#opened();
      wasOpened = true;
    };
    let why = "the connection was lost";
    try {
      this.#listen(abort, Math.min(FIRST_BYTE_MS, silenceMs));
      const answer = await this.#ask(this.#path(), abort.signal, "text/event-stream");
      if (!isCurrent()) return;
      const refusal = refusalOf(answer);
      if (refusal) return this.#refused(answer.status, refusal);
      await this.#read(answer.body!, hear, isCurrent);
    } catch (error) {
      if (!isCurrent()) return;
      if (error === NO_EVENT) why = NO_EVENT;
      else if (abort.signal.aborted) why = abort.signal.reason;
      else if (!wasOpened) why = "no answer";
      if (wasOpened && (error === NO_EVENT || abort.signal.aborted)) this.#mute++;
    }
    if (!isCurrent()) return;
    abort.abort();
    clearTimeout(this.#silence);
    if (!wasOpened || this.#mute) return this.#retry(why, why === "no answer");
    this.#tell("reconnecting", why);
    this.#openAfter(this.#retryMs);
  }

  /** Takes a stream for dead that is silent for so long. */
  #listen(abort: AbortController, ms: number): void {
    clearTimeout(this.#silence);
    const reason = `nothing was heard for ${ms / 1000} s`;
    this.#silence = setTimeout(() => abort.abort(reason), ms);
  }

  #opened(): void {
    this.#attempts = this.#mute;
    this.#wasOpen = true;
    this.#endPolling();
    this.#tell("open");
  }

  /** Reads a stream to its end. Throws NO_EVENT where it is none. */
  async #read(
    body: ReadableStream<Uint8Array>,
    hear: () => void,
    isCurrent: () => boolean,
  ): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let frame: { event?: string; data?: string; id?: string } = {};
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !isCurrent()) return;
      hear();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
      rest = lines.pop()!;
      if (rest.length > MAX_FRAME_CHARS) throw NO_EVENT;
      for (const line of lines) {
        if (!line) {
          if (frame.data !== undefined) this.#take(frame);
          if (!isCurrent()) return;
          frame = {};
          continue;
        }
        const [, field, text] = /^(event|data|id|retry|): ?(.*)/.exec(line) ?? [];
        if (field === undefined) throw NO_EVENT;
        if (field === "retry") {
          this.#retryMs = Math.min(Math.max(+text! || 0, MIN_RETRY_MS), MAX_RETRY_MS);
        } else if (field) frame[field as "id"] = text!;
      }
    }
  }

  #take({ event = "message", data, id }: { event?: string; data?: string; id?: string }): void {
    let parsed;
    try {
      parsed = JSON.parse(data!);
    } catch {}
    if (typeof parsed?.jobId !== "string" || !/^\d+$/.test(id ?? "")) throw NO_EVENT;
    this.#mute = 0;
    this.#receive(event, parsed, +id!);
  }

  #path(): string {
    const { replay, maxRate } = this.#options;
    const query = this.#query();
    const places = new Set([...this.from.keys()].map((job) => this.now(job)));
    for (const job of this.from.keys()) {
      const now = this.now(job);
      this.from.set(job, now);
      query.append("job", now && places.size > 1 ? `${job}:${now}` : job);
    }
    const [place] = places;
    if (place && places.size === 1) query.set("lastEventId", `${place}`);
    if (replay) query.set("replay", replay);
    if (maxRate) query.set("maxRate", `${maxRate}`);
    this.#last = 0;
    return `api/events?${query}`;
  }

  #query(): URLSearchParams {
    const token = this.#token;
    return new URLSearchParams(token && { token });
  }

  #ask(path: string, signal?: AbortSignal, accept = "*/*"): Promise<Response> {
    return fetch(absolute(this.#options, path), {
      signal: signal ?? null,
      credentials: credentials(this.#options),
      cache: "no-store",
      headers: { Accept: accept },
    });
  }

  #receive(name: string, data: any, id: number): void {
    const job = data.jobId;
    if (name === "reset" && data.reason === "unknown") this.from.set(job, 0);
    if (id < LIVE) this.#last = id;
    if (ENDS.includes(name)) {
      this.group.forget(job);
      this.from.delete(job);
      if (!this.from.size) this.close();
    }
    this.group.tell({ is: "event", name, job, id, data });
  }

  async #refused(status: number, why: string): Promise<void> {
    this.#abort?.abort();
    clearTimeout(this.#silence);
    this.#openAfter(Infinity);
    // One job that may not be followed must not take the others with it, and a token may
    // be as long as the names of its jobs.
    if ([403, 414].includes(status) && this.from.size > 1) return this.group.split(this);
    // They have ended before anything that was asked for.
    if (status === 204) {
      await this.#lookAtAll().catch(() => {});
      this.#last = 0;
    }
    this.#retry(why);
  }

  #retry(why: string, isAway = false): void {
    const { retries = 8 } = this.#options;
    if (this.#isClosed) return;
    this.#attempts = Math.max(this.#attempts + 1, this.#mute);
    // What was there once comes back: a server may be away for long.
    const mayBePolled = this.#isPolled ?? !!this.#polling;
    const isOver = this.#attempts > retries && !mayBePolled && !(isAway && this.#wasOpen);
    if (isOver) {
      const jobs = [...this.from.keys()];
      this.close();
      this.from.clear();
      jobs.forEach((job) => this.group.forget(job));
      const message = `the connection was refused: ${why}`;
      return this.group.tell({ is: "failure", jobs, message });
    }
    if (!this.#isPolled) this.#tell("reconnecting", why);
    if (this.#attempts >= POLL_AFTER) this.#poll(why);
    this.#openAfter(backoffMs(this.#options, this.#attempts));
  }

  /** Asks where the jobs are, again and again until there is a stream. */
  async #poll(why: string): Promise<void> {
    if (this.#polling) return;
    for (let round; round === this.#polling; ) {
      const current = (round = this.#polling = new AbortController());
      const late = setTimeout(() => current.abort(), POLL_LATE_MS);
      try {
        await this.#lookAtAll(current.signal);
        this.#isPolled = true;
      } catch {
        this.#isPolled = false;
      }
      clearTimeout(late);
      if (this.#polling !== current) return;
      this.#tell(this.#isPolled ? "polling" : "reconnecting", why);
      // Many pages don't ask all at once.
      await new Promise((resolve) => setTimeout(resolve, POLL_MS * (0.7 + Math.random() * 0.6)));
    }
  }

  #endPolling(): void {
    this.#polling?.abort();
    this.#polling = this.#isPolled = undefined;
  }

  /** Takes what has become of each job. Throws where that can't be had. */
  async #lookAtAll(signal?: AbortSignal): Promise<void> {
    if (this.#options.token && !this.#token) throw "no token";
    for (const job of [...this.from.keys()]) {
      const answer = await this.#ask(`api/jobs/${job}?${this.#query()}`, signal);
      const { status } = answer;
      const { jobId, state, lastEvent, lastEventId } = await answer.json();
      signal?.throwIfAborted();
      if (this.#isClosed) return;
      if (status === 410) this.#receive("deleted", { jobId: job }, LIVE);
      // What doesn't exist yet may begin.
      if (status === 404 || status === 410) continue;
      if (status !== 200 || jobId !== job) throw status;
      const isOver = ENDS.includes(state);
      const before = this.now(job);
      if (!isOver && +lastEventId <= before) continue;
      this.from.set(job, +lastEventId);
      const isAsked = isOver || before > 0 || this.#options.replay !== "none";
      const last = this.#last;
      if (isAsked && lastEvent) this.#receive(lastEvent.event, lastEvent.data, isOver ? LIVE : +lastEventId);
      // It says nothing of the other jobs.
      this.#last = last;
    }
  }

  #openAfter(ms: number): void {
    clearTimeout(this.#timer);
    // What is longer than a timer can wait isn't waited for.
    if (ms < 2 ** 31) this.#timer = setTimeout(() => this.open(), ms);
  }

  #tell(state: "open" | "reconnecting" | "polling", why?: string): void {
    this.group.tell({ is: "state", jobs: [...this.from.keys()], state, why });
  }
}

/** Why an answer is no stream; undefined where it is one. */
function refusalOf({ status, headers, body }: Response): string | undefined {
  if (status !== 200) return `HTTP ${status}`;
  const type = headers.get("Content-Type");
  if (!/^text\/event-stream\b/i.test(type ?? "")) return `the answer is ${type ?? "without a type"}, no event stream`;
  return body ? undefined : "this browser reads no streams";
}

/** For how long a token is good from when it was made; for ever where it doesn't say. */
function lifeMs(token = ""): number {
  try {
    const claims = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { exp, iat } = JSON.parse(atob(claims));
    const ms = (exp - (iat ?? Date.now() / 1000)) * 1000;
    // A clock that is wrong has it end before it began: the server tells when it does.
    return ms > 0 ? ms : Infinity;
  } catch {
    return Infinity;
  }
}
