// What both views share: the address, the mark of the connection, and a voice.

export const $ = (id) => document.getElementById(id);

const STATES = { connecting: "Connecting…", open: "Live", reconnecting: "Reconnecting…" };

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

/** Shows how a view's stream is: a state, "refused" with the answer's status and message, or none. */
export function connection(view, state, status, message) {
  if (view !== address.view) return;
  put($("connection"), STATES[state] ?? "");
  $("connection").dataset.state = state ?? "";
  const isRefused = state === "refused";
  $("refused").hidden = !isRefused;
  document.body.classList.toggle("is-refused", isRefused);
  if (!isRefused) return;
  const isAll = view === "all";
  put($("refused-title"), isAll ? "This list isn't open to everyone" : "These jobs take a token");
  $("refused-elsewhere").hidden = !isAll;
  // Uploads from this page are named up_ and something random.
  const claims = isAll ? "--jobs '*'" : "--jobs 'up_*' --upload 'up_*'";
  put($("refused-command"), `landfall token ${claims} --ttl 12h --token-key FILE`);
  put($("refused-answer"), `The server's answer: ${status}, ${message}`);
}

let saying = [];

/** Tells those who don't see the page. */
export function say(text) {
  saying.push(text);
  if (saying.length > 1) return;
  setTimeout(() => {
    put($("said"), saying.slice(-3).join(". "));
    saying = [];
  }, 500);
}

/** What is shown already isn't written again: it may be selected, or be read out. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function parsed() {
  return new URLSearchParams(location.hash.slice(1));
}
