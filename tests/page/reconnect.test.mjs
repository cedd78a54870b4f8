// The server goes, and comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, row, says, scratch, stages, visit } from "./support.mjs";

const connection = (page, text) => page.locator("#connection", { hasText: text }).waitFor();

/** Notes every figure that a row ever shows. */
function watch(job) {
  return job.evaluate((node) => {
    window.shown = [];
    const note = () => {
      const bars = [...node.querySelectorAll("progress")];
      window.shown.push(bars.map((bar) => bar.value).reduce((sum, value) => sum + value, 0));
      requestAnimationFrame(note);
    };
    note();
  });
}

/** What it showed fell nowhere. */
async function neverFell(page) {
  const shown = await page.evaluate(() => window.shown);
  assert.ok(shown.length > 1);
  const falls = shown.filter((value, at) => at > 0 && value < shown[at - 1]);
  assert.deepEqual(falls, []);
}

test("a server that is killed is awaited, and its news goes on from what was shown", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const page = await visit(`${server.page}#job=a`);
  const job = row(page, "a");
  await says(job, "Scanning 60%");
  await connection(page, "Live");
  await watch(job);
  await server.kill();
  await says(job, "Reconnecting · Scanning 60%");
  await connection(page, "Reconnecting…");
  await server.run();
  await server.progress("a", "scanning", 80);
  await says(job, /^Scanning 80%/);
  await connection(page, "Live");
  await server.progress("a", "storing", 50);
  await says(job, "Storing 50%");
  assert.deepEqual(await stages(job), ["Scan 100", "Store 50"]);
  await server.publish("a", "done");
  await says(job, "Done");
  await neverFell(page);
});

test("with a journal a restart is over without a trace, and its end is known", async () => {
  const server = await Server.start("--data", scratch());
  await server.progress("a", "scanning", 60);
  const page = await visit(`${server.page}#job=a`);
  const job = row(page, "a");
  await says(job, "Scanning 60%");
  await connection(page, "Live");
  await watch(job);
  await server.kill();
  await says(job, "Reconnecting · Scanning 60%");
  await server.run();
  await connection(page, "Live");
  await says(job, /^Scanning 60%/);
  await server.progress("a", "scanning", 61);
  await says(job, "Scanning 61%");
  // What happens while nobody is connected is caught up with.
  await page.context().setOffline(true);
  await server.kill();
  await says(job, "Reconnecting");
  await server.run();
  await server.progress("a", "scanning", 90);
  await server.progress("a", "storing", 90);
  await server.publish("a", "done", { name: "clip.mp4" });
  await page.context().setOffline(false);
  await says(row(page, "clip.mp4"), "Done");
  await neverFell(page);
});

test("a job that a restarted server knows nothing of says so until there is news", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const page = await visit(`${server.page}#job=a`);
  const job = row(page, "a");
  await says(job, "Scanning 60%");
  await connection(page, "Live");
  await server.kill();
  await says(job, "Reconnecting");
  await server.run();
  await says(job, "No news since the server restarted");
  await server.progress("a", "scanning", 70);
  await says(job, "Scanning 70%");
});

test("the list of all jobs holds after a restart what the server knows then", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("old", "scanning", 60);
  const page = await visit(server.operatorsPage);
  const names = page.locator("#jobs .name");
  await names.getByText("old").waitFor();
  await server.kill();
  await connection(page, "Reconnecting…");
  await server.run();
  await server.progress("new", "scanning", 10);
  await names.getByText("new").waitFor();
  await names.getByText("old").waitFor({ state: "detached" });
  assert.deepEqual(await names.allTextContents(), ["new"]);
});
