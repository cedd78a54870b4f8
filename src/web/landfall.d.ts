/** What a `progress` event says. */
export interface ProgressPayload {
    jobId: string;
    /** A pipeline's own stages come by their own names. */
    stage: "scanning" | "transcoding" | "storing" | (string & {});
    /** 0 to 100, of the stage. */
    percent: number;
    /** Whatever else was published. */
    [detail: string]: unknown;
}
/** What a `done` event says. */
export interface DonePayload {
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
/** A reconnecting stream catches up by itself. Uploads begin with `uploading`. */
export type TrackState = "uploading" | "connecting" | "open" | "reconnecting" | "closed";
/** What is called as a job goes on. */
export interface ProgressHandlers {
    onProgress: (p: ProgressPayload) => void;
    /** Called once, and nothing after it. */
    onDone: (jobId: string, data: DonePayload) => void;
    /** Called once, and nothing after it: the job failed, or can't be followed any more. */
    onFailure: (message: string, jobId: string) => void;
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
