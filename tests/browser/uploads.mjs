// Files from a browser: their bytes first, then what the server makes of them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLAIN_HOST, Server, profile, scratch, tab, until, untilSaid } from "./house.mjs";

/** A server that keeps files. */
function start(...flags) {
  return Server.start("--data", scratch(), ...flags);
}

/** Uploads a file of so many bytes in a tab, and keeps what stops that as `stop`. */
function upload(page, bytes, options = {}) {
  return page.evaluate(
    ([bytes, options]) => {
      const file = new File([new Uint8Array(bytes)], "a ü&b.bin", { type: "video/mp4" });
      globalThis.stop = landfall.uploadAndTrack(file, handlers, options);
    },
    [bytes, options],
  );
}

describe("an upload", { concurrency: 2, timeout: 300_000 }, () => {
  test("is one sequence of states: its bytes, and then its job", async () => {
    const server = await start();
    const page = await tab(await profile(), server.origin);
    await upload(page, 3_000_000, { jobId: "a" });
    const all = await until("it is done", async () => {
      const all = await page.evaluate(() => said);
      return all.at(-1)?.endsWith("done") && all;
    });
    const isByte = (one) => one.startsWith("a uploading ");
    const bytes = all.filter(isByte).map((one) => Number(one.split(" ").at(-1)));
    assert.equal(bytes.at(-1), 100);
    assert.deepEqual(bytes, bytes.toSorted((a, b) => a - b));
    // The server's own count of them would jump back.
    assert.ok(all.slice(bytes.length).every((one) => !isByte(one)));
    const states = ["uploading", "connecting", "open", "closed"].map((state) => `a ${state}`);
    assert.deepEqual(await page.evaluate(() => states), states);
    const snapshot = await (await fetch(`${server.origin}/api/jobs/a`)).json();
    const { name, size } = snapshot.lastEvent.data;
    assert.deepEqual([name, size], ["a ü&b.bin", 3_000_000]);
  });

  test("without a name for its job gets one that can't be guessed", async () => {
    const server = await start("--host", PLAIN_HOST);
    // By plain HTTP there is no randomUUID.
    const page = await tab(await profile(), server.origin.replace("127.0.0.1", PLAIN_HOST));
    for (let n = 1; n <= 2; n++) {
      await upload(page, 10);
      await until("it is done", async () => {
        const all = await page.evaluate(() => said);
        return all.filter((one) => one.endsWith("done")).length === n;
      });
    }
    const jobs = await page.evaluate(() => new Set(said.map((one) => one.split(" ")[0])).size);
    assert.equal(jobs, 2);
    assert.match((await untilSaid(page, 1))[0], /^[0-9a-f]{32} uploading/);
  });

  test("that is refused is a failure in the server's words, once", async () => {
    const server = await start("--max-upload", "1000");
    const page = await tab(await profile(), server.origin);
    await upload(page, 2000, { jobId: "a" });
    const all = await until("it fails", async () => {
      const all = await page.evaluate(() => said);
      return all.some((one) => one.includes("failed")) && all;
    });
    const failures = all.filter((one) => !one.startsWith("a uploading "));
    assert.equal(failures.length, 1);
    const { error } = await page.evaluate(async () => {
      const body = new Uint8Array(2000);
      return (await fetch("/api/uploads?name=b", { method: "POST", body })).json();
    });
    assert.equal(failures[0], `a failed: ${error}`);
    assert.deepEqual(await page.evaluate(() => states), ["a uploading", "a closed"]);
  });

  test("that is stopped is broken off, and nothing is called any more", async () => {
    const server = await start("--upload-bandwidth", "1MiB");
    const page = await tab(await profile(), server.origin);
    await upload(page, 20_000_000, { jobId: "a" });
    await untilSaid(page, 1);
    await page.evaluate(() => {
      stop();
      said.splice(0);
      states.splice(0);
    });
    await until("the server noticed", async () => {
      const answer = await fetch(`${server.origin}/api/jobs/a`);
      return answer.ok && (await answer.json()).state === "error";
    });
    assert.deepEqual(await page.evaluate(() => [said, states]), [[], []]);
    // Stopped before it began, nothing is sent at all.
    await page.evaluate(() => landfall.uploadAndTrack(new File(["x"], "b"), handlers, { jobId: "b" })());
    await upload(page, 10, { jobId: "c" });
    await until("the other is done", () => page.evaluate(() => said.at(-1) === "c done"));
    assert.equal((await fetch(`${server.origin}/api/jobs/b`)).status, 404);
  });

  test("may be sent by something else, and fail there", async () => {
    const server = await start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      const uploader = async (file, { jobId, onProgress }) => {
        onProgress(1, 4);
        onProgress(4, 4);
        return `${jobId}-elsewhere`;
      };
      landfall.uploadAndTrack(new File(["x"], "a"), handlers, { jobId: "a", uploader });
    });
    await server.untilStreams(1);
    await server.publish("a-elsewhere", "done");
    const expected = ["a uploading 25", "a uploading 100", "a-elsewhere done"];
    assert.deepEqual(await untilSaid(page, 3), expected);
    await page.evaluate(() => {
      const uploader = () => Promise.reject(new Error("the disk is full"));
      landfall.uploadAndTrack(new File(["x"], "b"), handlers, { jobId: "b", uploader });
    });
    assert.equal((await untilSaid(page, 4))[3], "b failed: the disk is full");
  });
});
