// The list of all jobs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BINARY, Server, row, says, scratch, visit } from "./support.mjs";

const names = (page) => page.locator("#jobs .name").allTextContents();
const count = (page, label) => page.locator("#filter label", { hasText: label }).locator("b");

test("jobs come and change as they do, and are told apart by their state", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.operatorsPage);
  await page.getByText("No jobs yet").waitFor();
  await server.progress("a", "scanning", 30);
  await server.progress("b", "scanning", 30);
  await server.progress("c", "scanning", 30);
  await server.publish("b", "done", { contentType: "video/mp4", size: 5_000_000 });
  await server.publish("c", "error", { stage: "scanning", message: "it is a virus" });
  await count(page, "Failed").getByText("1").waitFor();
  assert.deepEqual(await names(page), ["c", "b", "a"]);
  const jobs = page.locator("#jobs > li");
  assert.equal(await jobs.nth(0).locator(".what").textContent(), "Scanning: it is a virus");
  assert.equal(await jobs.nth(1).locator(".what").textContent(), "video/mp4 · 5.0 MB");
  assert.equal(await jobs.nth(2).locator(".what").textContent(), "Scanning 30 %");
  for (const [state, expected] of [["Running", ["a"]], ["Done", ["b"]], ["Failed", ["c"]]]) {
    await page.getByRole("radio", { name: new RegExp(state) }).check();
    assert.deepEqual(await names(page), expected);
  }
  // One that runs comes under the filter that is chosen when it ends so.
  await server.publish("a", "error", { message: "no space left" });
  await page.locator("#jobs .name").getByText("a").waitFor();
  assert.deepEqual(await names(page), ["c", "a"]);
  await page.getByRole("radio", { name: /All/ }).check();
  await page.getByLabel("Find a job").fill("B");
  assert.deepEqual(await names(page), ["b"]);
  await page.getByLabel("Find a job").fill("");
  // Chosen in the list, a job is followed beside the uploads.
  await page.getByRole("link", { name: "a", exact: true }).click();
  await says(row(page, "a"), "Failed");
  assert.deepEqual(page.wrongs, []);
});

test("a job that is deleted leaves the list", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.operatorsPage);
  for (const job of ["a", "b"]) await server.progress(job, "scanning", 30);
  await count(page, "Running").getByText("2").waitFor();
  await server.delete("a");
  await count(page, "Running").getByText("1").waitFor();
  assert.deepEqual(await names(page), ["b"]);
  // Its name begins anew.
  await server.begin("a");
  await server.progress("a", "storing", 1);
  await page.locator("#jobs > li", { hasText: "Storing 1 %" }).waitFor();
});

test("thousands of jobs are counted, and the newest are shown", async () => {
  const server = await Server.start("--memory-only", "--max-event-rate", "off");
  const all = Array.from({ length: 5000 }, (_, n) => ({
    job: `job-${n}`,
    event: "progress",
    data: { stage: "scanning", percent: n % 100 },
  }));
  await server.publishMany(all);
  const page = await visit(server.operatorsPage);
  await page.getByText(/The newest 100 of 5.?000/).waitFor();
  assert.equal((await names(page)).length, 100);
  assert.equal((await names(page))[0], "job-4999");
  // All of them go on at once, five times.
  for (let round = 1; round <= 5; round++) {
    await server.publishMany(all.map((event) => ({ ...event, data: { stage: "storing", percent: round } })));
  }
  await page.locator("#jobs > li").first().getByText("Storing 5 %").waitFor();
  await server.publishMany(all.slice(0, 4000).map(({ job }) => ({ job, event: "done" })));
  await count(page, "Done").getByText(/4.?000/).waitFor();
  await page.getByRole("radio", { name: /Done/ }).check();
  await page.getByText(/The newest 100 of 4.?000/).waitFor();
  await page.getByLabel("Find a job").fill("job-1234");
  assert.deepEqual(await names(page), ["job-1234"]);
  assert.ok((await page.locator("*").count()) < 1500);
  assert.deepEqual(page.wrongs, []);
});

test("where the list isn't open, the page says what to do, and takes a token", async () => {
  const key = join(scratch(), "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const server = await Server.start("--memory-only", "--token-key", key);
  const token = (jobs) =>
    execFileSync(BINARY, [
      "token", "--jobs", jobs, "--ttl", "1h", "--token-key", key,
    ]).toString().trim();
  await server.progress("a", "scanning", 30);
  const page = await visit(`${server.page}#all`);
  await page.getByRole("heading", { name: "This list isn't open to everyone" }).waitFor();
  await page.getByText("The server's answer: 401").waitFor();
  const field = page.getByLabel("Token");
  await field.fill(token("a"));
  await page.getByRole("button", { name: "Use it" }).click();
  await page.getByText("The server's answer: 403").waitFor();
  await field.fill(token("*"));
  await page.getByRole("button", { name: "Use it" }).click();
  await page.locator("#jobs .name").getByText("a").waitFor();
  await page.locator("#refused").waitFor({ state: "hidden" });
  // It is in no address, and goes with the other view's requests as well.
  assert.doesNotMatch(page.url(), /token|ey/);
  await page.getByRole("link", { name: "a", exact: true }).click();
  await says(row(page, "a"), "Scanning 30 %");
});

test("where there are no keys, the public listener's page sends the operator to the other", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(`${server.page}#all`);
  await page.getByText("The publishing listener shows them all").waitFor();
  await page.getByText("The server's answer: 403").waitFor();
  await page.locator("#all").waitFor({ state: "hidden" });
  await page.getByRole("link", { name: "Uploads" }).click();
  await page.locator("#refused").waitFor({ state: "hidden" });
});
