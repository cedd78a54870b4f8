// The first view: files that are sent from here, and jobs that the address names.

import { unfinishedUpload } from "../client/landfall";
import { OPTIONS, Row } from "./row.js";
import { $, address, ask, connection, put, refused, say } from "./shell.js";

/** Uploads at once: a browser has few connections per host, and the host is small. */
const SENDING_MAX = 2;

const rows = new Map();
let isDrawing = false;
/** What left because it was deleted, and nobody has read yet. */
let gone = [];
/** Whose file is being chosen again. */
let chosenFor = null;

export const uploads = {
  show: draw,

  /** Takes up the jobs that the address names, in that order. */
  follow(jobs) {
    const { known } = address;
    let before = $("rows").firstChild;
    for (const id of [...jobs].reverse()) {
      if (!/^[\w.~-]{1,128}$/.test(id)) continue;
      if (!rows.has(id)) add(id, known[id], before).pickUp();
      before = rows.get(id).node;
    }
    remember();
  },

  /** Once more, with another token. */
  reopen() {
    for (const row of inOrder()) {
      if (row.isOver && !row.refusal) continue;
      if (row.file && !row.isSent) again(row);
      else {
        row.stop();
        row.pickUp();
      }
    }
  },

  // What is sent and followed goes on.
  hide() {},
};

const view = { changed, deleted, again, drop };

function add(id, known, before = $("rows").firstChild) {
  const row = new Row(id, known, view);
  rows.set(id, row);
  $("rows").insertBefore(row.node, before);
  return row;
}

function inOrder() {
  const places = new Map([...rows.values()].map((row) => [row.node, row]));
  return [...$("rows").children].map((node) => places.get(node));
}

/** Sends a file in place of what stands there, or goes on with that. */
function retake(row, file) {
  const isIts = unfinishedUpload(file, { ...OPTIONS, jobId: row.id }) === row.id;
  if (!isIts || row.isOver) {
    const next = add(newName(), { name: file.name, size: file.size }, row.node);
    next.file = file;
    drop(row);
    next.part(".drop").focus();
  } else {
    row.stop();
    row.file = file;
    row.link = null;
  }
  remember();
  sendNext();
}

async function again(row) {
  if (row.job.data.retryable && row.may.includes("retry")) {
    const answer = await ask(`api/jobs/${row.id}/retry`, { method: "POST" }).catch(() => null);
    if (answer?.ok) return row.pickUp();
  }
  if (row.file) return retake(row, row.file);
  if (row.refusal && !row.isOwn) return row.pickUp();
  chosenFor = row;
  $("again").click();
}

function drop(row) {
  const { node } = row;
  const next = node.nextElementSibling ?? node.previousElementSibling;
  const hadFocus = node.contains(document.activeElement);
  rows.delete(row.id);
  node.remove();
  if (row.isSending && row.link !== null) row.cancel();
  row.stop();
  if (hadFocus) (next?.querySelector(".drop") ?? $("files")).focus();
  remember();
  changed();
}

function deleted(row) {
  gone.push(row.name);
  say("gone", `${row.name} was deleted`);
  row.file = null;
  drop(row);
}

function changed() {
  sendNext();
  draw();
}

/** Has files wait to be sent, in front of all. */
function take(files) {
  const before = $("rows").firstChild;
  for (const file of files) {
    const unfinished = unfinishedUpload(file, OPTIONS);
    const row = rows.get(unfinished);
    if (row?.isPaused) {
      retake(row, file);
      continue;
    }
    const id = unfinished && !row ? unfinished : newName();
    add(id, { name: file.name, size: file.size }, before).file = file;
  }
  remember();
  sendNext();
}

function sendNext() {
  const waiting = inOrder().filter((row) => row.isSending);
  let room = SENDING_MAX - waiting.filter((row) => row.link !== null).length;
  for (const row of waiting) if (row.link === null && room-- > 0) row.send();
  draw();
}

/** A name that can't be guessed: whoever knows it can follow the job. */
function newName() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `up_${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Keeps the rows in the address, and what is known of uploads where a reload finds it. */
function remember() {
  const known = {};
  const all = inOrder();
  for (const { id, isOwn, job } of all) if (isOwn) known[id] = { name: job.name, size: job.size };
  address.set(all.map((row) => row.id), known);
}

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawAll(inOrder());
  });
}

function drawAll(all) {
  for (const row of all) row.draw();
  const running = all.filter((row) => !row.isOver && !row.isPaused);
  const count = (is) => all.filter(is).length;
  const paused = count((row) => row.isPaused);
  const refusal = all.find((row) => row.refusal)?.refusal;
  const failed = count((row) => row.failure !== null || row.job.state === "error");
  const busy = running.length ? `${running.length} in progress` : "";
  const idle = refusal
    ? "Waiting for a token"
    : paused
      ? `${paused} paused`
      : failed
        ? `Finished, ${failed} failed`
        : "All finished";
  $("uploads-head").hidden = !all.length;
  $("clear").hidden = !all.some(isFinished);
  put($("uploads-title"), busy || idle);
  document.title = busy ? `${busy} · Landfall` : "Landfall";
  $("gone").hidden = !gone.length;
  put($("gone").firstChild, `${gone.length > 1 ? `${gone.length} jobs were` : `${gone[0]} was`} deleted`);
  if (refusal) return refused("uploads", refusal, all.some((row) => row.refusal && row.file));
  // Of one that is followed its stream says whether a token is needed.
  if (!running.length) refused("uploads");
  const links = ["reconnecting", "polling", "connecting", "open"];
  const link = links.find((state) => running.some((row) => row.link === state));
  const lost = running.find((row) => row.link === "reconnecting");
  connection("uploads", link, lost && `api/jobs/${lost.id}`);
}

const isFinished = (row) => row.isOver && !row.refusal;

setInterval(() => {
  if (inOrder().some((row) => !row.isOver)) draw();
}, 1000);

$("clear").addEventListener("click", () => {
  inOrder().filter(isFinished).forEach(drop);
  $("files").focus();
});
$("gone").querySelector("button").addEventListener("click", () => {
  gone = [];
  draw();
  $("files").focus();
});
$("files").addEventListener("change", ({ target }) => {
  take(target.files);
  target.value = "";
});
$("again").addEventListener("change", ({ target }) => {
  if (target.files.length && rows.has(chosenFor?.id)) retake(chosenFor, target.files[0]);
  target.value = "";
});
$("follow").addEventListener("submit", (event) => {
  event.preventDefault();
  const job = $("follow-job").value;
  uploads.follow([job, ...address.jobs.filter((id) => id !== job)]);
  $("follow-job").value = "";
});

// A file that misses the field mustn't replace the page.
const isFile = (event) => event.dataTransfer?.types.includes("Files");
const mark = (isOver) => document.body.classList.toggle("over", isOver);
let inside = 0;
addEventListener("dragenter", (event) => isFile(event) && mark(++inside > 0));
addEventListener("dragleave", (event) => isFile(event) && mark(--inside > 0));
addEventListener("dragover", (event) => isFile(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isFile(event)) return;
  event.preventDefault();
  mark((inside = 0) > 0);
  if (address.view !== "uploads") location.hash = $("to-uploads").hash;
  take(event.dataTransfer.files);
});
// Leaving cuts off what is being sent.
addEventListener("beforeunload", (event) => {
  if (inOrder().some((row) => row.isSending)) event.preventDefault();
});
