// What the page's tests share: the real binary, and one Chromium for each file of tests.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { CHROMIUM, FLAGS } from "../support/chromium.mjs";

/** What a test waits for comes long before this, or never. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60_000);

/** The tests set it; by hand, it is the one that was built last. */
export const BINARY =
  process.env.LANDFALL_BINARY ?? fileURLToPath(new URL("../../target/debug/landfall", import.meta.url));
// The servers that are started would warn of a variable that is none of theirs.
delete process.env.LANDFALL_BINARY;
const cleanups = [];
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

/** A directory that is there as long as the tests are. */
export function scratch() {
  const directory = mkdtempSync(join(tmpdir(), "landfall-page-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A `landfall serve`. */
export class Server {
  static async start(...flags) {
    const server = new Server();
    server.flags = ["--retry", "50ms", ...flags];
    server.addresses = {};
    cleanups.push(() => server.kill());
    await server.run();
    return server;
  }

  /** Starts it, again where it was. */
  async run() {
    const flags = { listen: "public", publish: "publish", ops: "ops" };
    const listen = Object.entries(flags).flatMap(([flag, name]) => [
      `--${flag}`,
      this.addresses[name] ?? "127.0.0.1:0",
    ]);
    this.child = spawn(BINARY, ["serve", ...listen, ...this.flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: this.child.stdout })) {
      if (line === "ready") return;
      const [name, url] = line.split(" ");
      this.addresses[name] = url.replace("http://", "");
    }
    throw new Error("the server ended before it was ready");
  }

  /** The path below which it serves everything. */
  get base() {
    const at = this.flags.indexOf("--base-path");
    return at < 0 ? "" : this.flags[at + 1];
  }

  get page() {
    return `http://${this.addresses.public}${this.base}/`;
  }

  /** The page on the listener that shows all jobs. */
  get operatorsPage() {
    return `http://${this.addresses.publish}${this.base}/#all`;
  }

  async publish(job, event, data = {}) {
    await this.post(`/api/jobs/${job}/events`, "application/json", JSON.stringify({ event, data }));
  }

  async progress(job, stage, percent, more = {}) {
    await this.publish(job, "progress", { stage, percent, ...more });
  }

  /** Many events in one request: objects with `job`, `event` and `data`. */
  async publishMany(events) {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
    await this.post("/api/events", "application/x-ndjson", lines);
  }

  /** Begins a life of a job, also where one is running. */
  async begin(job) {
    const url = `http://${this.addresses.publish}${this.base}/api/jobs/${job}?replace=true`;
    const answer = await fetch(url, { method: "PUT" });
    assert.equal(answer.status, 201, await answer.text());
  }

  async delete(job) {
    const url = `http://${this.addresses.publish}${this.base}/api/jobs/${job}`;
    const answer = await fetch(url, { method: "DELETE" });
    assert.equal(answer.status, 204, await answer.text());
  }

  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }

  async post(target, type, body) {
    const url = `http://${this.addresses.publish}${this.base}${target}`;
    const answer = await fetch(url, { method: "POST", headers: { "Content-Type": type }, body });
    assert.equal(answer.status, 201, await answer.text());
  }
}

/** Debian's Chromium, with more flags. */
export async function launch(...flags) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless=new", ...FLAGS, ...flags],
  });
  cleanups.push(() => browser.close());
  return browser;
}

let shared = null;

/**
 * Opens an address as a visitor of its own, in the shared browser or another. What the page did wrong is in `page.wrongs`:
 * errors, violations of its policy, and requests to others.
 */
export async function visit(url, { browser, ...options } = {}) {
  browser ??= await (shared ??= launch());
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.wrongs = [];
  const { host } = new URL(url);
  page.on("pageerror", (error) => page.wrongs.push(`${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") page.wrongs.push(message.text());
  });
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== "data:" && asked.host !== host) page.wrongs.push(request.url());
  });
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(url);
  return page;
}

/** The row of an upload or of a followed job. */
export function row(page, name) {
  return page.locator("#rows > li", { has: page.getByRole("heading", { name, exact: true }) });
}

/** The names of the jobs that rows follow, out of the address. */
export async function jobs(page) {
  // Playwright hears of another address a moment later.
  const hash = await page.evaluate(() => location.hash);
  return new URLSearchParams(hash.slice(1)).getAll("job");
}

/** A file to send. */
export function file(name, size = 100_000) {
  return { name, mimeType: "video/mp4", buffer: Buffer.alloc(size) };
}

/** A page from which files have been sent, as it believes, and their rows and jobs. */
export async function sent(server, names, options) {
  const page = await visit(server.page, options);
  await acceptUploads(page, server);
  await page.setInputFiles("#files", names.map((name) => file(name)));
  const rows = names.map((name) => row(page, name));
  for (const one of rows) await says(one, "Uploading 100%");
  return { page, rows, jobs: await jobs(page) };
}

/** Answers uploads in the server's place, so that a test says what becomes of them. */
export async function acceptUploads(page, server, isAccepted = () => true) {
  await page.route("**/api/tus/**", async (route) => {
    const request = route.request();
    const headers = { "Tus-Resumable": "1.0.0" };
    const url = new URL(request.url());
    if (request.method() !== "POST") {
      if (!url.pathname.endsWith("-accepted")) return route.continue();
      const size = /-(\d+)-accepted$/.exec(url.pathname)[1];
      return route.fulfill({ status: 204, headers: { ...headers, "Upload-Offset": size } });
    }
    const pairs = request.headers()["upload-metadata"].split(",").map((pair) => pair.split(" "));
    const said = Object.fromEntries(pairs.map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
    if (!isAccepted(said.filename)) return route.continue();
    const jobId = said.job;
    await server.begin(jobId);
    const Location = `${url.pathname}${jobId}-${request.headers()["upload-length"]}-accepted`;
    return route.fulfill({ status: 201, headers: { ...headers, Location }, json: { jobId, stages: 3 } });
  });
}

/** Waits until a row says this of its state. */
export async function says(row, text) {
  await row.locator(".what", { hasText: text }).waitFor();
}

/** Waits until something holds. */
export async function until(holds) {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`in vain: ${holds}`);
}

/** Waits until a row's stages are so far: its state may be there before its past. */
export async function shows(row, expected) {
  let shown = null;
  const isSo = async () => {
    shown = await stages(row);
    return JSON.stringify(shown) === JSON.stringify(expected);
  };
  await until(isSo).catch(() => assert.deepEqual(shown, expected));
}

/** How far a row's stages are: names and percents. */
export function stages(row) {
  return row.locator("progress").evaluateAll((bars) =>
    bars.map((bar) => `${bar.getAttribute("aria-label")} ${bar.value}`),
  );
}
