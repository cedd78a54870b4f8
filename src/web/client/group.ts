// All that is followed alike, in all tabs that share it.
//
// Three rules keep events from being lost or repeated, whatever drops and in which order:
// - Each tracker knows the id of the last event that it saw, and takes none up to it.
// - It takes events only from a session, a set of connections of the tab that leads, that
//   began no later than that; else it says where it stands, and a new session begins there.
// - What tabs say may overtake each other. So what comes of a session names it, and one of a
//   tab that leads no longer has the one that does begin anew.
import type { ProgressHandlers, TrackOptions, TrackState } from "../landfall.d.ts";
import { Connection, LIVE, type News, type Owner } from "./connection";
import { Pace } from "./pace";
import { absolute, guarded, randomName, tellState } from "./tools";

interface Tracker {
  job: string;
  handlers: ProgressHandlers;
  /** The id of the last event that it saw; 0 before the first. */
  at: number;
  /** Whether it takes the session's events. */
  live: boolean;
  state?: TrackState;
  pace: Pace;
  /** A stage that it passes over. */
  skip: string | undefined;
  onEnd: (() => void) | undefined;
}

type Message =
  /** The jobs of a tab, each with the id to begin after; LIVE where it takes the session's. */
  | { is: "want"; tab: string; jobs: [string, number][] }
  /** A tab has become the leader. */
  | { is: "who" }
  /** From now on, what comes of these jobs is all that is after these ids. `last` was before. */
  | { is: "session"; jobs: [string, number][]; next: string; last: string }
  | News;

const NAME = /^[\w.~-]{1,128}$/;
/** How long a leader collects what tabs want before it connects. */
const COLLECT_MS = 40;
/** What a request for a stream says of jobs: the server takes 6 KiB, with the token. */
const MAX_JOBS_CHARS = 5000;

const groups = new Map<string, Group>();

export function groupFor(options: TrackOptions): Group {
  if (!(options.share ?? !options.token)) return new Group(options);
  const { withCredentials = true, replay = "all", maxRate, token } = options;
  // Tabs understand each other if they have the same version of this file.
  const key = JSON.stringify([4, absolute(options, ""), withCredentials, replay, maxRate, !!token]);
  let group = groups.get(key);
  if (!group) groups.set(key, (group = new Group(options, `landfall ${key}`)));
  group.options = options;
  return group;
}

