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
  /** While it is `uploading`: what the server has of the file, and the whole, in bytes. */
  bytes?: number;
  size?: number;
  /** Of an upload: what its file is called. */
  name?: string;
  /** The stage wasn't needed, and why. */
  skipped?: boolean;
  reason?: string;
  /** Which new try of the stage this is, for the `reason`. */
  retry?: number;
  /** The stage begins anew, since the server was restarted. */
  restarted?: boolean;
  /** What the stage's command calls what it is at. */
  step?: string;
  /**
   * How long the stage is going to take, in milliseconds: as its command says, or else by the
   * smoothed pace of its percents. Absent before that means something.
   */
  etaMs?: number;
  /** How fast the stage's command says it is: 2 or "2x" of what plays, or "3 MiB/s". */
  speed?: number | string;
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
  /** "none found", or "not scanned". */
  malware?: string;
  /** How long audio or video plays. */
  mediaSeconds?: number;
  /** What the client said, where the bytes say otherwise. */
  declaredType?: string;
  /** 100: the whole. */
  overall?: number;
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
  /** What kind of failure it is, where there is a word for it. */
  reason?: "stalled" | "cancelled" | (string & {});
  attempt?: number;
  [detail: string]: unknown;
}

/** What an event of another name says: `jobId`, and what was published. */
export interface EventPayload {
  jobId: string;
  [detail: string]: unknown;
}

/** What a `reset` event says: events are missing, and the job's snapshot tells where it stands. */
export interface ResetPayload {
  jobId: string;
  /** They are no longer kept, or the server has lost what it knew. */
  reason: "expired" | "unknown";
  lastEventId: string;
}

/**
 * A reconnecting stream catches up by itself. Where none can be had, `polling` asks every few
 * seconds where the job is, and shows that alone. Uploads begin with `uploading`.
 */
export type TrackState =
  | "uploading"
  | "connecting"
  | "open"
  | "reconnecting"
  | "polling"
  | "closed";

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
  /** Called for events of other names, with the id: the place in the server's one order. */
  onEvent?: (name: string, data: EventPayload, id: number) => void;
  onReset?: (reset: ResetPayload) => void;
  /** With `reconnecting` and `polling` it is told why. */
  onStateChange?: (state: TrackState, jobId: string, why?: string) => void;
  /** The same by an older name: it is called where there is no `onStateChange`. */
  onState?: (state: TrackState, jobId: string, why?: string) => void;
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
   * How much progress there is of each job in a second, from 0.1 to 100 events: the newest each
   * time. All other events come. What has another rate has another connection. Default: every one.
   */
  maxRate?: number;
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
  /**
   * The server's `--heartbeat`, in milliseconds: a stream that is silent for two of them is
   * taken for dead and opened anew. Default: 15,000.
   */
  heartbeat?: number;
}

/** How a file is uploaded and followed. */
export interface UploadOptions extends TrackOptions {
  /** The job's name. Default: a random one. */
  jobId?: string;
  /** Ends both like what `uploadAndTrack` returns: nothing is called any more. */
  signal?: AbortSignal;
  /**
   * Whether an upload of the same file that broke off goes on where it was, also after a
   * reload. With `jobId` only one of that job does. Default: true.
   */
  resume?: boolean;
  /** What sends the file. Default: tus, at `/api/tus/`. */
  uploader?: Uploader;
}

/**
 * What `uploadAndTrack` returns. Called, it ends both, and nothing is called any more: what was
 * sent of the file stays with the server for a time, and can be gone on with.
 */
export interface TrackedUpload {
  (): void;
  /**
   * Has the server break the job off: `onFailure` gets the `reason` `cancelled`. Rejected where
   * the server refuses that.
   */
  cancel(): Promise<void>;
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
export declare function trackProcessing(
  jobId: string,
  handlers: ProgressHandlers,
  options?: TrackOptions,
): () => void;

/** Follows several jobs through one connection. */
export declare function trackMany(
  jobIds: Iterable<string>,
  handlers: ProgressHandlers,
  options?: TrackOptions,
): TrackedJobs;

/**
 * Uploads a file, then follows its job to the end. The bytes that were sent come as the stage
 * `uploading`, with `loaded` and `total`.
 */
export declare function uploadAndTrack(
  file: File,
  handlers: ProgressHandlers,
  options?: UploadOptions,
): TrackedUpload;

/** The job of an upload of this file that broke off, and that `uploadAndTrack` would go on with. */
export declare function unfinishedUpload(file: File, options?: UploadOptions): string | undefined;
