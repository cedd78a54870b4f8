// Files that are sent from the page, and jobs that its address names.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BINARY, Server, acceptUploads, file, jobs, row, says, scratch, sent, shows, stages, visit } from "./support.mjs";

/** Drops a file as from another window. */
async function drop(page, name) {
  const transfer = await page.evaluateHandle((name) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["abc"], name, { type: "text/plain" }));
    return transfer;
  }, name);
  for (const event of ["dragenter", "dragover", "drop"]) {
    await page.dispatchEvent("h1", event, { dataTransfer: transfer });
  }
}

test("a file goes through its stages to its end", async () => {
  const server = await Server.start("--memory-only");
  const { page, rows: [clip], jobs: [job] } = await sent(server, ["clip.mp4"]);
  await server.publish(job, "progress", { stage: "queued", for: "scanning", position: 2 });
  await says(clip, "Queued for scanning · #2");
  await server.progress(job, "scanning", 30);
  await says(clip, "Scanning 30%");
  await server.progress(job, "transcoding", 55.5, { speed: 2.5, etaMs: 150_000, step: "pass 2" });
  await says(clip, "Transcoding 55%");
  assert.equal(await clip.locator(".how").textContent(), "2.5× · 2 min left");
  assert.equal(await clip.locator(".detail").textContent(), "pass 2");
  assert.deepEqual(await stages(clip), ["Upload 100", "Scan 100", "Transcode 55.5", "Store 0"]);
  assert.equal(await clip.locator("[aria-current=step]").textContent(), "Transcode");
  await server.progress(job, "storing", 99);
  const digest = `sha256:${"ab".repeat(32)}`;
  await server.publish(job, "done", { contentType: "video/mp4", size: 60_000, digest });
  await says(clip, "Done");
  assert.deepEqual(await stages(clip), ["Upload 100", "Scan 100", "Transcode 100", "Store 100"]);
  assert.match(await clip.locator(".how").textContent(), /^took \d+:\d\d$/);
  assert.equal(await clip.locator(".size").textContent(), "100 kB");
  assert.equal(await clip.locator(".detail").textContent(), "video/mp4 · 60.0 kB · sha256:abababab…");
  assert.equal(await page.title(), "Landfall");
  assert.deepEqual(page.wrongs, []);
});

test("a video and a text go through the server's own stages until they are stored", async () => {
  const data = scratch();
  const server = await Server.start("--data", data);
  const clip = join(data, "clip.mp4");
  const pattern = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=3"];
  execFileSync("ffmpeg", ["-v", "error", ...pattern, "-preset", "ultrafast", clip]);
  const notes = join(data, "notes.txt");
  writeFileSync(notes, "abc ".repeat(1e5));
  const page = await visit(server.page);
  await page.setInputFiles("#files", [clip, notes]);
  for (const name of ["clip.mp4", "notes.txt"]) await says(row(page, name), "Done");
  const all = ["Upload 100", "Scan 100", "Transcode 100", "Store 100"];
  assert.deepEqual(await stages(row(page, "clip.mp4")), all);
  const told = (name) => row(page, name).locator(".detail").textContent();
  assert.match(await told("clip.mp4"), /^video\/mp4 · [\d.]+ kB · sha256:[0-9a-f]{8}…$/);
  assert.match(await told("notes.txt"), /^text\/plain · .* · Transcoding was skipped: /);
  // Whoever has the address sees them too, with every stage, and so does the operator.
  const other = await visit(page.url());
  for (const name of ["clip.mp4", "notes.txt"]) {
    await shows(row(other, name), all);
    await says(row(other, name), "Done");
  }
  assert.equal(await row(other, "notes.txt").locator(".size").textContent(), "400 kB");
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs .name").getByText("notes.txt").waitFor();
  for (const one of [page, other, list]) assert.deepEqual(one.wrongs, []);
});

test("a file that is dropped anywhere is sent", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.operatorsPage);
  await acceptUploads(page, server);
  await drop(page, "notes.txt");
  await says(row(page, "notes.txt"), "Uploading 100%");
  await page.locator("#uploads").waitFor();
  assert.deepEqual(page.wrongs, []);
});

test("a job that fails says in which stage and why, and its file is sent again", async () => {
  const server = await Server.start("--memory-only");
  const { page, rows: [clip], jobs: [job] } = await sent(server, ["clip.mp4"]);
  await server.progress(job, "scanning", 30);
  await server.publish(job, "error", { stage: "scanning", message: "it is a virus" });
  await says(clip, "Scanning failed");
  assert.equal(await clip.locator(".detail").textContent(), "it is a virus");
  assert.equal(await clip.locator(".failed").textContent(), "Scan");
  // Once more, under another name.
  await clip.getByRole("button", { name: "Try again clip.mp4" }).click();
  await says(clip, "Uploading 100%");
  assert.notDeepEqual(await jobs(page), [job]);
  assert.deepEqual(page.wrongs, []);
});

