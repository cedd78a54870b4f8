// The second view: every job there is, for whoever runs the server.

import { ago, bytes, title } from "./format.js";
import { Job } from "./job.js";
import { $, address, connection, put } from "./shell.js";
import { followAll } from "./stream.js";

/** Jobs that are shown: more are counted, and found by filter or name. */
const SHOWN_MAX = 100;
/** Jobs that are kept: as many as a server keeps by default. */
const KEPT_MAX = 20_000;
const DRAW_EVERY_MS = 250;
const ASK_EVERY_MS = 1000;
const STATES = { running: "Running", done: "Done", error: "Failed" };

/** In the order in which they came. */
const jobs = new Map();
const counts = { running: 0, done: 0, error: 0 };
const nodes = new Map();
/** Whose turn it is to be asked after. */
let asked = 0;
let stop = null;
let timer = null;

export const all = {
  show() {
    this.reopen();
  },

  reopen() {
    stop?.();
    stop = followAll({
      onEvent: heard,
      onState: (...state) => connection("all", ...state),
    });
    draw();
  },

  hide() {
    stop?.();
    stop = null;
  },
};

function heard(event, data, id) {
  if (event === "reset") {
    // What a server of another life knew is gone. Of a gap, nothing is: the newest event
    // of each job is kept, and follows.
    if (data.reason === "unknown") clear();
    return later();
  }
  let job = jobs.get(data.jobId);
  if (event === "deleted") {
    if (job) remove(job);
    return later();
  }
  if (!job) {
    job = new Job(data.jobId);
    jobs.set(job.id, job);
    if (jobs.size > KEPT_MAX) forget();
  }
  const before = job.state;
  if (!job.apply(event, data, id, Date.now())) return;
  if (job.state !== before) {
    if (before in counts) counts[before]--;
    counts[job.state]++;
  }
  later();
}

function clear() {
  jobs.clear();
  for (const state of Object.keys(counts)) counts[state] = 0;
}

/** Makes room: the oldest that has ended goes, or else the oldest. */
function forget() {
  let oldest = jobs.values().next().value;
  for (const job of jobs.values()) {
    if (job.isOver) {
      oldest = job;
      break;
    }
  }
  remove(oldest);
}

function remove(job) {
  jobs.delete(job.id);
  if (job.state in counts) counts[job.state]--;
}

/** No event says that a job was forgotten: those that are shown are asked after in turn. */
async function askAfter() {
  if ($("all").hidden || document.hidden) return;
  const shown = [...nodes.keys()];
  const job = jobs.get(shown[asked++ % shown.length]);
  // A path of dots alone leads elsewhere.
  if (!job || /^\.+$/.test(job.id)) return;
  const { updated } = job;
  const answer = await fetch(`api/jobs/${job.id}`, { cache: "no-store" }).catch(() => null);
  if ([404, 410].includes(answer?.status) && jobs.get(job.id) === job && job.updated === updated) {
    remove(job);
    later();
  }
}

function later() {
  timer ??= setTimeout(draw, DRAW_EVERY_MS);
}

function draw() {
  clearTimeout(timer);
  timer = null;
  if ($("all").hidden) return;
  const state = document.querySelector("#filter :checked").value;
  const text = $("find").value.trim().toLowerCase();
  const fits = (job) =>
    (!state || job.state === state) &&
    (!text || job.id.toLowerCase().includes(text) || job.name?.toLowerCase().includes(text));
  let count = 0;
  const shown = [];
  for (const job of [...jobs.values()].reverse()) {
    if (job.state === "waiting" || !fits(job)) continue;
    count++;
    if (shown.length < SHOWN_MAX) shown.push(job);
  }
  drawCounts();
  const now = Date.now();
  const list = $("jobs");
  const keep = new Set(shown.map((job) => job.id));
  for (const [id, node] of nodes) {
    if (keep.has(id)) continue;
    node.remove();
    nodes.delete(id);
  }
  let at = list.firstElementChild;
  for (const job of shown) {
    const node = nodes.get(job.id) ?? newNode(job);
    drawJob(node, job, now);
    // What stands where it belongs isn't touched: moving it would take its focus.
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
  put(
    $("shown"),
    count === 0
      ? jobs.size ? "No job like that" : "No jobs yet: they appear here as they begin"
      : count > SHOWN_MAX ? `The newest ${SHOWN_MAX} of ${count.toLocaleString()}` : "",
  );
}

function drawCounts() {
  const total = counts.running + counts.done + counts.error;
  for (const input of document.querySelectorAll("#filter input")) {
    const count = input.value ? counts[input.value] : total;
    put(input.parentNode.querySelector("b"), count.toLocaleString());
  }
}

function newNode(job) {
  const node = $("job-row").content.firstElementChild.cloneNode(true);
  nodes.set(job.id, node);
  const others = address.jobs.filter((id) => id !== job.id);
  node.querySelector(".name").href = address.of([...others, job.id], "uploads");
  node.querySelector("progress").setAttribute("aria-label", `Progress of ${job.id}`);
  return node;
}

function drawJob(node, job, now) {
  node.dataset.state = job.state;
  put(node.querySelector(".name"), job.name ?? job.id);
  node.querySelector(".name").title = job.id;
  put(node.querySelector(".pill"), STATES[job.state]);
  const bar = node.querySelector("progress");
  bar.hidden = job.state !== "running";
  if (job.percent === null) bar.removeAttribute("value");
  else bar.value = job.percent;
  const percent = job.percent === null ? "" : ` ${Math.floor(job.percent)} %`;
  const stage = job.stage ? title(job.stage) : "";
  const what = {
    running: `${stage}${percent}`,
    done: [job.data.contentType, job.size === null ? null : bytes(job.size)].filter(Boolean).join(" · "),
    error: [stage, job.data.message].filter(Boolean).join(": "),
  };
  put(node.querySelector(".what"), what[job.state]);
  put(node.querySelector("time"), ago(now - job.updated));
}

$("filter").addEventListener("change", draw);
$("find").addEventListener("input", draw);
setInterval(draw, 1000);
setInterval(askAfter, ASK_EVERY_MS);
