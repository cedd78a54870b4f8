// What the browser tests share: the real binary, a gate before it, and one Chromium.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { CHROMIUM, FLAGS } from "../support/chromium.mjs";

const BINARY = process.env.LANDFALL;

/** A name for 127.0.0.1 that Chromium doesn't take for this host. */
export const PLAIN_HOST = "plain.test";

/** Rings that keep all that a test publishes, however far behind a tab falls. */
export const KEEP_ALL = ["--ring-events", "1000000", "--ring-bytes", "32MiB"];

/** How long anything may take before the test fails, in milliseconds. */
export const PATIENCE = 60_000;

const cleanups = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

const browser = chromium.launch({
  executablePath: CHROMIUM,
  args: ["--headless=new", ...FLAGS, `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`],
});
cleanups.push(async () => (await browser).close());

/** A folder that goes with the tests. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), "landfall-browser-"));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Waits until `condition` gives something true, and gives that. */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
    await pause(10);
  }
}

/** A `landfall serve`, whose clients are asked to reconnect soon. */
export class Server {
  static async start(...flags) {
    const server = new Server();
    const memory = flags.includes("--data") ? [] : ["--memory-only"];
    server.flags = [...memory, "--retry", "50ms", ...flags];
    await server.run("127.0.0.1:0");
    cleanups.push(() => server.kill());
    return server;
  }

