// Two rules keep events from being lost or repeated, whatever drops and in which order:
// - Each tracker knows the id of the last event that it saw, and takes none up to it.
// - It takes events only from a session, a set of streams of the tab that leads, that
//   began no later than that; else it says where it stands, and a new session begins there.

/** What a `progress` event says: `jobId`, and what was published. */
export interface ProgressPayload {
  jobId: string;
  /** A pipeline's own stages come by their own names. */
  stage: "uploading" | "queued" | "scanning" | "transcoding" | "storing" | (string & {});
  /** 0 to 100, of the stage. Absent where nobody knows, as while it is `queued`. */
  percent?: number;
  /** 0 to 100, of all that becomes of an upload. */
  overall?: number;
  /** While it is `queued`: the stage that it waits for, and its place in line. 1 is the next. */
  for?: string;
  position?: number;
  /** While it is `uploading`: what `uploadAndTrack` has sent, in bytes, and of how many. */
  loaded?: number;
  total?: number;
  /** While it is `uploading`: what the server has of the file, in bytes, and the file. */
  bytes?: number;
  size?: number;
  name?: string;
  /** The stage wasn't needed, or is tried again for the so-manieth time, and why. */
  skipped?: boolean;
  retry?: number;
  reason?: string;
  /** The stage begins anew, since the server was restarted. */
  restarted?: boolean;
  /** What the stage's command calls what it is at. */
  step?: string;
  /** Which try of the whole job this is: from 1 on. */
  attempt?: number;
  [detail: string]: unknown;
}

/** What a `done` event says: of an upload, what it has come to. */
export interface DonePayload {
  jobId: string;
  name?: string;
  size?: number;
  /** `sha256:` and 64 hex digits. */
  digest?: string;
  contentType?: string;
  /** Whether the result was stored. */
  stored?: boolean;
  /** In milliseconds: `queuedMs`, `scanningMs` and so on. */
  durations?: Record<string, number>;
  attempt?: number;
  [detail: string]: unknown;
}

/** What an `error` event says. */
export interface ErrorPayload {
  jobId: string;
  message?: string;
  /** The stage that failed. */
  stage?: string;
  /** Whether another try may succeed. */
  retryable?: boolean;
  /** What kind of failure it is, where there is a word for it, as `stalled`. */
  reason?: string;
  attempt?: number;
  [detail: string]: unknown;
}

/** What a `reset` event says: events are missing, and the job's snapshot tells where it stands. */
export interface ResetPayload {
  jobId: string;
  /** They are no longer kept, or the server has lost what it knew. */
  reason: "expired" | "unknown";
  lastEventId: string;
}

/** A reconnecting stream catches up by itself. Uploads begin with `uploading`. */
export type TrackState = "uploading" | "connecting" | "open" | "reconnecting" | "closed";

/** What is called as a job goes on: in the end one of `onDone`, `onFailure` and `onDeleted`. */
export interface ProgressHandlers {
  onProgress: (p: ProgressPayload) => void;
  /** Called once, and nothing after it. */
  onDone: (jobId: string, data: DonePayload) => void;
  /**
   * Called once, and nothing after it: the job failed, or can't be followed any more, and then
   * there is no `data`.
   */
  onFailure: (message: string, jobId: string, data?: ErrorPayload) => void;
  /**
   * Called once, and nothing after it: somebody has deleted the job, or begun it anew. Without
   * it that is a failure: `onFailure` gets "the job was deleted".
   */
  onDeleted?: (jobId: string) => void;
  onReset?: (reset: ResetPayload) => void;
  onState?: (state: TrackState, jobId: string) => void;
}

