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
  assert.equal(await jobs.nth(1).locator(".what").textContent(), "video/mp4 · 5.0 MB · took 0:00");
  assert.equal(await jobs.nth(2).locator(".what").textContent(), "Scanning 30%");
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
  await page.locator("#jobs > li", { hasText: "Storing 1%" }).waitFor();
});

test("in a fleet the node that holds an upload is named", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 30);
  const page = await visit(server.operatorsPage);
  // As a fleet's server has it.
  await page.route("**/api/jobs**", async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replaceAll(/"streams":\d+/g, '$&,"node":"berlin-1"');
    await route.fulfill({ response: answer, body });
  });
  await page.getByRole("link", { name: "a", exact: true }).click();
  await row(page, "a").getByText("on berlin-1").waitFor();
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
  await page.locator("#jobs > li").first().getByText("Storing 5%").waitFor();
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
  const field = page.getByRole("textbox", { name: "Token" });
  assert.equal(await field.getAttribute("type"), "password");
  assert.equal(await field.getAttribute("aria-invalid"), null);
  assert.equal(await page.locator("#refused-answer").textContent(), "");
  for (const [text, answer] of [
    ["nonsense", "This token wasn't accepted"],
    [token("a"), "This token is good, but not for the list of all jobs"],
  ]) {
    await field.fill(text);
    await page.getByRole("button", { name: "Use token" }).click();
    await page.locator("#refused-answer", { hasText: answer }).waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await field.evaluate((field) => field.value), "");
  }
  assert.doesNotMatch(await page.locator("body").innerText(), /Bearer|claim/);
  await field.fill(token("*"));
  await page.getByRole("button", { name: "Use token" }).click();
  await page.locator("#jobs .name").getByText("a").waitFor();
  await page.locator("#refused").waitFor({ state: "hidden" });
  // It is in no address, and goes with the other view's requests as well.
  assert.doesNotMatch(page.url(), /token|ey/);
  await page.getByRole("link", { name: "a", exact: true }).click();
  await says(row(page, "a"), "Scanning 30%");
});

test("where there are no keys, nobody is sent for a token, but to the other listener", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(`${server.page}#all`);
  await page.getByText("The server's publishing listener shows them all").waitFor();
  await page.locator("#all").waitFor({ state: "hidden" });
  assert.doesNotMatch(await page.locator("main").innerText(), /token/i);
  await page.getByRole("link", { name: "Uploads" }).click();
  await page.locator("#refused").waitFor({ state: "hidden" });
});

test("all jobs have their true times, the newest life first, also after a reload", async () => {
  const server = await Server.start("--memory-only");
  for (const job of ["old", "middle", "new"]) await server.progress(job, "scanning", 30);
  await server.publish("old", "done");
  const page = await visit(server.operatorsPage);
  await page.clock.install({ time: Date.now() + 3_600_000 });
  // The visitor's clock is an hour fast, and isn't asked.
  await page.reload();
  const times = page.locator("#jobs time");
  await times.first().waitFor();
  assert.deepEqual(await names(page), ["new", "middle", "old"]);
  assert.match((await times.allTextContents()).join(), /^((just now|\d+ s ago|[1-9] min ago),?){3}$/);
  await page.clock.fastForward(125_000);
  await times.first().getByText(/^[2-9] min ago$/).waitFor();
  await server.progress("middle", "scanning", 40);
  await page.locator("#jobs > li", { hasText: "Scanning 40%" }).getByText(/^(just now|\d+ s ago)$/).waitFor();
  // What is heard of isn't newer for it.
  assert.deepEqual(await names(page), ["new", "middle", "old"]);
  await server.begin("old");
  await server.progress("old", "scanning", 1);
  await page.locator("#jobs > li", { hasText: "Scanning 1%" }).waitFor();
  assert.deepEqual(await names(page), ["old", "new", "middle"]);
});

test("beyond a hundred there are more, and a change of the filter begins anew", async () => {
  const server = await Server.start("--memory-only");
  const all = Array.from({ length: 250 }, (_, n) => ({ job: `job-${n}`, event: "done" }));
  await server.publishMany(all);
  const page = await visit(server.operatorsPage);
  await page.getByText("The newest 100 of 250").waitFor();
  const more = page.getByRole("button", { name: "Show 100 more" });
  await more.click();
  await page.getByText("The newest 200 of 250").waitFor();
  // The first of those that came has the focus.
  assert.equal(await page.locator(":focus").textContent(), "job-149");
  await more.click();
  await more.waitFor({ state: "hidden" });
  assert.equal((await names(page)).length, 250);
  assert.equal((await names(page)).at(-1), "job-0");
  await page.getByLabel("Find a job").fill("job-2");
  assert.equal((await names(page)).length, 61);
  await page.getByLabel("Find a job").fill("");
  await page.getByText("The newest 100 of 250").waitFor();
});

test("names that differ at their ends are told apart", async () => {
  for (const viewport of [{ width: 1280, height: 800 }, { width: 360, height: 740 }]) {
    const server = await Server.start("--memory-only");
    const cameras = Array.from({ length: 4 }, (_, n) => `camera_front_entrance_2026-11-29T08-0${n}-00.mp4`);
    for (const [n, name] of cameras.entries()) await server.publish(`up_${n}`, "done", { name });
    const page = await visit(server.operatorsPage, { viewport });
    await page.locator("#jobs .name").nth(3).waitFor();
    assert.deepEqual(await names(page), [...cameras].reverse());
    // Whatever is cut off, the beginning is seen and the end is.
    const cut = (part) => part.evaluate((node) => node.scrollWidth > node.clientWidth);
    for (const link of await page.locator("#jobs .name").all()) {
      assert.equal(await cut(link.locator("span").last()), false);
      const box = await link.locator("span").first().boundingBox();
      assert.ok(box.width > 150, `${box.width}`);
    }
    await page.getByRole("link", { name: cameras[2], exact: true }).click();
    await says(row(page, cameras[2]), "Done");
  }
});