  async run(listen) {
    const local = ["--publish", "127.0.0.1:0", "--ops", "127.0.0.1:0"];
    this.child = spawn(BINARY, ["serve", "--listen", listen, ...local, ...this.flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const urls = {};
    for await (const line of createInterface({ input: this.child.stdout })) {
      const [name, url] = line.split(" ");
      urls[name] = url;
      if (name !== "ready") continue;
      this.urls = urls;
      return;
    }
    throw new Error("landfall ended before it was ready");
  }

  get origin() {
    return this.urls.public;
  }

  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }

  /** Starts it anew on the same public port. */
  restart() {
    return this.run(new URL(this.origin).host);
  }

  async publish(job, event, data = {}) {
    const answer = await fetch(`${this.urls.publish}/api/jobs/${job}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ event, data }),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
    return (await answer.json()).id;
  }

  /** Asks for something without a body about a job. It must succeed. */
  async ask(method, job) {
    const answer = await fetch(`${this.urls.publish}/api/jobs/${job}`, { method });
    if (!answer.ok) throw new Error(await answer.text());
  }

  progress(job, percent) {
    return this.publish(job, "progress", { stage: "scanning", percent });
  }

  /** The sum of the metrics whose names, labels included, match. */
  async metric(pattern) {
    const text = await (await fetch(`${this.urls.ops}/metrics`)).text();
    const lines = text.split("\n").filter((line) => !line.startsWith("#") && pattern.test(line));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** How many streams are open. */
  streams() {
    return this.metric(/^landfall_streams_open /);
  }

  /** Waits until so many streams are open. */
  async untilStreams(count) {
    await until(`${count} streams`, async () => (await this.streams()) === count);
  }
}

/** A token that may follow `jobs`. */
export async function mint(keyFile, jobs, ttl = "1m", more = []) {
  const flags = ["token", "--token-key", keyFile, "--jobs", jobs, "--ttl", ttl, ...more];
  return (await promisify(execFile)(BINARY, flags)).stdout.trim();
}

/** A proxy that refuses and cuts as it is told, and keeps what was asked. */
export class Gate {
  static async before(server) {
    const gate = new Gate();
    const listener = createServer((asked, answer) => gate.pass(server, asked, answer));
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    cleanups.push(() => {
      listener.closeAllConnections();
      listener.close();
    });
    gate.origin = `http://127.0.0.1:${listener.address().port}`;
    return gate;
  }

  /** What was asked of streams: `url`, `headers`, `at` in milliseconds. */
  asked = [];
  /** Gives the status and the type that a stream is refused with, or nothing. */
  refusal = () => undefined;
  /** The same for all else that is asked of the API. */
  refusalOfRest = () => undefined;
  /** Gives the length of the body after which a stream is cut, from what came of it. */
  cutAt = () => Infinity;
  /** After how many bytes of its body a PATCH is cut, the first, the second and so on. */
  cutsOfUploads = [];
  /** Whether what a stream says, the so-manieth that was asked, is held back. */
  holdsBack = () => false;
  #streams = new Set();

  /** Cuts all streams now. */
  cut() {
    for (const socket of this.#streams) socket.destroy();
    this.#streams.clear();
  }

  pass(server, asked, answer) {
    const isStream = /events\?/.test(asked.url);
    if (isStream) {
      this.asked.push({ url: asked.url, headers: asked.headers, at: performance.now() });
      this.#streams.add(asked.socket);
      answer.on("close", () => this.#streams.delete(asked.socket));
    }
    const count = this.asked.length;
    const isApi = asked.url.startsWith("/api/");
    const refusal = isStream ? this.refusal(count) : isApi && this.refusalOfRest();
    if (refusal) {
      answer.writeHead(refusal.status, { "Content-Type": refusal.type ?? "text/html" });
      answer.end(refusal.body ?? "<h1>no</h1>");
      return;
    }
    const { method, headers } = asked;
    const onward = request(server.origin + asked.url, { method, headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      answer.flushHeaders();
      let text = "";
      got.on("data", (piece) => {
        if (isStream && this.holdsBack(count)) return;
        const sent = text.length;
        text += piece;
        const end = isStream ? this.cutAt(text) : Infinity;
        if (end > text.length) return answer.write(piece);
        answer.write(text.slice(sent, Math.max(sent, end)), () => asked.socket.destroy());
      });
      got.on("end", () => answer.end());
      got.on("error", () => asked.socket.destroy());
    });
    onward.on("error", () => asked.socket.destroy());
    answer.on("close", () => onward.destroy());
    const cut = asked.method === "PATCH" ? this.cutsOfUploads.shift() : undefined;
    let bytes = 0;
    asked.on("data", (piece) => {
      bytes += piece.length;
      // What came before the cut arrives, as with a real one.
      if (bytes >= cut) onward.write(piece.subarray(0, piece.length - (bytes - cut)), () => asked.socket.destroy());
      if (bytes >= cut) asked.pause();
    });
    if (cut === undefined) asked.pipe(onward);
    else asked.on("data", (piece) => bytes < cut && onward.write(piece));
  }
}

/** A browser of its own: no cookies, no other tabs. */
export async function profile() {
  return (await browser).newContext();
}

/**
 * A tab on a page of `origin`, with the client as `landfall`, and what it says in `said`.
 * `stage` is what its handlers know of: name, job, and percent, message or reason.
 */
export async function tab(context, origin, client = "/landfall.js") {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${origin}/landfall.d.ts`);
  await load(page, client);
  return page;
}

/** Has a page load the client. */
export async function load(page, client = "/landfall.js") {
  await page.evaluate(async (client) => {
    globalThis.landfall = await import(client);
    globalThis.said = [];
    globalThis.states = [];
    globalThis.whys = [];
    globalThis.handlers = {
      onProgress: ({ jobId, stage, percent }) => said.push(`${jobId} ${stage} ${percent}`),
      onDone: (jobId) => said.push(`${jobId} done`),
      onFailure: (message, jobId) => said.push(`${jobId} failed: ${message}`),
      onDeleted: (jobId) => said.push(`${jobId} deleted`),
      onReset: ({ jobId, reason }) => said.push(`${jobId} reset ${reason}`),
      onEvent: (name, { jobId }, id) => said.push(`${jobId} ${name} ${id}`),
      onStateChange: (state, jobId, why) => {
        states.push(`${jobId} ${state}`);
        if (why) whys.push(why);
      },
    };
  }, client);
}

/** What a tab's handlers were told so far. */
export function said(page) {
  return page.evaluate(() => said);
}

/** Waits until they were told so many things, and gives those. */
export async function untilSaid(page, count) {
  let all = [];
  try {
    return await until(`${count} things said`, async () => {
      all = await said(page);
      return all.length >= count && all;
    });
  } catch (error) {
    const rest = all.filter((one) => !one.includes(" scanning "));
    throw new Error(`${all.length} were said: ${rest.join(", ") || "progress"}`, { cause: error });
  }
}