/** How jobs are followed. */
export interface TrackOptions {
  /** Where the server is. Default: the page's own origin. */
  baseUrl?: string;
  /** Whether cookies go to another origin. Default: true. */
  withCredentials?: boolean;
  /** What a job begins with: all that is kept, the newest event, or the next. Default: all. */
  replay?: "all" | "latest" | "none";
  /**
   * Gives the token for each connection, of the jobs that it is for. A JWT is renewed at half
   * its life. Default: none is sent.
   */
  token?: (jobIds: string[]) => Promise<string>;
  /**
   * Whether all that is followed alike, in this tab and others, goes through one connection.
   * Default: true without `token`, since a token may be good for one job only.
   */
  share?: boolean;
  /** How often in a row a connection that was refused is tried again. Default: 8. */
  retries?: number;
  /**
   * The longest first wait before that, in milliseconds; it doubles up to 30 s, and each
   * wait is a random part of it. Default: 1000.
   */
  backoff?: number;
}

/** How a file is uploaded and followed. */
export interface UploadOptions extends TrackOptions {
  /** The job's name. Default: a random one. */
  jobId?: string;
  /** What sends the file. Default: `POST /api/uploads`. */
  uploader?: Uploader;
}

/** Sends a file, and gives the name of its job. */
export type Uploader = (
  file: File,
  upload: {
    jobId: string;
    signal: AbortSignal;
    onProgress: (loadedBytes: number, totalBytes: number) => void;
  },
) => Promise<string>;

/** What follows several jobs. */
export interface TrackedJobs {
  /** Follows one more; one that is followed already stays as it is. */
  add(jobId: string): void;
  /** Follows it no longer. */
  remove(jobId: string): void;
  /** Follows none any longer. */
  stop(): void;
}

/** Follows a job to its end. Returns what stops that. */
export function trackProcessing(
  jobId: string,
  handlers: ProgressHandlers,
  options: TrackOptions = {},
): () => void {
  return groupFor(options).track(jobId, handlers);
}

/** Follows several jobs through one connection. */
export function trackMany(
  jobIds: Iterable<string>,
  handlers: ProgressHandlers,
  options: TrackOptions = {},
): TrackedJobs {
  const group = groupFor(options);
  const stops = new Map<string, () => void>();
  const remove = (jobId: string) => {
    stops.get(jobId)?.();
    stops.delete(jobId);
  };
  const add = (jobId: string) => {
    if (!stops.has(jobId)) {
      stops.set(jobId, group.track(jobId, handlers, () => stops.delete(jobId)));
    }
  };
  for (const jobId of jobIds) add(jobId);
  return { add, remove, stop: () => [...stops.keys()].forEach(remove) };
}

/**
 * Uploads a file, then follows its job to the end. The bytes that were sent come as the
 * stage `uploading`, with `loaded` and `total`. Returns what stops either.
 */
export function uploadAndTrack(
  file: File,
  handlers: ProgressHandlers,
  options: UploadOptions = {},
): () => void {
  const abort = new AbortController();
  const { signal } = abort;
  let stop = () => abort.abort();
  const upload = async () => {
    let jobId = options.jobId ?? randomName();
    const guard = (f: () => void) => signal.aborted || guarded(f);
    try {
      guard(() => handlers.onState?.("uploading", jobId));
      jobId = await (options.uploader ?? sendFile(options))(file, {
        jobId,
        signal,
        onProgress: (loaded, total) => {
          const percent = total ? (100 * loaded) / total : 100;
          guard(() => handlers.onProgress({ jobId, stage: "uploading", percent, loaded, total }));
        },
      });
    } catch (error) {
      guard(() => handlers.onState?.("closed", jobId));
      guard(() => handlers.onFailure(error instanceof Error ? error.message : `${error}`, jobId));
      return;
    }
    // What the server says of the upload is over, and would jump back.
    if (!signal.aborted) stop = groupFor(options).track(jobId, handlers, undefined, "uploading");
  };
  queueMicrotask(upload);
  return () => stop();
}

interface Tracker {
  job: string;
  handlers: ProgressHandlers;
  /** The id of the last event that it saw; 0 before the first. */
  at: number;
  /** Whether it takes the session's events. */
  live: boolean;
  state?: TrackState;
  /** A stage that it passes over. */
  skip: string | undefined;
  onEnd: (() => void) | undefined;
}

