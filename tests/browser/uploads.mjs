// Files from a browser: their bytes first, then what the server makes of them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Gate, PLAIN_HOST, Server, load, mint, profile, said, scratch, tab, until, untilSaid } from "./house.mjs";

/** A server that keeps files. */
function start(...flags) {
  return Server.start("--data", scratch(), ...flags);
}

/** Uploads a file of so many bytes in a tab, and keeps what stops that as `stop`. */
function upload(page, bytes, options = {}) {
  return page.evaluate(
    ([bytes, options]) => {
      globalThis.file = new File([new Uint8Array(bytes)], "a ü&b.bin", { type: "video/mp4" });
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
    await untilSaid(page, 2);
    const stopped = await page.evaluate(async () => {
      stop();
      return [said.splice(0), states.splice(0)] && landfall.unfinishedUpload(file);
    });
    assert.equal(stopped, "a");
    // Stopped before it began, nothing is sent at all, nor with a signal that has been given.
    await page.evaluate(() => {
      landfall.uploadAndTrack(new File(["x"], "b"), handlers, { jobId: "b" })();
      const signal = AbortSignal.abort();
      landfall.uploadAndTrack(new File(["x"], "b"), handlers, { jobId: "b", signal });
    });
    await page.evaluate(() => {
      const abort = new AbortController();
      const handlers = { onProgress: () => abort.abort(), onStateChange: (s) => states.push(s) };
      const big = new File([new Uint8Array(9_000_000)], "d");
      landfall.uploadAndTrack(big, handlers, { jobId: "d", signal: abort.signal });
    });
    await upload(page, 10, { jobId: "c" });
    await until("the other is done", () => page.evaluate(() => said.at(-1) === "c done"));
    assert.equal((await fetch(`${server.origin}/api/jobs/b`)).status, 404);
    assert.ok((await said(page)).every((one) => one.startsWith("c ")));
    assert.deepEqual(await page.evaluate(() => states.filter((state) => !/^c /.test(state))), ["uploading"]);
  });

  test("that is cancelled while it is sent is gone from the server, and says so once", async () => {
    const server = await start("--upload-bandwidth", "1MiB");
    const page = await tab(await profile(), server.origin);
    await upload(page, 20_000_000, { jobId: "a" });
    await untilSaid(page, 2);
    const end = await page.evaluate(async () => {
      const ends = [];
      handlers.onFailure = (...all) => ends.push(all);
      await stop.cancel();
      await stop.cancel();
      return [ends, landfall.unfinishedUpload(file) ?? null];
    });
    const data = { jobId: "a", message: "the upload was cancelled", reason: "cancelled" };
    assert.deepEqual(end, [[["the upload was cancelled", "a", data]], null]);
    await until("the server knows", async () => {
      const { state } = await (await fetch(`${server.origin}/api/jobs/a`)).json();
      return state === "error";
    });
    assert.deepEqual(await page.evaluate(() => states), ["a uploading", "a closed"]);
  });

  test("goes on after drops at whatever byte, and the bytes are the file's", async () => {
    const server = await start("--downloads");
    const gate = await Gate.before(server);
    // In the first read, on a boundary of the server's, one byte before the end, and at none.
    gate.cutsOfUploads = [1, 65_536, 1_000_000, 0, 700_001];
    const page = await tab(await profile(), gate.origin);
    const digest = await page.evaluate(async () => {
      const bytes = new Uint8Array(3_000_000).map((_, index) => (index * 31 + (index >> 9)) & 255);
      globalThis.percents = [];
      const options = { jobId: "a", backoff: 10 };
      const onProgress = (data) => percents.push(data);
      landfall.uploadAndTrack(new File([bytes], "a.bin"), { ...handlers, onProgress }, options);
      const digest = await crypto.subtle.digest("SHA-256", bytes);
      return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    });
    await until("it is done", async () => (await said(page)).includes("a done"));
    const { lastEvent } = await (await fetch(`${server.origin}/api/jobs/a`)).json();
    assert.equal(lastEvent.data.digest, `sha256:${digest}`);
    assert.equal(gate.cutsOfUploads.length, 0);
    const states = await page.evaluate(() => states);
    const first = ["uploading", "reconnecting", "uploading", "reconnecting", "uploading"];
    assert.deepEqual(states.slice(0, 5), first.map((state) => `a ${state}`));
    assert.ok((await page.evaluate(() => whys)).includes("the upload broke off"));
    // The whole is told from the first byte, and never goes back in the stages behind it.
    const all = await page.evaluate(() => percents);
    assert.ok(all.every(({ overall }) => typeof overall === "number"));
    assert.deepEqual([all[0].stage, all[0].overall, all[0].bytes, all[0].size], ["uploading", 0, 0, 3_000_000]);
    const sent = all.findLastIndex(({ stage }) => stage === "uploading");
    const { percent, overall } = all[sent];
    assert.equal(percent, 100);
    const behind = all.slice(sent).map(({ overall }) => overall);
    assert.deepEqual(behind, behind.toSorted((a, b) => a - b));
    assert.ok(overall > 10 && overall < 50, `${overall}`);
  });

  test("goes on after a reload, and after a restart of the server, in the job it had", async () => {
    const server = await start("--upload-bandwidth", "2MiB");
    const context = await profile();
    const page = await tab(context, server.origin);
    const send = (options) =>
      page.evaluate((options) => {
        globalThis.file = new File([new Uint8Array(6_000_000)], "a.bin", { lastModified: 1 });
        globalThis.loads = [];
        globalThis.jobs = new Set();
        const onProgress = ({ jobId, stage, loaded }) => {
          jobs.add(jobId);
          if (stage === "uploading") loads.push(loaded);
        };
        globalThis.stop = landfall.uploadAndTrack(file, { ...handlers, onProgress }, options);
      }, options);
    await send({});
    await until("some of it is there", async () => {
      const job = await page.evaluate(() => [...jobs][0]);
      const answer = job && (await (await fetch(`${server.origin}/api/jobs/${job}`)).json());
      return answer?.lastEvent?.data.bytes > 1_000_000;
    });
    const job = await page.evaluate(() => [...jobs][0]);
    await page.reload();
    await server.kill();
    await server.restart();
    await load(page);
    assert.equal(await page.evaluate(() => {
      const file = new File([new Uint8Array(6_000_000)], "a.bin", { lastModified: 1 });
      return landfall.unfinishedUpload(file);
    }), job);
    await send({});
    await until("it is done", async () => (await said(page)).includes(`${job} done`));
    const { loads, jobs } = await page.evaluate(() => ({ loads, jobs: [...jobs] }));
    assert.ok(loads[0] > 100_000, `${loads[0]}`);
    assert.deepEqual(jobs, [job]);
    // It is over: the same file again is another upload, and so is what may not go on.
    await send({});
    await until("it is done", async () => (await said(page)).filter((one) => one.endsWith("done")).length === 2);
    assert.notDeepEqual(await page.evaluate(() => [...jobs]), [job]);
  });

  test("of the same file in two tabs at once is two uploads", async () => {
    const server = await start("--upload-bandwidth", "3MiB");
    const context = await profile();
    const tabs = [await tab(context, server.origin), await tab(context, server.origin)];
    for (const page of tabs) {
      await page.evaluate(() => {
        const file = new File([new Uint8Array(4_000_000)], "a.bin", { lastModified: 1 });
        landfall.uploadAndTrack(file, handlers);
      });
      await untilSaid(page, 2);
    }
    const jobs = [];
    for (const page of tabs) {
      const all = await until("it is done", async () => {
        const all = await said(page);
        return all.at(-1).endsWith("done") && all;
      });
      assert.equal(new Set(all.map((one) => one.split(" ")[0])).size, 1);
      jobs.push(all[0].split(" ")[0]);
    }
    assert.notEqual(jobs[0], jobs[1]);
  });

  test("whose job is taken, or whose server is a page of somebody's, fails in words", async () => {
    const server = await start();
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    await server.progress("a", 1);
    await upload(page, 10, { jobId: "a" });
    assert.match((await untilSaid(page, 1))[0], /^a failed: .*(running|taken|exists)/);
    gate.refusalOfRest = () => ({ status: 200 });
    await upload(page, 10, { jobId: "b", retries: 1, backoff: 10 });
    assert.deepEqual((await untilSaid(page, 2)).slice(1), ["b failed: the answer is none of Landfall's"]);
  });

  test("of nothing is an upload as well", async () => {
    const server = await start();
    const page = await tab(await profile(), server.origin);
    await upload(page, 0, { jobId: "a" });
    const all = await until("it is over", async () => {
      const all = await said(page);
      return /done|failed/.test(all.at(-1)) && all;
    });
    assert.equal(all[0], "a uploading 100");
  });

  test("that has landed is cancelled by the server, and its end comes as any other", async () => {
    const config = join(scratch(), "landfall.toml");
    writeFileSync(config, '[[stage]]\nname = "slow"\nrun = ["sleep", "60"]\n');
    const server = await start("--config", config);
    // Whoever may publish may cancel: there, without a token.
    const page = await tab(await profile(), server.urls.publish);
    await upload(page, 10, { jobId: "a" });
    await until("it has landed", () => page.evaluate(() => states.includes("a open")));
    const data = await page.evaluate(() => {
      const ended = new Promise((resolve) => {
        handlers.onFailure = (message, jobId, data) => resolve(data);
      });
      return stop.cancel().then(() => ended);
    });
    assert.equal(data.reason, "cancelled");
    // On the public one it takes a token that says so, and the refusal is told.
    const other = await tab(await profile(), server.origin);
    await upload(other, 10, { jobId: "b" });
    await until("it has landed", () => other.evaluate(() => states.includes("b open")));
    const refusal = await other.evaluate(() => stop.cancel().catch(({ message }) => message));
    assert.ok(refusal.length > 10 && !refusal.startsWith("HTTP"), refusal);
    await other.evaluate(() => stop());
  });

  test("goes to another origin with a token, and gets a new one where that has ended", async () => {
    const pages = await Gate.before(await Server.start());
    const key = join(scratch(), "token.key");
    writeFileSync(key, "61".repeat(32), { mode: 0o600 });
    const server = await start("--token-key", key, "--cors-origin", pages.origin);
    const page = await tab(await profile(), pages.origin, `${server.origin}/landfall.js`);
    const good = await mint(key, "a", "1m", ["--upload", "a"]);
    await page.evaluate(
      ([good, baseUrl]) => {
        // The second, which is the first PATCH's, is cut off in its middle.
        let count = 0;
        const token = async () => (++count === 2 ? good.slice(0, good.length / 2) : good);
        const file = new File([new Uint8Array(1_000_000)], "a");
        const options = { baseUrl, token, jobId: "a", backoff: 10 };
        landfall.uploadAndTrack(file, handlers, options);
      },
      [good, server.origin],
    );
    await until("it is done", async () => (await said(page)).at(-1) === "a done");
    const states = await page.evaluate(() => states);
    assert.deepEqual(states.slice(0, 3), ["a uploading", "a reconnecting", "a uploading"]);
    assert.equal(await page.evaluate(() => whys.length), 1);
  });

  test("says nothing that its types don't know", async () => {
    const types = readFileSync(new URL("../../src/web/landfall.d.ts", import.meta.url), "utf8");
    const declared = (name) => {
      const [, body] = new RegExp(`interface ${name} \\{(.*?)^\\}`, "ms").exec(types);
      return new Set([...body.matchAll(/^  (\w+)\??:/gm)].map(([, key]) => key));
    };
    const server = await start();
    const page = await tab(await profile(), server.origin);
    const clip = join(scratch(), "clip.mp4");
    const pattern = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=3"];
    execFileSync("ffmpeg", ["-v", "error", ...pattern, "-preset", "ultrafast", clip]);
    const clips = ["a text\n", readFileSync(clip).toString("latin1")];
    await page.evaluate((clips) => {
      globalThis.heard = [];
      const hear = (name) => (data) => heard.push([name, Object.keys(data)]);
      const followed = {
        onProgress: hear("ProgressPayload"),
        onDone: (_, data) => hear("DonePayload")(data),
        onFailure: (_, job, data) => hear("ErrorPayload")(data),
      };
      for (const clip of clips) {
        const bytes = Uint8Array.from(clip, (char) => char.charCodeAt(0));
        landfall.uploadAndTrack(new File([bytes], "a.mp4", { type: "video/mp4" }), followed);
      }
      landfall.trackProcessing("failing", followed);
    }, clips);
    const data = { stage: "storing", message: "no", retryable: true, reason: "stalled" };
    await server.publish("failing", "error", data);
    const heard = await until("all are over", async () => {
      const heard = await page.evaluate(() => heard);
      return heard.filter(([name]) => name !== "ProgressPayload").length === 3 && heard;
    });
    assert.ok(heard.some(([, keys]) => keys.includes("mediaSeconds")));
    for (const [name, keys] of heard) {
      const known = declared(name);
      assert.deepEqual(keys.filter((key) => !known.has(key)), [], name);
    }
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
