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
export function trackProcessing(jobId: string, handlers: ProgressHandlers): () => void {
  const source = new EventSource(`/api/jobs/${encodeURIComponent(jobId)}/events`);
  source.addEventListener("progress", (event) => handlers.onProgress(JSON.parse(event.data)));
  source.addEventListener("done", () => {
    source.close();
    handlers.onDone(jobId);
  });
  source.addEventListener("error", (event) => {
    // A failure of the connection comes to the same listeners, without data.
    if (!(event instanceof MessageEvent)) return;
    source.close();
    handlers.onFailure(JSON.parse(event.data).message);
  });
  return () => source.close();
}