/** All that is followed alike, in all tabs where it has a name. One tab leads it. */
export class Group implements Owner {
  #trackers = new Set<Tracker>();
  #tab = "";
  #isDue = false;
  /** Ends what runs as long as there are trackers. */
  #run: AbortController | undefined;
  #channel: BroadcastChannel | undefined;
  #isLeader = false;
  /** The name of the session that was heard of last. */
  #session = "";
  /** What the leader has: its connections, and what each tab wants. */
  #streams: Connection[] = [];
  #wants = new Map<string, Map<string, number>>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    public options: TrackOptions,
    private name?: string,
  ) {}

  track(job: string, handlers: ProgressHandlers, onEnd?: () => void, skip?: string): () => void {
    const tracker: Tracker = { job, handlers, at: 0, live: false, pace: new Pace(), skip, onEnd };
    this.#trackers.add(tracker);
    this.#update();
    return () => {
      if (this.#trackers.delete(tracker)) this.#update();
    };
  }

  /** Tells everyone what comes of the session. */
  tell(news: News): void {
    this.#tell({ ...news, session: this.#session });
  }

  /** Tells everyone, this tab too. */
  #tell(message: Message): void {
    this.#channel?.postMessage(message);
    this.#hear(message);
  }

  /** The streams need this job no longer, unless a tab has yet to see its events. */
  forget(job: string): void {
    for (const places of this.#wants.values()) {
      if (places.get(job) === LIVE) places.delete(job);
    }
  }

  /** Says what this tab wants, soon: what is added in a loop is said at once. */
  #update(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      for (const tracker of this.#trackers) {
        if (NAME.test(tracker.job)) continue;
        this.#end(tracker, (h, job) => h.onFailure("this is no job's name", job));
      }
      this.#setState("connecting", (tracker) => !tracker.state);
      if (!this.#trackers.size) this.#stop();
      else if (!this.#run) this.#start();
      else if (this.#channel || this.#isLeader) this.#want();
    });
  }

  #start(): void {
    const run = (this.#run = new AbortController());
    const { name } = this;
    const lead = () => {
      this.#isLeader = true;
      this.#tell({ is: "who" });
    };
    this.#tab = randomName();
    if (!name || !navigator.locks || !self.BroadcastChannel) return lead();
    const hold = (lock: string, then: () => void) =>
      navigator.locks
        .request(lock, run, () => {
          then();
          return new Promise((release) => run.signal.addEventListener("abort", release));
        })
        // It was given up, or this page may not hold any.
        .catch(() => run.signal.aborted || this.#isLeader || lead());
    // By the first lock the leader learns that this tab is gone.
    hold(name + this.#tab, () => {
      this.#channel = new BroadcastChannel(name);
      this.#channel.onmessage = ({ data }) => {
        if (this.#isLeader && data.is === "session") lead();
        else this.#hear(data);
      };
      hold(name, lead);
      this.#want();
    });
  }

  #stop(): void {
    this.#want();
    this.#run?.abort();
    this.#channel?.close();
    clearTimeout(this.#timer);
    this.#timer = this.#run = this.#channel = undefined;
    this.#isLeader = false;
    this.#wants.clear();
    this.#closeStreams();
  }

  #closeStreams(): void {
    this.#streams.forEach((stream) => stream.close());
    this.#streams = [];
  }

  #want(): void {
    const jobs = new Map<string, number>();
    for (const { job, at, live } of this.#trackers) {
      jobs.set(job, Math.min(live ? LIVE : at, jobs.get(job) ?? LIVE));
    }
    this.#tell({ is: "want", tab: this.#tab, jobs: [...jobs] });
  }

  #hear(message: Message): void {
    const { is } = message;
    if (is === "want") {
      if (this.#isLeader) this.#hearWant(message);
    } else if (is === "who") {
      this.#session = "";
      for (const tracker of this.#trackers) tracker.live = false;
      this.#want();
    } else if (is === "session") {
      const jobs = new Map(message.jobs);
      const isNext = message.last === this.#session;
      this.#session = message.next;
      for (const tracker of this.#trackers) {
        // What took the last session has seen all up to where this one begins.
        const from = jobs.get(tracker.job) ?? LIVE;
        tracker.live = from < LIVE && ((isNext && tracker.live) || from <= tracker.at);
        if (!tracker.live) this.#update();
      }
    } else if (message.session !== this.#session) {
      // It comes late.
    } else if (is === "event") {
      this.#hearEvent(message.name, message.job, message.id, message.data);
    } else {
      const isMeant = ({ job, live }: Tracker) => live && message.jobs.includes(job);
      if (is === "state") return this.#setState(message.state, isMeant, message.why);
      for (const tracker of this.#trackers) {
        if (isMeant(tracker)) this.#end(tracker, (h, job) => h.onFailure(message.message, job));
      }
    }
  }

  #hearEvent(name: string, job: string, id: number, data: any): void {
    for (const tracker of this.#trackers) {
      if (tracker.job !== job || !tracker.live) continue;
      if (name === "reset") {
        // The ids of another life of the server say nothing of this one's.
        if (data.reason === "unknown") tracker.at = 0;
        guarded(() => tracker.handlers.onReset?.(data));
      } else if (id > tracker.at) {
        tracker.at = id;
        if (name === "done") this.#end(tracker, (h) => h.onDone(job, data));
        else if (name === "error") {
          const { message } = data;
          const words = typeof message === "string" && message ? message : "the job failed";
          this.#end(tracker, (h) => h.onFailure(words, job, data));
        } else if (name === "deleted") {
          this.#end(tracker, (h) =>
            h.onDeleted ? h.onDeleted(job) : h.onFailure("the job was deleted", job),
          );
        } else if (name !== "progress") {
          guarded(() => tracker.handlers.onEvent?.(name, data, id));
        } else if (!tracker.skip || data.stage !== tracker.skip) {
          const paced = withPace(data, tracker.pace);
          guarded(() => tracker.handlers.onProgress(paced));
        }
      }
    }
  }

  #setState(
    state: TrackState,
    isMeant: (tracker: Tracker) => boolean,
    why?: string | undefined,
  ): void {
    for (const tracker of this.#trackers) {
      if (isMeant(tracker) && tracker.state !== state) {
        tracker.state = state;
        tellState(tracker.handlers, state, tracker.job, why);
      }
    }
  }

  #end(tracker: Tracker, last: (handlers: ProgressHandlers, job: string) => void): void {
    this.#setState("closed", (other) => other === tracker);
    // Whoever has stopped it there wants no more.
    if (!this.#trackers.delete(tracker)) return;
    tracker.onEnd?.();
    guarded(() => last(tracker.handlers, tracker.job));
    this.#update();
  }

  #hearWant({ tab, jobs }: Message & { is: "want" }): void {
    if (tab !== this.#tab && !this.#wants.has(tab)) {
      const isGone = () => {
        this.#wants.delete(tab);
        this.#plan();
      };
      navigator.locks.request(this.name + tab, this.#run!, isGone).catch(() => {});
    }
    const places = new Map<string, number>();
    for (const [job, place] of jobs) {
      // A tab that took the session of another leader is going to say more.
      if (place !== LIVE || this.#streamOf(job)) places.set(job, place);
    }
    this.#wants.set(tab, places);
    this.#plan();
  }

  /** Tries a stream's jobs in two halves. */
  split(stream: Connection): void {
    const halves = [new Connection(this), new Connection(this)];
    let n = 0;
    for (const [job, from] of stream.from) halves[n++ % 2]!.from.set(job, from);
    this.#streams.splice(this.#streams.indexOf(stream), 1, ...halves);
    halves.forEach((half) => half.open());
  }

  #streamOf(job: string): Connection | undefined {
    return this.#streams.find((stream) => stream.from.has(job));
  }

  #plan(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#renew();
      },
      this.#channel ? COLLECT_MS : 0,
    );
  }

  /** Begins a session, where this one hasn't what is wanted, or has what isn't. */
  #renew(): void {
    const jobs = new Map<string, number>();
    let isNew = false;
    for (const places of this.#wants.values()) {
      for (const [job, place] of places) {
        isNew ||= place !== LIVE;
        const now = this.#streamOf(job)?.now(job) ?? LIVE;
        jobs.set(job, Math.min(place, now, jobs.get(job) ?? LIVE));
        places.set(job, LIVE);
      }
    }
    const isWanted = ({ from }: Connection) => [...from.keys()].every((job) => jobs.has(job));
    if (!isNew && this.#streams.every(isWanted)) return;
    this.#closeStreams();
    let chars = LIVE;
    for (const [job, from] of jobs) {
      chars += job.length + 25;
      if (chars > MAX_JOBS_CHARS) {
        chars = 0;
        this.#streams.push(new Connection(this));
      }
      this.#streams.at(-1)!.from.set(job, from);
    }
    this.#tell({ is: "session", jobs: [...jobs], next: randomName(), last: this.#session });
    for (const stream of this.#streams) stream.open();
  }
}


/** What a stage says, and how long it is going to take where its pace tells. */
function withPace(data: any, pace: Pace): any {
  const { stage, percent, etaMs } = data;
  const left = typeof percent === "number" ? pace.add(stage, percent) : undefined;
  return etaMs === undefined && left !== undefined ? { ...data, etaMs: left } : data;
}
