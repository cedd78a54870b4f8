// The page behind proxies, which tests/proxies starts: HTTP/2 and HTTP/1.1, with TLS.

import assert from "node:assert/strict";
import { test } from "node:test";
import { jobs, launch, row, says, visit } from "./support.mjs";

const { LANDFALL_PUBLISH, LANDFALL_PROXIES } = process.env;
const FRAMES = 20;
/** Where none of those was quick: the machine may be at something else. */
const FRAMES_MOST = 100;

async function publish(job, percent) {
  const answer = await fetch(`http://${LANDFALL_PUBLISH}/api/jobs/${job}/events`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ event: "progress", data: { stage: "scanning", percent } }),
  });
  assert.equal(answer.status, 201);
}

for (const [protocol, flags] of [["h2", []], ["http/1.1", ["--disable-http2"]]]) {
  const browser = launch("--host-resolver-rules=MAP progress.example 127.0.0.1", ...flags);
  for (const proxy of LANDFALL_PROXIES.split(" ")) {
    test(`${proxy} over ${protocol}`, async (context) => {
      const page = await visit(proxy, { browser: await browser, ignoreHTTPSErrors: true });
      const spoken = () => performance.getEntriesByType("navigation")[0].nextHopProtocol;
      assert.equal(await page.evaluate(spoken), protocol);

      const job = `${new URL(proxy).port}-${protocol.replace("/", "-")}`;
      await page.evaluate((job) => {
        window.came = [];
        window.source = new EventSource(`/api/jobs/${job}/events`);
        window.source.addEventListener("progress", ({ data }) =>
          window.came.push([JSON.parse(data).percent, Date.now()]),
        );
        return new Promise((resolve) => (window.source.onopen = resolve));
      }, job);
      // Each is published when the one before has come: what is held back never comes.
      const took = [];
      const quickest = () => Math.min(...took);
      for (let percent = 1; percent <= FRAMES || (quickest() >= 100 && percent <= FRAMES_MOST); percent++) {
        const begin = Date.now();
        await publish(job, percent);
        await page.waitForFunction((count) => window.came.length === count, percent);
        const [last, at] = await page.evaluate(() => window.came[window.came.length - 1]);
        assert.equal(last, percent);
        took.push(at - begin);
      }
      context.diagnostic(`${took} ms`);
      assert.ok(quickest() < 100, `${took}`);
      await page.evaluate(() => window.source.close());

      // More than proxies take of themselves.
      const buffer = Buffer.alloc(3_000_000);
      await page.setInputFiles("#files", { name: "clip.bin", mimeType: "video/mp4", buffer });
      await says(row(page, "clip.bin"), "Done");
      assert.equal((await jobs(page)).length, 1);
      assert.deepEqual(page.wrongs, []);
    });
  }
}