type Message =
  /** The jobs of a tab, each with the id to begin after; LIVE where it takes the session's. */
  | { is: "want"; tab: string; jobs: [string, number][] }
  /** A tab has become the leader. */
  | { is: "who" }
  /** From now on, what comes of these jobs is all that is after these ids. */
  | { is: "session"; jobs: [string, number][] }
  | { is: "event"; name: string; job: string; id: number; data: any }
  | { is: "state"; jobs: string[]; state: TrackState }
  | { is: "failure"; jobs: string[]; message: string };

const ENDS = ["done", "error", "deleted"];
const LIVE = Infinity;
const NAME = /^[\w.~-]{1,128}$/;
const MAX_BACKOFF_MS = 30_000;
/** How long a leader collects what tabs want before it connects. */
const COLLECT_MS = 40;
/** What a request for a stream says of jobs: the server takes 6 KiB, with the token. */
const MAX_JOBS_CHARS = 5000;

const groups = new Map<string, Group>();

function groupFor(options: TrackOptions): Group {
  if (!(options.share ?? !options.token)) return new Group(options);
  const { withCredentials = true, replay = "all", token } = options;
  // Tabs understand each other if they have the same version of this file.
  const key = JSON.stringify([2, absolute(options, ""), withCredentials, replay, !!token]);
  let group = groups.get(key);
  if (!group) groups.set(key, (group = new Group(options, `landfall ${key}`)));
  group.options = options;
  return group;
}

