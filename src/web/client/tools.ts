// What several files of the client need.
import type { ProgressHandlers, TrackOptions, TrackState } from "../landfall.d.ts";

/** Where a path of the server is. */
export function absolute({ baseUrl = "" }: TrackOptions, path: string): string {
  return new URL(path, new URL(baseUrl.replace(/\/?$/, "/"), location.href)).href;
}

/** Whether cookies go with a request. */
export function credentials({ withCredentials = true }: TrackOptions): RequestCredentials {
  return withCredentials ? "include" : "omit";
}

/** How long to wait before another try, the so-manieth since the last that went well. */
export function backoffMs({ backoff = 1000 }: TrackOptions, attempts: number): number {
  return Math.random() * Math.min(30_000, backoff * 2 ** (attempts - 1));
}

/** A handler that throws must not keep others from being called. */
export function guarded(f: () => void): void {
  try {
    f();
  } catch (error) {
    reportError(error);
  }
}

/** Tells of a state, by the one of its names that there is. */
export function tellState(
  handlers: ProgressHandlers,
  state: TrackState,
  job: string,
  why?: string,
): void {
  const name = handlers.onStateChange ? "onStateChange" : "onState";
  guarded(() => handlers[name]?.(state, job, why));
}

/** Also where the page came by plain HTTP, where there is no randomUUID. */
export function randomName(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** What an error says, in words. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : `${error}`;
}
