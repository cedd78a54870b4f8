// How long a stage is going to take, by how fast it goes.

/** Before that a guess means nothing. */
const FIRST_MS = 2000;
/** What is older than this counts for little. */
const MEMORY_MS = 8000;
/** What comes so soon after the first is a replay: it tells nothing of the pace. */
const REPLAY_MS = 250;

/** The pace of one stage after the other, smoothed. */
export class Pace {
  #stage: unknown = "";
  #began = 0;
  #at = 0;
  #percent = 0;
  /** In percent a millisecond: the sum with its weight. */
  #sum = 0;
  #weight = 0;

  /** Takes a percent of a stage. Gives what is left of it in milliseconds, if that can be told. */
  add(stage: unknown, percent: number, now = performance.now()): number | undefined {
    const ms = now - this.#at;
    if (stage !== this.#stage || percent < this.#percent || now - this.#began < REPLAY_MS) {
      // A stage that goes back has begun anew.
      if (stage !== this.#stage || percent < this.#percent) this.#began = now;
      this.#stage = stage;
      this.#sum = this.#weight = 0;
    } else if (ms > 0) {
      const old = Math.exp(-ms / MEMORY_MS);
      this.#sum = this.#sum * old + ((percent - this.#percent) / ms) * (1 - old);
      this.#weight = this.#weight * old + 1 - old;
    } else return this.#left(now);
    this.#at = now;
    this.#percent = percent;
    return this.#left(now);
  }

  #left(now: number): number | undefined {
    if (now - this.#began < FIRST_MS || this.#sum <= 0) return undefined;
    return Math.round(((100 - this.#percent) * this.#weight) / this.#sum);
  }
}