/** All that is followed alike, in all tabs where it has a name. One tab leads it. */
class Group {
  private trackers = new Set<Tracker>();
  private tab = "";
  private isDue = false;
  /** Ends what runs as long as there are trackers. */
  private run: AbortController | undefined;
  private channel: BroadcastChannel | undefined;
  private isLeader = false;
  /** What the leader has: its streams, and what each tab wants. */
  private streams: Stream[] = [];
  private wants = new Map<string, Map<string, number>>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    public options: TrackOptions,
    private name?: string,
  ) {}

  track(job: string, handlers: ProgressHandlers, onEnd?: () => void, skip?: string): () => void {
    const tracker: Tracker = { job, handlers, at: 0, live: false, skip, onEnd };
    this.trackers.add(tracker);
    this.update();
    return () => {
      if (this.trackers.delete(tracker)) this.update();
    };
  }

  /** Tells everyone, this tab too. */
  tell(message: Message): void {
    this.channel?.postMessage(message);
    this.hear(message);
  }

  /** The streams need this job no longer, unless a tab has yet to see its events. */
  forget(job: string): void {
    for (const places of this.wants.values()) {
      if (places.get(job) === LIVE) places.delete(job);
    }
  }

  /** Says what this tab wants, soon: what is added in a loop is said at once. */
  private update(): void {
    if (this.isDue) return;
    this.isDue = true;
    setTimeout(() => {
      this.isDue = false;
      for (const tracker of this.trackers) {
        if (NAME.test(tracker.job)) continue;
        this.end(tracker, (h, job) => h.onFailure("this is no job's name", job));
      }
      this.setState("connecting", (tracker) => !tracker.state);
      if (!this.trackers.size) this.stop();
      else if (!this.run) this.start();
      else if (this.channel || this.isLeader) this.want();
    });
  }

  private start(): void {
    const run = (this.run = new AbortController());
    const { name } = this;
    const lead = () => {
      this.isLeader = true;
      this.tell({ is: "who" });
    };
    this.tab = randomName();
    if (!name || !navigator.locks || !self.BroadcastChannel) return lead();
    const hold = (lock: string, then: () => void) =>
      navigator.locks
        .request(lock, run, () => {
          then();
          return new Promise((release) => run.signal.addEventListener("abort", release));
        })
        // It was given up, or this page may not hold any.
        .catch(() => run.signal.aborted || this.isLeader || lead());
    // By the first lock the leader learns that this tab is gone.
    hold(name + this.tab, () => {
      this.channel = new BroadcastChannel(name);
      this.channel.onmessage = (event) => this.hear(event.data);
      hold(name, lead);
      this.want();
    });
  }

  private stop(): void {
    this.want();
    this.run?.abort();
    this.channel?.close();
    clearTimeout(this.timer);
    this.timer = this.run = this.channel = undefined;
    this.isLeader = false;
    this.wants.clear();
    this.closeStreams();
  }

  private closeStreams(): void {
    this.streams.forEach((stream) => stream.close());
    this.streams = [];
  }

  private want(): void {
    const jobs = new Map<string, number>();
    for (const { job, at, live } of this.trackers) {
      jobs.set(job, Math.min(live ? LIVE : at, jobs.get(job) ?? LIVE));
    }
    this.tell({ is: "want", tab: this.tab, jobs: [...jobs] });
  }

  private hear(message: Message): void {
    const { is } = message;
    if (is === "want") {
      if (this.isLeader) this.hearWant(message);
    } else if (is === "who") {
      for (const tracker of this.trackers) tracker.live = false;
      this.want();
    } else if (is === "session") {
      const jobs = new Map(message.jobs);
      for (const tracker of this.trackers) {
        // What took the last session has seen all up to where this one begins.
        const from = jobs.get(tracker.job) ?? LIVE;
        tracker.live = from < LIVE && (tracker.live || from <= tracker.at);
        if (!tracker.live) this.update();
      }
    } else if (is === "event") {
      this.hearEvent(message.name, message.job, message.id, message.data);
    } else {
      const isMeant = ({ job, live }: Tracker) => live && message.jobs.includes(job);
      if (is === "state") return this.setState(message.state, isMeant);
      for (const tracker of this.trackers) {
        if (isMeant(tracker)) this.end(tracker, (h, job) => h.onFailure(message.message, job));
      }
    }
  }

  private hearEvent(name: string, job: string, id: number, data: any): void {
    for (const tracker of this.trackers) {
      if (tracker.job !== job || !tracker.live) continue;
      if (name === "reset") {
        // The ids of another life of the server say nothing of this one's.
        if (data.reason === "unknown") tracker.at = 0;
        guarded(() => tracker.handlers.onReset?.(data));
      } else if (id > tracker.at) {
        tracker.at = id;
        if (name === "done") this.end(tracker, (h) => h.onDone(job, data));
        else if (name === "error") {
          this.end(tracker, (h) => h.onFailure(`${data.message ?? "the job failed"}`, job, data));
        } else if (name === "deleted") {
          this.end(tracker, (h) =>
            h.onDeleted ? h.onDeleted(job) : h.onFailure("the job was deleted", job),
          );
        } else if (!tracker.skip || data.stage !== tracker.skip) {
          guarded(() => tracker.handlers.onProgress(data));
        }
      }
    }
  }

  private setState(state: TrackState, isMeant: (tracker: Tracker) => boolean): void {
    for (const tracker of this.trackers) {
      if (isMeant(tracker) && tracker.state !== state) {
        tracker.state = state;
        guarded(() => tracker.handlers.onState?.(state, tracker.job));
      }
    }
  }

  private end(tracker: Tracker, last: (handlers: ProgressHandlers, job: string) => void): void {
    this.setState("closed", (other) => other === tracker);
    // Whoever has stopped it there wants no more.
    if (!this.trackers.delete(tracker)) return;
    tracker.onEnd?.();
    guarded(() => last(tracker.handlers, tracker.job));
    this.update();
  }

  private hearWant({ tab, jobs }: Message & { is: "want" }): void {
    if (tab !== this.tab && !this.wants.has(tab)) {
      const isGone = () => {
        this.wants.delete(tab);
        this.plan();
      };
      navigator.locks.request(this.name + tab, this.run!, isGone).catch(() => {});
    }
    const places = new Map<string, number>();
    for (const [job, place] of jobs) {
      // A tab that took the session of another leader is going to say more.
      if (place !== LIVE || this.streamOf(job)) places.set(job, place);
    }
    this.wants.set(tab, places);
    this.plan();
  }

  /** Tries a stream's jobs in two halves. */
  split(stream: Stream): void {
    const halves = [new Stream(this), new Stream(this)];
    let n = 0;
    for (const [job, from] of stream.from) halves[n++ % 2]!.from.set(job, from);
    this.streams.splice(this.streams.indexOf(stream), 1, ...halves);
    halves.forEach((half) => half.open());
  }

  private streamOf(job: string): Stream | undefined {
    return this.streams.find((stream) => stream.from.has(job));
  }

  private plan(): void {
    this.timer ??= setTimeout(
      () => {
        this.timer = undefined;
        this.renew();
      },
      this.channel ? COLLECT_MS : 0,
    );
  }

  /** Begins a session, where this one hasn't what is wanted, or has what isn't. */
  private renew(): void {
    const jobs = new Map<string, number>();
    let isNew = false;
    for (const places of this.wants.values()) {
      for (const [job, place] of places) {
        isNew ||= place !== LIVE;
        const now = this.streamOf(job)?.now(job) ?? LIVE;
        jobs.set(job, Math.min(place, now, jobs.get(job) ?? LIVE));
        places.set(job, LIVE);
      }
    }
    const isWanted = ({ from }: Stream) => [...from.keys()].every((job) => jobs.has(job));
    if (!isNew && this.streams.every(isWanted)) return;
    this.closeStreams();
    let chars = LIVE;
    for (const [job, from] of jobs) {
      chars += job.length + 25;
      if (chars > MAX_JOBS_CHARS) {
        chars = 0;
        this.streams.push(new Stream(this));
      }
      this.streams.at(-1)!.from.set(job, from);
    }
    this.tell({ is: "session", jobs: [...jobs] });
    for (const stream of this.streams) stream.open();
  }
}

