// A file on its way to the server, by tus 1.0 as tus-js-client speaks it: begun by POST, sent
// by PATCH, and after a drop, or a reload, gone on with where HEAD says.
import type { UploadOptions } from "../landfall.d.ts";
import { absolute, backoffMs, credentials, wordsOf } from "./tools";

/** What sends nothing for so long has lost its connection. */
const STALL_MS = 60_000;

/** What is told while a file is sent. */
export interface Told {
  onJob: (jobId: string) => void;
  /** So many bytes are sent. */
  onBytes: (loaded: number) => void;
  /** The connection was lost: it tries again. */
  onDrop: (why: string) => void;
  /** It goes on. */
  onResume: () => void;
}

/** An answer that isn't the one wanted. */
class Refusal extends Error {
  constructor(
    public status: number,
    message: string,
    public afterMs = 0,
  ) {
    super(message);
  }

  /** Whether another try may succeed: what tus-js-client thinks so of, and too many at once. */
  isPassing(options: UploadOptions): boolean {
    const { status } = this;
    return status < 400 || status >= 500 || [408, 409, 423, 429].includes(status) ||
      // A token may have ended, and the next try gets another.
      (status === 401 && !!options.token);
  }
}

export class Transfer {
  jobId: string;
  /** How many parts the whole has: the upload, and the server's stages. */
  parts: number | undefined;
  #url: string | undefined;
  #offset = 0;
  #key: string;

