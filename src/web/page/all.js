// The second view: every job there is, for whoever runs the server.

import { ago, bytes, clean, clock, doing, now, title } from "./format.js";
import { Job } from "./job.js";
import { $, address, ask, connection, isRefusal, put, putName, refused, trouble, why } from "./shell.js";
import { followAll } from "./stream.js";

/** Jobs that are shown at first, and more at a time. */
const PAGE = 100;
/** What is asked for at once after that. */
const PAGE_MAX = 1000;
/** Jobs that are kept: as many as a server keeps by default. */
const KEPT_MAX = 20_000;
const DRAW_EVERY_MS = 250;
const ASK_EVERY_MS = 1000;
const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 30_000;
const STATES = { running: "Running", done: "Done", error: "Failed" };

/** Those that the server had when it was asked, the newest first. */
const listed = new Map();
/** Those that have begun since, the newest last. */
const begun = new Map();
const counts = { running: 0, done: 0, error: 0 };
const nodes = new Map();
/** How many may be shown. */
let room = PAGE;
/** Whose turn it is to be asked after. */
let asked = 0;
/** Ends what is asked and followed. */
let run = null;
/** Whether older jobs are still to come. */
let isListing = false;
let timer = null;
let due = null;

export const all = {
  show() {
    this.reopen();
  },

  reopen() {
    run?.abort();
    run = new AbortController();
    list(run.signal);
    draw();
  },

  hide() {
    run?.abort();
    refused("all");
    trouble();
    connection("all");
  },
};

/** Asks for what there is, and follows it from there. */
async function list(signal) {
  let stop = null;
  signal.addEventListener("abort", () => stop?.());
  connection("all", "connecting");
  isListing = true;
  let next = "";
  let begins = true;
  while (next !== null) {
    const answer = await page(next, begins ? PAGE : PAGE_MAX, signal);
    if (!answer) return;
    const { said, skew } = answer;
    if (begins) {
      refused("all");
      clear();
      stop = followAll({ at: said.at, onEvent: heard, onState: turned });
      begins = false;
    }
    for (const snapshot of said.jobs) know(snapshot, skew);
    next = listed.size < KEPT_MAX ? said.next : null;
    later();
  }
  isListing = false;
  later();
}

/** A page of the list, when it can be had; null once it isn't wanted any more. */
async function page(next, limit, signal) {
  for (let wait = WAIT_FIRST_MS; ; wait = Math.min(wait * 2, WAIT_MOST_MS)) {
    const answer = await ask(`api/jobs?limit=${limit}&after=${next}`, { signal }).catch(() => null);
    if (signal.aborted) return null;
    if (answer && isRefusal(answer)) {
      refused("all", answer);
      return null;
    }
    if (answer?.ok && Array.isArray(answer.said?.jobs)) return answer;
    connection("all", "reconnecting");
    trouble(why(answer));
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) return null;
  }
}

/** Takes a snapshot of the list. Events of it may have come before it did. */
function know({ jobId, lastEventId, lastEvent, createdAt, updatedAt }, skew) {
  const early = begun.get(jobId);
  const job = early ?? new Job(jobId);
  begun.delete(jobId);
  listed.set(jobId, job);
  // One that was begun without an event runs.
  const { event, data } = lastEvent ?? { event: "begun", data: {} };
  if (lastEvent || !early) apply(job, event, data, lastEventId, Date.parse(updatedAt) + skew);
  job.began = Date.parse(createdAt) + skew;
}

const turned = (state) => connection("all", state, "api/jobs?limit=1");

function heard(event, data, id) {
  // Events are missing, or the server has lost what it knew: the list has it all.
  if (event === "reset") return later(all.reopen);
  const { jobId } = data;
  let job = begun.get(jobId) ?? listed.get(jobId);
  if (event === "deleted") {
    if (job) remove(job);
    return later();
  }
  const wasOver = job?.isOver;
  if (!job) {
    job = new Job(jobId);
    begun.set(jobId, job);
    if (begun.size + listed.size > KEPT_MAX) forget();
  }
  if (!apply(job, event, data, id, now())) return;
  if (wasOver && !job.isOver) {
    // Another life, so the newest.
    listed.delete(jobId);
    begun.delete(jobId);
    begun.set(jobId, job);
  }
  later();
}

function apply(job, event, data, id, at) {
  const before = job.state;
  if (!job.apply(event, data, id, at)) return false;
  if (job.state !== before) {
    if (before in counts) counts[before]--;
    counts[job.state]++;
  }
  return true;
}

function clear() {
  listed.clear();
  begun.clear();
  for (const state of Object.keys(counts)) counts[state] = 0;
}

/** Makes room: the oldest go. */
function forget() {
  const oldest = listed.size ? [...listed.values()].slice(-PAGE) : [...begun.values()].slice(0, PAGE);
  oldest.forEach(remove);
}