/** A connection of the leader. */
class Stream {
  /** The jobs, each with the id after which it began. */
  from = new Map<string, number>();
  /** The last id that came; what the server sent before is all there was up to it. */
  last = 0;
  attempts = 0;
  isClosed = false;
  source: EventSource | undefined;
  /** For its next connection. */
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private group: Group) {}

  /** Up to which id a job's events have come. */
  now(job: string): number {
    return Math.max(this.from.get(job) ?? 0, this.last);
  }

  close(): void {
    this.isClosed = true;
    this.source?.close();
    clearTimeout(this.timer);
  }

  async open(): Promise<void> {
    const { options } = this.group;
    const { withCredentials = true } = options;
    let token: string | undefined;
    try {
      token = await options.token?.([...this.from.keys()]);
    } catch (error) {
      return this.retry(`${error}`);
    }
    if (this.isClosed) return;
    this.source?.close();
    const url = this.url(token);
    const source = (this.source = new EventSource(url, { withCredentials }));
    // A token that ends takes its stream with it.
    this.openAfter(Math.max(1000, lifeMs(token) / 2));
    source.onopen = () => {
      this.attempts = 0;
      this.tell("open");
    };
    for (const name of ["progress", "reset", ...ENDS]) {
      source.addEventListener(name, (event) => {
        // A failure of the connection comes to the same listeners as an event named error.
        const { data, lastEventId } = event as MessageEvent;
        if (data !== undefined) this.receive(name, JSON.parse(data), +lastEventId);
        else if (source.readyState === EventSource.CLOSED) this.refused(url, token);
        else this.tell("reconnecting");
      });
    }
  }

  url(token?: string): string {
    const { options } = this.group;
    const query = new URLSearchParams(token && { token });
    const places = new Set([...this.from.keys()].map((job) => this.now(job)));
    for (const job of this.from.keys()) {
      const now = this.now(job);
      this.from.set(job, now);
      query.append("job", now && places.size > 1 ? `${job}:${now}` : job);
    }
    const [place] = places;
    if (place && places.size === 1) query.set("lastEventId", `${place}`);
    if (options.replay) query.set("replay", options.replay);
    this.last = 0;
    return absolute(options, `api/events?${query}`);
  }

  receive(name: string, data: any, id: number): void {
    const job = data.jobId;
    if (name === "reset" && data.reason === "unknown") this.from.set(job, 0);
    this.last = id;
    if (ENDS.includes(name)) {
      this.group.forget(job);
      this.from.delete(job);
      if (!this.from.size) this.close();
    }
    this.group.tell({ is: "event", name, job, id, data });
  }

  /** EventSource doesn't say why. */
  async refused(url: string, token?: string): Promise<void> {
    const { options } = this.group;
    const abort = new AbortController();
    const { signal } = abort;
    const credentials = options.withCredentials ?? true ? "include" : "omit";
    const ask = (url: string) => fetch(url, { signal, credentials, cache: "no-store" });
    let why = "no answer";
    this.openAfter(Infinity);
    try {
      const { status } = await ask(url);
      if (this.isClosed) return;
      why = `HTTP ${status}`;
      // One job that may not be followed must not take the others with it, and a token may
      // be as long as the names of its jobs.
      if ([403, 414].includes(status) && this.from.size > 1) return this.group.split(this);
      // They have ended before anything that was asked for.
      if (status === 204) {
        for (const job of this.from.keys()) {
          const path = `api/jobs/${job}?${new URLSearchParams(token && { token })}`;
          const answer = await ask(absolute(options, path));
          const { state, lastEvent } = await answer.json();
          if (answer.status === 404 || answer.status === 410) {
            this.receive("deleted", { jobId: job }, LIVE);
          } else if (state !== "running") this.receive(lastEvent.event, lastEvent.data, LIVE);
        }
        this.last = 0;
      }
    } catch {
    } finally {
      abort.abort();
    }
    this.retry(why);
  }

  retry(why: string): void {
    const { retries = 8, backoff = 1000 } = this.group.options;
    if (this.isClosed) return;
    if (this.attempts >= retries) {
      const jobs = [...this.from.keys()];
      this.close();
      this.from.clear();
      jobs.forEach((job) => this.group.forget(job));
      const message = `the connection was refused: ${why}`;
      return this.group.tell({ is: "failure", jobs, message });
    }
    this.tell("reconnecting");
    const longest = Math.min(MAX_BACKOFF_MS, backoff * 2 ** this.attempts++);
    this.openAfter(Math.random() * longest);
  }

  openAfter(ms: number): void {
    clearTimeout(this.timer);
    // What is longer than a timer can wait isn't waited for.
    if (ms < 2 ** 31) this.timer = setTimeout(() => this.open(), ms);
  }

  tell(state: TrackState): void {
    this.group.tell({ is: "state", jobs: [...this.from.keys()], state });
  }
}

