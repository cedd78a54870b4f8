// What both views share: the address, the mark of the connection, what is asked, and a voice.

import { clean, now } from "./format.js";

export const $ = (id) => document.getElementById(id);

/** After how long without a stream its server is asked why, and again. */
const DIAGNOSE_FIRST_MS = 1500;
const DIAGNOSE_EVERY_MS = 5000;
const STATES = {
  connecting: "Connecting…",
  open: "Live",
  reconnecting: "Reconnecting…",
  polling: "Every few seconds",
};

/** What stands in the address behind the #, as in #job=a&job=b or #all. */
export const address = {
  get view() {
    return parsed().has("all") ? "all" : "uploads";
  },
  get jobs() {
    return parsed().getAll("job");
  },
  /** What was known of the jobs before a reload: by job, its name and size. */
  get known() {
    return history.state?.known ?? {};
  },
  set(jobs, known) {
    history.replaceState({ known }, "", this.of(jobs, this.view));
    link();
  },
  of(jobs, view) {
    const parts = jobs.map((job) => `job=${encodeURIComponent(job)}`);
    if (view === "all") parts.push("all");
    return `#${parts.join("&")}`;
  },
};

/** Has the links to the views keep the jobs. */
export function link() {
  $("to-uploads").href = address.of(address.jobs, "uploads");
  $("to-all").href = address.of(address.jobs, "all");
}

/**
 * Asks the server. `said` is null where the answer isn't JSON, so isn't Landfall's. `skew` is
 * how far its clock is behind this page's, in ms. `may` is what the asker may do to the job.
 */
export async function ask(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  const { status, ok, headers } = answer;
  const said = await answer.json().catch(() => null);
  return {
    status,
    ok,
    said: typeof said === "object" ? said : null,
    skew: now() - Date.parse(headers.get("Date")) || 0,
    may: (headers.get("Landfall-May") ?? "").split(", "),
    challenge: headers.get("WWW-Authenticate") ?? "",
  };
}

export const isRefusal = ({ status }) => status === 401 || status === 403;

/** Why a view gets nothing, in words, after an answer; with none, the server is away. */
export function why(answer) {
  if (!answer) return "The server can't be reached. This page goes on when it is back.";
  if (!answer.said) {
    return "What answers here isn't Landfall: a login page, perhaps, or a proxy. Reload to see it.";
  }
  if (answer.status >= 500 || answer.status === 429) {
    return `The server is busy: ${answer.said.error ?? answer.status}`;
  }
  return "The server answers, but its stream of news doesn't come through.";
}

/** Says above all else what is wrong; with nothing, that all is well. */
export function trouble(text = "") {
  put($("trouble"), text);
  $("trouble").hidden = !text;
}

/**
 * Shows how a view's stream is: a state, or none. Where it doesn't come, `path` is asked why.
 */
export function connection(view, state, path) {
  if (view !== address.view) return;
  const isWell = state === "open" || state === "polling";
  if (isWell) {
    trouble();
    refused(view);
  }
  // Without a token it can't but try in vain.
  const shown = $("refused").hidden ? state : "";
  put($("connection"), STATES[shown] ?? "");
  $("connection").dataset.state = shown ?? "";
  asking = state === "reconnecting" ? path : null;
  if (asking) timer ??= setTimeout(diagnose, DIAGNOSE_FIRST_MS, view);
}

let asking = null;
let timer = null;

async function diagnose(view) {
  const path = asking;
  const answer = path && (await ask(path).catch(() => null));
  timer = null;
  if (!asking || view !== address.view) return;
  if (answer && isRefusal(answer)) refused(view, answer);
  else trouble(why(answer));
  timer = setTimeout(diagnose, DIAGNOSE_EVERY_MS, view);
}

/** Asks for a token, after an answer that says that there has to be one; with none, no more. */
export function refused(view, answer, isUpload) {
  if (view !== address.view) return;
  $("refused").hidden = !answer;
  document.body.classList.toggle("is-refused", !!answer);
  if (!answer) return;
  trouble();
  connection(view);
  const isAll = view === "all";
  const { status, challenge } = answer;
  const takesToken = /^Bearer/.test(challenge) && !/publishing/.test(challenge);
  const isWrong = /error=/.test(challenge);
  put($("refused-title"), isAll ? "This list isn't open to everyone" : "A token is needed here");
  put(
    $("refused-why"),
    takesToken
      ? "Whoever runs this server can give you a token."
      : isAll
        ? "Names of jobs are secrets here. The server's publishing listener shows them all: port 8081 of the server itself, as a rule."
        : "This server doesn't let this page do that.",
  );
  $("token-form").hidden = $("refused-how").hidden = !takesToken;
  // Uploads from this page are named up_ and something random.
  const claims = isAll ? "--jobs '*'" : "--jobs 'up_*' --upload 'up_*' --cancel 'up_*'";
  put($("refused-command"), `landfall token ${claims} --ttl 12h --token-key FILE`);
  const said = clean(answer.said?.error ?? "").replace(/^in .*?: |[:;] .*/g, "");
  const wrong =
    status === 401
      ? `This token wasn't accepted: ${said}`
      : `This token is good, but not for ${isAll ? "the list of all jobs" : isUpload ? "uploads" : "this"}`;
  put($("refused-answer"), isWrong ? wrong : "");
  if (isWrong) $("token").setAttribute("aria-invalid", "true");
  else $("token").removeAttribute("aria-invalid");
}

let saying = new Map();

/** Tells those who don't see the page: the newest of each thing, and not too much. */
export function say(thing, text) {
  if (!saying.size) {
    setTimeout(() => {
      put($("said"), [...saying.values()].slice(-3).join(". "));
      saying = new Map();
    }, 500);
  }
  saying.delete(thing);
  saying.set(thing, text);
}

/** What is shown already isn't written again: it may be selected, or be read out. */
export function put(node, text) {
  const shown = clean(text);
  if (node.textContent !== shown) node.textContent = shown;
}

const ENDING = 12;

/** Shows a name whose end is seen also where there is no room for all of it. */
export function putName(node, name, more) {
  const shown = clean(name);
  node.title = more ? `${shown}\n${more}` : shown;
  if (node.dataset.name === shown) return;
  node.dataset.name = shown;
  const letters = [...shown];
  node.removeAttribute("aria-label");
  if (letters.length < 2 * ENDING) return put(node, shown);
  // Two boxes would be read as two words.
  node.setAttribute("aria-label", shown);
  const parts = [letters.slice(0, -ENDING), letters.slice(-ENDING)].map((part) => {
    const span = document.createElement("span");
    span.textContent = part.join("");
    return span;
  });
  node.replaceChildren(...parts);
}

function parsed() {
  return new URLSearchParams(location.hash.slice(1));
}