  constructor(
    private file: File,
    private options: UploadOptions,
    private newName: () => string,
  ) {
    this.#key = keyOf(file, options);
    const isResumable = options.resume !== false && !options.uploader;
    const kept = isResumable ? recall(this.#key) : undefined;
    const isWanted = kept && (options.jobId ?? kept.jobId) === kept.jobId;
    if (isWanted) ({ url: this.#url, parts: this.parts } = kept);
    this.jobId = isWanted ? kept.jobId : (options.jobId ?? newName());
  }

  /** Sends the file to its end. */
  async send(signal: AbortSignal, told: Told): Promise<string> {
    const whole = (lock: Lock | null) => this.#sendHeld(signal, told, lock);
    // Two tabs, or two of the same file at once, don't go on with one upload.
    return navigator.locks
      ? navigator.locks.request(this.#key, { ifAvailable: true }, whole)
      : this.#sendHeld(signal, told, null);
  }

  /** Gives up what is sent, on the server as well. */
  async discard(): Promise<void> {
    forget(this.#key);
    if (!this.#url) return;
    const answer = await this.#ask("DELETE", this.#url);
    // It has landed in the meantime.
    if (answer.status === 409) await cancelJob(this.jobId, this.options);
  }

  async #sendHeld(signal: AbortSignal, told: Told, lock: Lock | null): Promise<string> {
    const { file, options } = this;
    const isAlone = !navigator.locks || !!lock;
    // It is being sent already: this is another one.
    if (this.#url && !isAlone) this.#anew();
    let isKept = !!this.#url;
    for (let attempts = 0; ; ) {
      const before = this.#offset;
      try {
        if (this.#url) this.#offset = await this.#standing(signal);
        else await this.#create(signal, isAlone);
        isKept = false;
        told.onJob(this.jobId);
        if (attempts) told.onResume();
        told.onBytes(this.#offset);
        while (this.#offset < file.size) await this.#piece(signal, told.onBytes);
        forget(this.#key);
        return this.jobId;
      } catch (error) {
        signal.throwIfAborted();
        const refusal = error instanceof Refusal ? error : new Refusal(0, wordsOf(error));
        const isGone = isKept && [403, 404, 410].includes(refusal.status);
        isKept &&= !isGone;
        if (isGone) {
          this.#anew();
          continue;
        }
        // There is no upload to go on with: another has the job.
        const isTaken = !this.#url && refusal.status === 409;
        const isFinal = isTaken || !refusal.isPassing(options);
        if (isFinal) forget(this.#key);
        attempts = this.#offset > before ? 1 : attempts + 1;
        if (isFinal || attempts > (options.retries ?? 8)) throw refusal;
        // The answer that named it was lost, and its job with it.
        if (!this.#url && !refusal.status) this.#anew();
        told.onDrop(refusal.message);
        await pause(Math.max(refusal.afterMs, backoffMs(options, attempts)), signal);
      }
    }
  }

  #anew(): void {
    this.#url = undefined;
    this.#offset = 0;
    this.jobId = this.options.jobId ?? this.newName();
  }

  async #create(signal: AbortSignal, isKept: boolean): Promise<void> {
    const { file, jobId, options } = this;
    const metadata = { filename: file.name, filetype: file.type, job: jobId };
    const pairs = Object.entries(metadata).filter(([, value]) => value);
    const answer = await this.#ask("POST", absolute(options, "api/tus/"), signal, {
      "Upload-Length": `${file.size}`,
      "Upload-Metadata": pairs.map(([name, value]) => `${name} ${base64(value)}`).join(),
    });
    if (answer.status !== 201) throw await refusalOf(answer);
    this.#url = new URL(answer.headers.get("Location")!, answer.url).href;
    this.#offset = 0;
    const said = await answer.json();
    this.parts = said.stages + 1 || undefined;
    const url = this.#url;
    const { parts } = this;
    if (isKept && options.resume !== false) remember(this.#key, { url, jobId, parts });
  }

  /** How many bytes the server has. */
  async #standing(signal: AbortSignal): Promise<number> {
    const answer = await this.#ask("HEAD", this.#url!, signal);
    if (!answer.ok) throw await refusalOf(answer);
    return offsetOf(answer.headers.get("Upload-Offset"));
  }

  /** Sends what is left. Only XMLHttpRequest tells how much of it is sent. */
  async #piece(signal: AbortSignal, onBytes: (loaded: number) => void): Promise<void> {
    const offset = this.#offset;
    const headers = await this.#headers({
      "Upload-Offset": `${offset}`,
      "Content-Type": "application/offset+octet-stream",
    });
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open("PATCH", this.#url!);
    request.withCredentials = credentials(this.options) === "include";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    let timer: ReturnType<typeof setTimeout>;
    const stall = () => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), STALL_MS);
    };
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.upload.onprogress = (event) => {
      stall();
      onBytes(offset + event.loaded);
    };
    // Then it is the server that works.
    request.upload.onload = () => clearTimeout(timer);
    stall();
    await new Promise((resolve) => {
      request.onloadend = resolve;
      request.send(this.file.slice(offset));
    });
    clearTimeout(timer!);
    signal.removeEventListener("abort", abort);
    const { status } = request;
    if (status !== 204) {
      const after = request.getResponseHeader("Retry-After");
      throw refusal(status, request.responseText, after);
    }
    this.#offset = offsetOf(request.getResponseHeader("Upload-Offset"));
    if (this.#offset <= offset) throw new Refusal(0, "the server takes no bytes");
  }

  async #ask(
    method: string,
    url: string,
    signal?: AbortSignal,
    headers = {},
  ): Promise<Response> {
    return fetch(url, {
      method,
      headers: await this.#headers(headers),
      credentials: credentials(this.options),
      cache: "no-store",
      signal: signal ?? null,
    });
  }

  async #headers(more: Record<string, string>): Promise<Record<string, string>> {
    const token = await tokenLine(this.jobId, this.options);
    return { "Tus-Resumable": "1.0.0", ...more, ...token };
  }
}

/** Has the server break a job off. Throws what it says against that. */
export async function cancelJob(jobId: string, options: UploadOptions): Promise<void> {
  const answer = await fetch(absolute(options, `api/jobs/${jobId}/cancel`), {
    method: "POST",
    credentials: credentials(options),
    headers: await tokenLine(jobId, options),
  });
  if (!answer.ok) throw await refusalOf(answer);
}

/** The job of an upload of this file that has begun, and can go on. */
export function jobOf(file: File, options: UploadOptions): string | undefined {
  return recall(keyOf(file, options))?.jobId;
}

async function tokenLine(job: string, options: UploadOptions): Promise<Record<string, string>> {
  const token = await options.token?.([job]);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function refusalOf(answer: Response): Promise<Refusal> {
  return refusal(answer.status, await answer.text(), answer.headers.get("Retry-After"));
}

function refusal(status: number, body: string, after: string | null): Refusal {
  const isGone = status === 404 || status === 410;
  let message = status ? `HTTP ${status}` : "the upload broke off";
  if (isGone) message = "the upload is gone";
  if (status >= 200 && status < 300) message = "the answer is none of Landfall's";
  try {
    message = JSON.parse(body).error ?? message;
  } catch {}
  return new Refusal(status, message, (+after! || 0) * 1000);
}

function offsetOf(field: string | null): number {
  if (!/^\d+$/.test(field ?? "")) throw new Refusal(0, "the answer has no Upload-Offset");
  return +field!;
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()));
  });
}

// What goes on after a reload.

interface Kept {
  url: string;
  jobId: string;
  parts: number | undefined;
}

function keyOf({ name, size, type, lastModified }: File, options: UploadOptions): string {
  return `landfall ${JSON.stringify([absolute(options, ""), name, size, type, lastModified])}`;
}

/** A page may be without storage. */
function recall(key: string): Kept | undefined {
  try {
    return JSON.parse(localStorage[key]);
  } catch {
    return undefined;
  }
}

function remember(key: string, kept: Kept): void {
  try {
    localStorage[key] = JSON.stringify(kept);
  } catch {}
}

function forget(key: string): void {
  try {
    delete localStorage[key];
  } catch {}
}
