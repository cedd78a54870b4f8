// What is made of a job's events, without a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../src/web/page/job.js", import.meta.url), "utf8");
const { Job } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

/** A job after these events, each a stage and a percent, a name of an end, or data. */
function after(...events) {
  const job = new Job("a");
  for (const event of events) hear(job, event);
  return job;
}

function hear(job, event, id = null) {
  if (typeof event === "string") return job.apply(event, { jobId: "a" }, id, 1);
  const data = Array.isArray(event) ? { stage: event[0], percent: event[1] } : event;
  return job.apply("progress", { jobId: "a", ...data }, id, 1);
}

const of = (job) => [...job.stages].map(([stage, percent]) => `${stage} ${percent}`).join(", ");

test("a stage ends when another begins", () => {
  assert.equal(of(after(["scanning", 40], ["storing", 10])), "scanning 100, storing 10");
});

test("an upload's stages are known before they come, and those that never came go at the end", () => {
  const job = after(["uploading", 50]);
  assert.equal(of(job), "uploading 50, scanning 0, transcoding 0, storing 0");
  hear(job, ["scanning", 50]);
  hear(job, ["storing", 50]);
  hear(job, "done");
  assert.equal(of(job), "uploading 100, scanning 100, transcoding 100, storing 100");
  assert.equal(of(after(["uploading", 50], ["scanning", 50], "done")), "uploading 100, scanning 100");
});

test("a stage that nobody expected stands behind the one before it", () => {
  const job = after(["uploading", 1], ["scanning", 50], ["thumbnails", 20]);
  assert.equal(of(job), "uploading 100, scanning 100, thumbnails 20, transcoding 0, storing 0");
});

test("a percentage never falls within a stage, and isn't lost where an event has none", () => {
  const job = after(["scanning", 60], ["scanning", 30]);
  assert.equal(job.percent, 60);
  hear(job, { stage: "scanning" });
  assert.equal(job.percent, 60);
  hear(job, { percent: 70 });
  assert.equal(of(job), "scanning 70");
});

test("a stage that is begun anew begins anew", () => {
  const job = after(["scanning", 100], ["transcoding", 60], ["scanning", 10]);
  assert.equal(of(job), "scanning 10, transcoding 0");
  assert.equal(after(["scanning", 60], { stage: "scanning", percent: 0, restarted: true }).percent, 0);
});

test("another try or attempt begins anew, with what was uploaded", () => {
  const tried = after(["scanning", 60], { stage: "scanning", percent: 0, retry: 1, reason: "busy" });
  assert.equal(tried.percent, 0);
  const job = after(["uploading", 100], { stage: "scanning", percent: 90, attempt: 1 });
  hear(job, { stage: "queued", attempt: 2, for: "scanning", position: 1 });
  assert.equal(of(job), "uploading 100, scanning 0, transcoding 0, storing 0");
  hear(job, { stage: "scanning", percent: 5, attempt: 2 });
  assert.equal(job.percent, 5);
});

test("a stage that wasn't needed says why", () => {
  const job = after(["uploading", 100], {
    stage: "transcoding", percent: 100, skipped: true, reason: "it is no media",
  });
  assert.deepEqual([...job.skipped], [["transcoding", "it is no media"]]);
});

test("what came before an end is over, though its events are gone", () => {
  const failed = new Job("a");
  const data = { stage: "transcoding", attempt: 1, name: "clip.mp4" };
  failed.apply("error", data, null, 1);
  assert.equal(of(failed), "uploading 100, scanning 100, transcoding 0, storing 0");
  assert.equal(failed.name, "clip.mp4");
  const done = new Job("a");
  const durations = { queuedMs: 1, scanningMs: 2, storingMs: 3 };
  done.apply("done", { durations, size: 5 }, null, 1);
  assert.equal(of(done), "uploading 100, scanning 100, storing 100");
  assert.equal(of(after({ stage: "queued", for: "storing", attempt: 1 })), "uploading 100, scanning 100, transcoding 100, storing 0");
});

test("figures that aren't any change nothing", () => {
  const job = after(["scanning", 40], { stage: "scanning", percent: "x", size: -1 }, { stage: [], percent: 1e9 });
  assert.deepEqual([job.stage, job.percent, job.size], ["scanning", 100, null]);
});

test("a queue has a place, and what came before it is over", () => {
  const job = after(["uploading", 90], { stage: "queued", position: 3 });
  assert.equal(job.position, 3);
  assert.equal(of(job), "uploading 100, scanning 0, transcoding 0, storing 0");
  hear(job, ["scanning", 5]);
  assert.equal(job.position, null);
});

test("an event that is known, or older, is no news", () => {
  const job = new Job("a");
  assert.equal(hear(job, ["scanning", 50], "7"), true);
  assert.equal(hear(job, ["scanning", 60], "7"), false);
  assert.equal(hear(job, ["scanning", 70], "6"), false);
  assert.equal(job.percent, 50);
  // Beyond what a double holds.
  assert.equal(hear(job, ["scanning", 80], "18446744073709551614"), true);
  assert.equal(hear(job, ["scanning", 90], "18446744073709551615"), true);
});

test("what has ended may be deleted, and what was deleted may begin anew", () => {
  const job = after(["scanning", 50], "deleted");
  assert.deepEqual([job.state, job.isOver, job.stage, job.ended], ["deleted", true, "scanning", 1]);
  assert.equal(hear(job, "deleted"), false);
  assert.equal(hear(job, "done"), false);
  hear(job, ["scanning", 10]);
  assert.deepEqual([job.state, job.percent], ["running", 10]);
  assert.equal(after(["scanning", 50], "done", "deleted").state, "deleted");
});

test("nothing follows an end but another attempt", () => {
  const job = after(["scanning", 50], "error");
  assert.deepEqual([job.state, job.stage, job.ended], ["error", "scanning", 1]);
  assert.equal(hear(job, "done"), false);
  assert.equal(job.state, "error");
  hear(job, ["scanning", 10]);
  assert.deepEqual([job.state, job.percent, job.ended], ["running", 10, null]);
});
