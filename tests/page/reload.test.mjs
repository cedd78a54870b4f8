// A reload: what was sent, shown and failed is there again.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Server, file, jobs, row, says, scratch, sent, shows, visit } from "./support.mjs";

const all = (page) => page.locator("#rows h3").allTextContents();

/** A page that sends a large file over a slow line, until it is told to `hurry`. */
async function sendsSlowly(name) {
  const data = scratch();
  const server = await Server.start("--data", data);
  const page = await visit(server.page);
  const wire = await page.context().newCDPSession(page);
  const limit = (uploadThroughput) =>
    wire.send("Network.emulateNetworkConditions", {
      offline: false, latency: 0, downloadThroughput: -1, uploadThroughput,
    });
  await limit(300_000);
  const whole = join(data, name);
  writeFileSync(whole, Buffer.alloc(8_000_000));
  await page.setInputFiles("#files", whole);
  return { page, whole, hurry: () => limit(-1) };
}

test("a reload picks up running jobs in the same order, with every stage, and what has ended", async () => {
  const server = await Server.start("--memory-only");
  const names = ["big.mov", "failed.mp4", "notes.txt", "waits.mp4", "run.mp4"];
  const { page, jobs: [big, failed, notes, waits, run] } = await sent(server, names);
  for (const job of [big, failed, notes, waits, run]) {
    await server.progress(job, "uploading", 100);
    await server.progress(job, "scanning", 50);
  }
  await server.publish(failed, "error", { stage: "transcoding", message: "moov atom not found" });
  await server.progress(big, "transcoding", 40);
  await server.progress(run, "transcoding", 40);
  await server.progress(notes, "storing", 90);
  await server.publish(notes, "done", { contentType: "text/plain" });
  await server.publish(waits, "progress", { stage: "queued", for: "transcoding", position: 1 });
  const isShown = async () => {
    await says(row(page, "run.mp4"), "Transcoding 40%");
    await says(row(page, "failed.mp4"), "Transcoding failed");
    await says(row(page, "notes.txt"), "Done");
    await says(row(page, "waits.mp4"), "Queued for transcoding · next");
    assert.deepEqual(await all(page), names);
    const before = ["Upload 100", "Scan 100"];
    await shows(row(page, "run.mp4"), [...before, "Transcode 40", "Store 0"]);
    await shows(row(page, "waits.mp4"), [...before, "Transcode 0", "Store 0"]);
    await shows(row(page, "failed.mp4"), [...before, "Transcode 0", "Store 0"]);
    await shows(row(page, "notes.txt"), [...before, "Transcode 100", "Store 100"]);
    await row(page, "failed.mp4").getByRole("button", { name: "Try again failed.mp4" }).waitFor();
  };
  await isShown();
  await page.reload();
  await isShown();
  const took = await row(page, "notes.txt").locator(".how").textContent();
  await page.waitForTimeout(1500);
  await page.reload();
  await isShown();
  // How long it took is the server's to say.
  assert.equal(await row(page, "notes.txt").locator(".how").textContent(), took);
  await server.progress(run, "storing", 10);
  await says(row(page, "run.mp4"), "Storing 10%");
  await server.publish(run, "done");
  await says(row(page, "run.mp4"), "Done");
  await page.getByRole("button", { name: "Clear finished" }).click();
  assert.deepEqual(await jobs(page), [big, waits]);
  assert.deepEqual(page.wrongs, []);
});

test("what failed before a reload is tried again with the file that is chosen", async () => {
  const server = await Server.start("--memory-only");
  const { page, rows: [clip], jobs: [job] } = await sent(server, ["clip.mp4"]);
  await server.publish(job, "error", { stage: "scanning", message: "no word from the scanner" });
  await says(clip, "Scanning failed");
  await page.reload();
  await says(clip, "Scanning failed");
  const choosing = page.waitForEvent("filechooser");
  await clip.getByRole("button", { name: "Try again clip.mp4" }).click();
  await (await choosing).setFiles(file("clip.mp4"));
  await says(clip, "Uploading 100%");
  assert.equal(await page.locator("#rows > li").count(), 1);
});

test("an upload that a reload cut off goes on where it was, when its file is chosen again", async () => {
  const { page, whole, hurry } = await sendsSlowly("long.bin");
  const long = row(page, "long.bin");
  await says(long, /Uploading [1-9]\d%/);
  await long.locator(".how", { hasText: /B\/s · .* left/ }).waitFor();
  await page.reload();
  await hurry();
  await says(long, /Paused at \d+%/);
  assert.match(await long.locator(".detail").textContent(), /it goes on from there/);
  assert.equal(await page.locator("#uploads-title").textContent(), "1 paused");
  const starts = [];
  page.on("request", (request) => {
    if (request.method() === "PATCH") starts.push(Number(request.headers()["upload-offset"]));
  });
  const choosing = page.waitForEvent("filechooser");
  await long.getByRole("button", { name: "Choose the file long.bin" }).click();
  await (await choosing).setFiles(whole);
  await says(long, "Done");
  assert.equal(starts.length, 1);
  assert.ok(starts[0] > 0, `${starts}`);
  assert.equal((await jobs(page)).length, 1);
  assert.deepEqual(page.wrongs, []);
});

test("another file than the one that was cut off begins anew", async () => {
  const { page, hurry } = await sendsSlowly("a.bin");
  await says(row(page, "a.bin"), /Uploading \d\d%/);
  const [job] = await jobs(page);
  await page.reload();
  await hurry();
  await says(row(page, "a.bin"), "Paused");
  const choosing = page.waitForEvent("filechooser");
  await row(page, "a.bin").getByRole("button", { name: "Choose the file" }).click();
  await (await choosing).setFiles({ ...file("b.txt"), buffer: Buffer.from("abc"), mimeType: "text/plain" });
  await says(row(page, "b.txt"), "Done");
  assert.notDeepEqual(await jobs(page), [job]);
  assert.equal(await page.locator("#rows > li").count(), 1);
});
