/** What a `progress` event says. */
export interface ProgressPayload {
    jobId: string;
    /** The stages of a pipeline of your own come as they are named there. */
    stage: "scanning" | "transcoding" | "storing" | (string & {});
    percent: number;
}
/** What is called as a job goes on. */
export interface ProgressHandlers {
    onProgress: (p: ProgressPayload) => void;
    onDone: (jobId: string) => void;
    onFailure: (message: string) => void;
}
/** Follows a job to its end. Returns what stops that. */
export declare function trackProcessing(jobId: string, handlers: ProgressHandlers): () => void;
