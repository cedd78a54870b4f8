// Files that are sent from the page, and jobs that its address names.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BINARY, Server, jobs, row, says, scratch, stages, visit } from "./support.mjs";

const clip = { name: "clip.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(100_000) };

/** Answers uploads in the server's place, so that a test says what becomes of them. */
async function acceptUploads(page) {
  const sizes = new Map();
  await page.route("**/api/tus/**", (route) => {
    const request = route.request();
    const { pathname } = new URL(request.url());
    if (request.method() === "PATCH") {
      return route.fulfill({ status: 204, headers: { "Upload-Offset": sizes.get(pathname) } });
    }
    const fields = request.headers();
    const job = /(?:^|,)job ([^,]+)/.exec(fields["upload-metadata"]);
    const jobId = Buffer.from(job[1], "base64").toString();
    const Location = pathname + jobId;
    sizes.set(Location, fields["upload-length"]);
    return route.fulfill({ status: 201, headers: { Location }, json: { jobId, stages: 3 } });
  });
}

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
  const page = await visit(server.page);
  await acceptUploads(page);
  await page.setInputFiles("#files", clip);
  const clipRow = row(page, "clip.mp4");
  await says(clipRow, "Uploading 100 %");
  const [job] = await jobs(page);
  await server.publish(job, "progress", { stage: "queued", position: 2 });
  await says(clipRow, "Queued, number 2 in line");
  await server.progress(job, "scanning", 30);
  await says(clipRow, "Scanning 30 %");
  await server.progress(job, "transcoding", 55.5, { speed: 2.5 });
  await says(clipRow, "Transcoding 55 %");
  assert.match(await clipRow.locator(".how").textContent(), /^2\.5× · \d+:\d\d$/);
  assert.deepEqual(await stages(clipRow), ["Upload 100", "Scan 100", "Transcode 55.5", "Store 0"]);
  assert.equal(await clipRow.locator("[aria-current=step]").textContent(), "Transcode");
  await server.progress(job, "storing", 99);
  await server.publish(job, "done", { contentType: "video/mp4", digest: `sha256:${"ab".repeat(32)}` });
  await says(clipRow, "Done");
  assert.deepEqual(await stages(clipRow), ["Upload 100", "Scan 100", "Transcode 100", "Store 100"]);
  assert.match(await clipRow.locator(".how").textContent(), /^took \d+:\d\d$/);
  assert.equal(await clipRow.locator(".detail").textContent(), "video/mp4 · sha256:abababababababab…");
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
  assert.match(await told("clip.mp4"), /^video\/mp4 · sha256:[0-9a-f]{16}…$/);
  assert.match(await told("notes.txt"), /^text\/plain · .* · Transcoding was skipped: /);
  // Whoever has the address sees them too, and so does the operator, by their names.
  const other = await visit(page.url());
  await says(row(other, "notes.txt"), "Done");
  assert.equal(await row(other, "notes.txt").locator(".size").textContent(), "400 kB");
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs .name").getByText("notes.txt").waitFor();
  for (const one of [page, other, list]) assert.deepEqual(one.wrongs, []);
});

test("a file that is dropped anywhere is sent", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.operatorsPage);
  await acceptUploads(page);
  await drop(page, "notes.txt");
  await says(row(page, "notes.txt"), "Uploading 100 %");
  await page.locator("#uploads").waitFor();
  assert.deepEqual(page.wrongs, []);
});

test("a job that fails says in which stage and why", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await acceptUploads(page);
  await page.setInputFiles("#files", clip);
  const clipRow = row(page, "clip.mp4");
  await says(clipRow, "Uploading 100 %");
  const [job] = await jobs(page);
  await server.progress(job, "scanning", 30);
  await server.publish(job, "error", { stage: "scanning", message: "it is a virus" });
  await says(clipRow, "Scanning failed");
  assert.equal(await clipRow.locator(".detail").textContent(), "it is a virus");
  assert.equal(await clipRow.locator(".failed").textContent(), "Scan");
  // Once more, under another name.
  await clipRow.getByRole("button", { name: "Try again" }).click();
  await says(clipRow, "Uploading 100 %");
  assert.notDeepEqual(await jobs(page), [job]);
  assert.deepEqual(page.wrongs, []);
});