test("a job that is deleted leaves at once, and after a reload too", async () => {
  const server = await Server.start("--memory-only");
  const { page, rows: [clip, notes], jobs: [job, other] } = await sent(server, ["clip.mp4", "notes.txt"]);
  await server.progress(job, "scanning", 30);
  await says(clip, "Scanning 30%");
  await server.delete(job);
  const gone = page.locator("#gone", { hasText: "clip.mp4 was deleted" });
  await gone.waitFor();
  await clip.waitFor({ state: "detached" });
  assert.deepEqual(await jobs(page), [other]);
  await page.getByRole("button", { name: "OK" }).click();
  await gone.waitFor({ state: "hidden" });
  await server.progress(other, "scanning", 30);
  await says(notes, "Scanning 30%");
  assert.deepEqual(page.wrongs, []);
  await page.goto("about:blank");
  await server.delete(other);
  await page.goBack();
  await page.locator("#gone", { hasText: "notes.txt was deleted" }).waitFor();
  assert.deepEqual(await jobs(page), []);
});

test("a file that isn't taken says why", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await page.route("**/api/tus/", (route) =>
    route.fulfill({ status: 413, json: { error: "it is too large: send 1 GiB at most" } }),
  );
  await page.setInputFiles("#files", file("clip.mp4"));
  await says(row(page, "clip.mp4"), "Not sent");
  const detail = row(page, "clip.mp4").locator(".detail");
  assert.equal(await detail.textContent(), "it is too large: send 1 GiB at most");
});

test("where a file takes a token, the page asks for it and sends the file again", async () => {
  const key = join(scratch(), "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const server = await Server.start("--data", scratch(), "--token-key", key);
  const page = await visit(server.page);
  await page.setInputFiles("#files", { ...file("notes.txt"), buffer: Buffer.from("abc") });
  await says(row(page, "notes.txt"), "A token is needed");
  await page.getByRole("heading", { name: "A token is needed here" }).waitFor();
  assert.equal(await page.locator("#uploads-title").textContent(), "Waiting for a token");
  const token = (...claims) =>
    execFileSync(BINARY, ["token", ...claims, "--ttl", "1h", "--token-key", key]).toString().trim();
  const enter = async (text) => {
    await page.getByRole("textbox", { name: "Token" }).fill(text);
    await page.getByRole("button", { name: "Use token" }).click();
  };
  await enter(token("--jobs", "up_*"));
  await page.getByText("This token is good, but not for uploads").waitFor();
  await enter(token("--jobs", "up_*", "--upload", "up_*"));
  await says(row(page, "notes.txt"), "Done");
  assert.equal(await page.locator("#rows > li").count(), 1);
  await page.locator("#refused").waitFor({ state: "hidden" });
});

test("two files are sent at a time, and the others wait for their turn", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  const held = [];
  await page.route("**/api/tus/", (route) => held.push(route));
  await page.setInputFiles("#files", ["a", "b", "c"].map((name) => file(name)));
  await says(row(page, "c"), "Waiting to be sent");
  await says(row(page, "b"), "Uploading");
  await row(page, "a").getByRole("button", { name: "Remove a" }).click();
  await says(row(page, "c"), "Uploading");
  assert.equal(await page.locator("#rows > li").count(), 2);
  await row(page, "b").getByRole("button", { name: "Cancel b" }).click();
  await says(row(page, "b"), "Cancelled");
  await row(page, "b").getByRole("button", { name: "Try again b" }).waitFor();
  assert.deepEqual(page.wrongs, []);
});

test("any job can be followed by its name, with the stages that it has", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("job_8f3a", "encoding", 20);
  const page = await visit(server.page);
  await page.getByLabel("Follow a job by its name").fill("job_8f3a");
  await page.keyboard.press("Enter");
  const job = row(page, "job_8f3a");
  await says(job, "Encoding 20%");
  assert.deepEqual(await stages(job), ["Encoding 20"]);
  assert.deepEqual(await jobs(page), ["job_8f3a"]);
  await job.getByRole("button", { name: "Remove job_8f3a" }).click();
  assert.deepEqual(await jobs(page), []);
  assert.deepEqual(page.wrongs, []);
});
