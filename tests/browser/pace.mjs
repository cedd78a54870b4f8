// How long a stage is going to take, by how fast it goes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("../../src/web/client/pace.ts", import.meta.url));
const built = await build({ entryPoints: [source], bundle: true, format: "esm", write: false });
const { Pace } = await import(`data:text/javascript,${encodeURIComponent(built.outputFiles[0].text)}`);

/** What a pace says of percents at times in milliseconds, from the first on. */
function guesses(points) {
  const pace = new Pace();
  return points.map(([at, percent]) => [at, pace.add("scanning", percent, 1e6 + at)]);
}

describe("the guess of what is left", () => {
  test("is none before it means something, and then what is left", () => {
    const steady = Array.from({ length: 100 }, (_, n) => [n * 250, n]);
    for (const [at, ms] of guesses(steady)) {
      if (at < 2000) assert.equal(ms, undefined);
      else assert.ok(Math.abs(ms - (25_000 - at)) < 300, `${ms} at ${at}`);
    }
  });

  test("never jumps, however unsteady the pace is", () => {
    let percent = 0;
    const unsteady = Array.from({ length: 400 }, (_, n) => {
      percent += n % 7 === 0 ? 0.7 : n % 3 === 0 ? 0.3 : 0.1;
      return [n * 250, percent];
    });
    const known = guesses(unsteady).filter(([, ms]) => ms !== undefined);
    for (let n = 1; n < known.length; n++) {
      const [before, after] = [known[n - 1][1], known[n][1]];
      assert.ok(Math.abs(after - before) < 0.25 * before + 500, `${before}, ${after}`);
    }
  });

  test("tells of a pace that has changed as it is now, after some seconds", () => {
    // 1 % a second, and from 20 s on a tenth of that.
    const slower = Array.from({ length: 200 }, (_, n) => [n * 500, n < 40 ? n / 2 : 20 + (n - 40) / 20]);
    const said = new Map(guesses(slower));
    assert.ok(Math.abs(said.get(19_500) - 80_000) < 5000);
    assert.ok(said.get(20_500) < 110_000, `${said.get(20_500)}`);
    assert.ok(said.get(60_000) > 600_000, `${said.get(60_000)}`);
  });

  test("isn't taken from a replay, from a stage before, or where nothing moves", () => {
    const replay = Array.from({ length: 50 }, (_, n) => [n, n]);
    const then = Array.from({ length: 20 }, (_, n) => [1000 + n * 500, 50 + n / 2]);
    const [, ms] = guesses([...replay, ...then]).at(-1);
    assert.ok(Math.abs(ms - 40_500) < 2500, `${ms}`);
    const pace = new Pace();
    pace.add("scanning", 0, 0);
    assert.ok(pace.add("scanning", 50, 5000));
    assert.equal(pace.add("storing", 50, 6000), undefined);
    assert.equal(pace.add("storing", 50, 60_000), undefined);
    // It goes back where it begins anew.
    assert.equal(pace.add("storing", 10, 61_000), undefined);
    assert.equal(pace.add("storing", 11, 62_000), undefined);
  });
});