test("a job that is deleted says so, also after a reload, and a file is sent again", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await acceptUploads(page);
  await page.setInputFiles("#files", clip);
  const clipRow = row(page, "clip.mp4");
  await says(clipRow, "Uploading 100 %");
  const [job] = await jobs(page);
  await server.progress(job, "scanning", 30);
  await says(clipRow, "Scanning 30 %");
  await server.delete(job);
  await says(clipRow, "Deleted");
  assert.match(await clipRow.locator(".detail").textContent(), /deleted this job/);
  assert.equal(await clipRow.locator("[aria-current=step]").count(), 0);
  assert.equal(await page.title(), "Landfall");
  assert.deepEqual(page.wrongs, []);
  await page.reload();
  await says(row(page, "clip.mp4"), "Deleted");
  // Begun anew, it is followed as any other.
  await server.begin(job);
  await server.progress(job, "storing", 10);
  await page.reload();
  await says(row(page, "clip.mp4"), "Storing 10 %");
});

test("a file that isn't taken says why", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await page.route("**/api/tus/", (route) =>
    route.fulfill({ status: 413, json: { error: "it is too large: send 1 GiB at most" } }),
  );
  await page.setInputFiles("#files", clip);
  await says(row(page, "clip.mp4"), "Not sent");
  const detail = row(page, "clip.mp4").locator(".detail");
  assert.equal(await detail.textContent(), "it is too large: send 1 GiB at most");
});

test("where a file takes a token, the page asks for it and sends the file again", async () => {
  const key = join(scratch(), "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const server = await Server.start("--data", scratch(), "--token-key", key);
  const page = await visit(server.page);
  await page.setInputFiles("#files", { ...clip, name: "notes.txt", buffer: Buffer.from("abc") });
  await says(row(page, "notes.txt"), "Not sent");
  await page.getByRole("heading", { name: "These jobs take a token" }).waitFor();
  const flags = ["--jobs", "up_*", "--upload", "up_*", "--ttl", "1h", "--token-key", key];
  const token = execFileSync(BINARY, ["token", ...flags]).toString().trim();
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Use it" }).click();
  await says(row(page, "notes.txt"), "Done");
  assert.equal(await page.locator("#rows > li").count(), 1);
  await page.locator("#refused").waitFor({ state: "hidden" });
});

test("two files are sent at a time, and the others wait for their turn", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  const held = [];
  await page.route("**/api/tus/", (route) => held.push(route));
  const files = ["a", "b", "c"].map((name) => ({ ...clip, name }));
  await page.setInputFiles("#files", files);
  await says(row(page, "c"), "Waiting to be sent");
  await says(row(page, "b"), "Uploading");
  await row(page, "a").getByRole("button", { name: "Cancel a" }).click();
  await says(row(page, "c"), "Uploading");
  assert.equal(await page.locator("#rows > li").count(), 2);
  assert.deepEqual(page.wrongs, []);
});

test("a reload picks up running jobs and their names, and shows what has ended", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await acceptUploads(page);
  await page.setInputFiles("#files", ["run.mp4", "over.mp4"].map((name) => ({ ...clip, name })));
  await says(row(page, "run.mp4"), "Uploading 100 %");
  await says(row(page, "over.mp4"), "Uploading 100 %");
  const [runs, over] = await jobs(page);
  await server.progress(runs, "transcoding", 40);
  await server.publish(over, "error", { stage: "scanning", message: "it is a virus" });
  await says(row(page, "run.mp4"), "Transcoding 40 %");
  await says(row(page, "over.mp4"), "Scanning failed");
  await page.reload();
  await says(row(page, "run.mp4"), "Transcoding 40 %");
  await says(row(page, "over.mp4"), "Scanning failed");
  assert.deepEqual(await stages(row(page, "run.mp4")), [
    "Upload 100",
    "Scan 100",
    "Transcode 40",
    "Store 0",
  ]);
  await server.progress(runs, "storing", 10);
  await says(row(page, "run.mp4"), "Storing 10 %");
  await server.publish(runs, "done");
  await says(row(page, "run.mp4"), "Done");
  await page.getByRole("button", { name: "Clear finished" }).click();
  assert.deepEqual(await jobs(page), []);
  assert.deepEqual(page.wrongs, []);
});

test("any job can be followed by its name, with the stages that it has", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("job_8f3a", "encoding", 20);
  const page = await visit(server.page);
  await page.getByLabel("Follow a job by its name").fill("job_8f3a");
  await page.keyboard.press("Enter");
  const job = row(page, "job_8f3a");
  await says(job, "Encoding 20 %");
  assert.deepEqual(await stages(job), ["Encoding 20"]);
  assert.deepEqual(await jobs(page), ["job_8f3a"]);
  await job.getByRole("button", { name: "Remove job_8f3a" }).click();
  assert.deepEqual(await jobs(page), []);
  assert.deepEqual(page.wrongs, []);
});