function remove(job) {
  listed.delete(job.id);
  begun.delete(job.id);
  if (job.state in counts) counts[job.state]--;
}

/** No event says that a job was forgotten: those that are shown are asked after in turn. */
async function askAfter() {
  if ($("all").hidden || document.hidden || !run || run.signal.aborted) return;
  const shown = [...nodes.keys()];
  const id = shown[asked++ % shown.length];
  const job = begun.get(id) ?? listed.get(id);
  // A path of dots alone leads elsewhere.
  if (!job || /^\.+$/.test(id)) return;
  const { updated } = job;
  const answer = await ask(`api/jobs/${id}`).catch(() => null);
  const isSame = job === (begun.get(id) ?? listed.get(id)) && job.updated === updated;
  if ([404, 410].includes(answer?.status) && answer.said && isSame) {
    remove(job);
    later();
  }
}

/** Draws soon, or asks for the list anew, which draws as well. */
function later(act = draw) {
  if (!timer || act !== draw) due = act;
  timer ??= setTimeout(() => {
    timer = null;
    due();
  }, DRAW_EVERY_MS);
}

function draw() {
  if ($("all").hidden) return;
  const state = document.querySelector("#filter :checked").value;
  const text = $("find").value.trim().toLowerCase();
  const fits = (job) =>
    (!state || job.state === state) &&
    (!text || job.id.toLowerCase().includes(text) || job.name?.toLowerCase().includes(text));
  let count = 0;
  const shown = [];
  for (const job of [...[...begun.values()].reverse(), ...listed.values()]) {
    if (job.state === "waiting" || !fits(job)) continue;
    count++;
    if (shown.length < room) shown.push(job);
  }
  drawCounts();
  drawList(shown);
  $("more").hidden = count <= room;
  put($("shown"), summary(count));
}

function summary(count) {
  const looking = isListing ? "Looking for older jobs…" : "";
  if (count > room) return `The newest ${room} of ${count.toLocaleString("en")}. ${looking}`;
  if (count > 0 || isListing) return looking;
  return listed.size + begun.size ? "No job like that" : "No jobs yet: they appear here as they begin";
}

function drawList(shown) {
  const keep = new Set(shown.map((job) => job.id));
  for (const [id, node] of nodes) {
    if (keep.has(id)) continue;
    node.remove();
    nodes.delete(id);
  }
  const list = $("jobs");
  let at = list.firstElementChild;
  for (const job of shown) {
    const node = nodes.get(job.id) ?? newNode(job);
    drawJob(node, job);
    // What stands where it belongs isn't touched: moving it would take its focus.
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
}

function drawCounts() {
  const total = counts.running + counts.done + counts.error;
  for (const input of document.querySelectorAll("#filter input")) {
    const count = input.value ? counts[input.value] : total;
    put(input.parentNode.querySelector("b"), count.toLocaleString("en"));
  }
}

function newNode(job) {
  const node = $("job-row").content.firstElementChild.cloneNode(true);
  nodes.set(job.id, node);
  return node;
}

function drawJob(node, job) {
  const part = (name) => node.querySelector(name);
  node.dataset.state = job.state;
  const others = address.jobs.filter((id) => id !== job.id);
  part(".name").href = address.of([job.id, ...others], "uploads");
  putName(part(".name"), job.name ?? job.id, job.name && job.id);
  put(part(".pill"), STATES[job.state]);
  const bar = part("progress");
  bar.hidden = job.state !== "running";
  bar.setAttribute("aria-label", `Progress of ${clean(job.name ?? job.id)}`);
  if (job.percent === null) bar.removeAttribute("value");
  else bar.value = job.percent;
  put(part(".what"), outcome(job));
  part(".what").title = part(".what").textContent;
  put(part("time"), ago(now() - job.updated));
  part("time").title = new Date(job.updated).toLocaleString();
}

function outcome(job) {
  const { data } = job;
  if (job.state === "running") return doing(job);
  if (job.state === "error") {
    return [job.stage && title(job.stage), typeof data.message === "string" ? data.message : "failed"].filter(Boolean).join(": ");
  }
  const size = job.made !== null && bytes(job.made);
  const took = `took ${clock(data.elapsedMs > 0 ? data.elapsedMs : job.updated - job.began)}`;
  return [data.contentType, size, took].filter(Boolean).join(" · ");
}

const anew = () => {
  room = PAGE;
  draw();
};
$("filter").addEventListener("change", anew);
$("find").addEventListener("input", anew);
$("more").addEventListener("click", () => {
  const last = $("jobs").lastElementChild;
  room += PAGE;
  draw();
  last?.nextElementSibling?.querySelector("a").focus();
});
setInterval(draw, 1000);
setInterval(askAfter, ASK_EVERY_MS);
