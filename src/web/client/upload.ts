// An upload as one sequence: the file's bytes, then what becomes of its job.
import type { ProgressHandlers, TrackState, TrackedUpload, UploadOptions } from "../landfall.d.ts";
import { groupFor } from "./group";
import { Pace } from "./pace";
import { guarded, randomName, tellState, wordsOf } from "./tools";
import { Transfer, cancelJob } from "./transfer";

const STAGE = "uploading";

export class Upload {
  #abort = new AbortController();
  #transfer: Transfer;
  #jobId: string;
  #state: TrackState | undefined;
  #pace = new Pace();
  /** Ends the following of the job, once it has landed. */
  #untrack: (() => void) | undefined;

  constructor(
    private file: File,
    private handlers: ProgressHandlers,
    private options: UploadOptions,
  ) {
    this.#transfer = new Transfer(file, options, randomName);
    this.#jobId = this.#transfer.jobId;
  }

  /** Begins, and gives what ends it. */
  begin(): TrackedUpload {
    const { signal } = this.options;
    const stop = () => this.#stop();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    queueMicrotask(() => this.#run());
    return Object.assign(stop, { cancel: () => this.#cancel() });
  }

  #stop(): void {
    this.#abort.abort();
    this.#untrack?.();
  }

  async #cancel(): Promise<void> {
    // Its stream tells the end of a job that has landed.
    if (this.#untrack) return cancelJob(this.#jobId, this.options);
    if (this.#abort.signal.aborted) return;
    this.#fail("the upload was cancelled", "cancelled");
    this.#abort.abort();
    await this.#transfer.discard();
  }

  async #run(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#turn(STAGE);
    try {
      this.#jobId = await this.#send();
    } catch (error) {
      return this.#fail(wordsOf(error));
    }
    if (this.#abort.signal.aborted) return;
    // What the server says of the upload is over, and would jump back.
    const over = () => this.#stop();
    this.#untrack = groupFor(this.options).track(this.#jobId, this.handlers, over, STAGE);
  }

  #send(): Promise<string> {
    const { file, options } = this;
    const jobId = this.#jobId;
    const { signal } = this.#abort;
    if (options.uploader) {
      const onProgress = (loaded: number, total: number) => this.#progress(loaded, total);
      return options.uploader(file, { jobId, signal, onProgress });
    }
    return this.#transfer.send(signal, {
      onJob: (job) => (this.#jobId = job),
      onBytes: (loaded) => this.#progress(loaded, file.size),
      onDrop: (why) => this.#turn("reconnecting", why),
      onResume: () => this.#turn(STAGE),
    });
  }

  #progress(loaded: number, total: number): void {
    const { file } = this;
    const jobId = this.#jobId;
    const { parts } = this.#transfer;
    const percent = total ? (100 * loaded) / total : 100;
    const etaMs = this.#pace.add(STAGE, percent);
    const bytes = { loaded, total, bytes: loaded, size: total, name: file.name };
    this.#call(() =>
      this.handlers.onProgress({
        jobId,
        stage: STAGE,
        percent,
        ...(parts && { overall: percent / parts }),
        ...bytes,
        ...(etaMs !== undefined && { etaMs }),
      }),
    );
  }

  #turn(state: TrackState, why?: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#call(() => tellState(this.handlers, state, this.#jobId, why));
  }

  #fail(message: string, reason?: string): void {
    const jobId = this.#jobId;
    this.#turn("closed");
    this.#call(() =>
      this.handlers.onFailure(message, jobId, reason ? { jobId, message, reason } : undefined),
    );
  }

  /** Whoever has stopped it wants no more. */
  #call(f: () => void): void {
    if (!this.#abort.signal.aborted) guarded(f);
  }
}