function absolute({ baseUrl = "" }: TrackOptions, path: string): string {
  return new URL(path, new URL(baseUrl.replace(/\/?$/, "/"), location.href)).href;
}

/** For how long a token is good from when it was made; for ever where it doesn't say. */
function lifeMs(token = ""): number {
  try {
    const claims = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { exp, iat } = JSON.parse(atob(claims));
    return (exp - (iat ?? Date.now() / 1000)) * 1000;
  } catch {
    return Infinity;
  }
}

function sendFile(options: TrackOptions): Uploader {
  return async (file, { jobId, signal, onProgress }) => {
    const token = await options.token?.([jobId]);
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ name: file.name, job: jobId });
    request.open("POST", absolute(options, `api/uploads?${query}`));
    request.withCredentials = options.withCredentials ?? true;
    request.responseType = "json";
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    signal.onabort = () => request.abort();
    return new Promise((resolve, reject) => {
      request.onloadend = () => {
        const { status, response } = request;
        if (status === 201) resolve(response?.jobId ?? jobId);
        else reject(new Error(response?.error ?? (status ? `HTTP ${status}` : "the upload broke off")));
      };
      request.send(file);
    });
  };
}

/** A handler that throws must not keep others from being called. */
function guarded(f: () => void): void {
  try {
    f();
  } catch (error) {
    reportError(error);
  }
}

/** Also where the page came by plain HTTP, where there is no randomUUID. */
function randomName(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
