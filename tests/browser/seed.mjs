// The client of the article that Landfall is for, unchanged, against the real binary.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { Server, profile, until } from "./house.mjs";

const article = fileURLToPath(
  new URL("../../../shared/seed/streaming-upload-progress-sse.txt", import.meta.url),
);
const skip = existsSync(article) ? false : "the article isn't beside this checkout";

/** The article's code, from its first type to the last line of its usage. */
async function code() {
  const text = readFileSync(article, "utf8");
  const start = text.indexOf("export interface ProgressPayload");
  const last = 'window.addEventListener("beforeunload", stop);';
  const end = text.indexOf(last, start) + last.length;
  assert.ok(start > 0 && end > start);
  return (await transform(text.slice(start, end), { loader: "ts" })).code;
}

/** A page with the elements that the article's usage fills. */
async function open(server) {
  const page = await (await profile()).newPage();
  await page.goto(`${server.origin}/landfall.d.ts`);
  await page.evaluate(() => {
    document.body.innerHTML = '<progress id="bar" max="100"></progress><span id="stage"></span>';
    globalThis.said = [];
    for (const level of ["log", "error"]) console[level] = (...all) => said.push(all.join(" "));
  });
  await page.addScriptTag({ type: "module", content: await code() });
  await server.untilStreams(1);
  return page;
}

const shown = (page) =>
  page.evaluate(() => [document.querySelector("#bar").value, document.querySelector("#stage").textContent]);

describe("the article's own client", { timeout: 300_000, skip }, () => {
  test("shows progress, across a drop as well, and the end, and stops there", async () => {
    const server = await Server.start("--max-stream-age", "400ms");
    const page = await open(server);
    for (let percent = 10; percent <= 90; percent += 10) {
      await server.publish("job_8f3a", "progress", { stage: "transcoding", percent });
      await until("it is shown", async () => (await shown(page))[0] === percent);
      // Streams of that age end, so that some of these come after a reconnect.
      const opened = await server.metric(/requests_total{method="GET",route="\/api\/jobs\/{job}\/events",code="200"/);
      await until("it reconnects", async () => {
        const now = await server.metric(/requests_total{method="GET",route="\/api\/jobs\/{job}\/events",code="200"/);
        return percent % 40 || now > opened;
      });
    }
    assert.deepEqual(await shown(page), [90, "transcoding"]);
    await server.publish("job_8f3a", "done");
    await until("it is over", async () => (await shown(page))[1] === "complete");
    await server.untilStreams(0);
    assert.deepEqual(await page.evaluate(() => said), ["[sse] finished job_8f3a"]);
    assert.equal(await server.metric(/requests_total{.*code="204"/), 0);
  });

  test("shows an error as what it is, and not as a drop", async () => {
    const server = await Server.start();
    const page = await open(server);
    await server.publish("job_8f3a", "error", { message: "a virus" });
    await until("it is told", () => page.evaluate(() => said.length));
    assert.deepEqual(await page.evaluate(() => said), ["[sse] a virus"]);
    await server.untilStreams(0);
  });
});
