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
export type Uploader = (file: File, upload: {
    jobId: string;
    signal: AbortSignal;
    onProgress: (loadedBytes: number, totalBytes: number) => void;
}) => Promise<string>;
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
export declare function trackProcessing(jobId: string, handlers: ProgressHandlers, options?: TrackOptions): () => void;
/** Follows several jobs through one connection. */
export declare function trackMany(jobIds: Iterable<string>, handlers: ProgressHandlers, options?: TrackOptions): TrackedJobs;
/**
 * Uploads a file, then follows its job to the end. The bytes that were sent come as the
 * stage `uploading`, with `loaded` and `total`. Returns what stops either.
 */
export declare function uploadAndTrack(file: File, handlers: ProgressHandlers, options?: UploadOptions): () => void;
