// What comes isn't what should: the page says what is wrong, and goes on when it is right again.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BINARY, Server, row, says, scratch, stages, visit } from "./support.mjs";

const trouble = (page, text) => page.locator("#trouble", { hasText: text }).waitFor();
const isWell = (page) => page.locator("#trouble").waitFor({ state: "hidden" });
const connection = (page, text) => page.locator("#connection", { hasText: text }).waitFor();
const html = { contentType: "text/html", body: "<title>Sign in</title>Please sign in" };

/** Both views: a page that follows a job, and one that lists all. */
async function both(server) {
  const followed = await visit(`${server.page}#job=a`);
  const listed = await visit(server.operatorsPage);
  await says(row(followed, "a"), "Scanning 60%");
  await listed.locator("#jobs .name").getByText("a").waitFor();
  for (const page of [followed, listed]) await connection(page, "Live");
  return [followed, listed];
}

test("a login page in the server's place is told of, until it is gone", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const pages = await both(server);
  for (const page of pages) await page.route("**/api/**", (route) => route.fulfill(html));
  await server.kill();
  await server.run();
  for (const page of pages) await trouble(page, "What answers here isn't Landfall");
  await says(row(pages[0], "a"), "Reconnecting");
  await server.progress("a", "scanning", 70);
  for (const page of pages) await page.unroute("**/api/**");
  await says(row(pages[0], "a"), /^Scanning 70%/);
  await pages[1].locator("#jobs > li", { hasText: "Scanning 70%" }).waitFor();
  for (const page of pages) await isWell(page);
});

test("a list that is HTML from the beginning is told of", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const page = await visit("about:blank");
  await page.route("**/api/**", (route) => route.fulfill(html));
  await page.goto(server.operatorsPage);
  await trouble(page, "What answers here isn't Landfall");
  await page.unroute("**/api/**");
  await page.locator("#jobs .name").getByText("a").waitFor();
  await isWell(page);
});

test("a server that is away is told of", async () => {
  const server = await Server.start("--data", scratch());
  await server.progress("a", "scanning", 60);
  const pages = await both(server);
  await server.kill();
  for (const page of pages) {
    await connection(page, "Reconnecting…");
    await trouble(page, "The server can't be reached");
  }
  await server.run();
  for (const page of pages) {
    await connection(page, "Live");
    await isWell(page);
  }
});

test("where streams don't come through, a job is asked after, and the page says so", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const page = await visit("about:blank");
  await page.route("**/api/events?*", (route) => route.abort());
  await page.goto(`${server.page}#job=a`);
  await connection(page, "Every few seconds");
  await server.progress("a", "scanning", 70);
  await says(row(page, "a"), "Scanning 70%");
  await server.publish("a", "done");
  await says(row(page, "a"), "Done");
});

test("junk in the stream harms nothing", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const frames = [
    "event: progress\ndata: {\"jobId\":\"a\",\"st\nid: 7\n\n",
    "event: progress\ndata: [1]\nid: 8\n\n",
    "event: progress\ndata: null\nid: 9\n\n",
    "\u0000\u0001\u0002 nonsense\n\n",
  ];
  const junk = { contentType: "text/event-stream", body: frames.join("") };
  const pages = [await visit("about:blank"), await visit("about:blank")];
  for (const page of pages) await page.route("**/api/events?*", (route) => route.fulfill(junk));
  await pages[0].goto(`${server.page}#job=a`);
  await pages[1].goto(server.operatorsPage);
  // What the snapshot says is shown all the while.
  await says(row(pages[0], "a"), "Scanning 60%");
  await pages[1].locator("#jobs > li", { hasText: "Scanning 60%" }).waitFor();
  for (const page of pages) await page.unroute("**/api/events?*");
  await server.progress("a", "scanning", 70);
  await says(row(pages[0], "a"), "Scanning 70%");
  await pages[1].locator("#jobs > li", { hasText: "Scanning 70%" }).waitFor();
  for (const page of pages) assert.deepEqual(page.wrongs.filter((text) => /Error:/.test(text)), []);
});

test("odd data are shown as well as can be", async () => {
  const server = await Server.start("--memory-only");
  await server.publish("a", "progress", { stage: 7, percent: 20, size: "x", name: {}, etaMs: "soon" });
  await server.publish("b", "progress", { stage: "", position: "x", speed: {} });
  await server.publish("c", "error", { message: { a: 1 }, stage: [] });
  await server.publish("d", "done", { durations: 7, digest: 7, contentType: null, elapsedMs: -5 });
  // What can't be made a text.
  const odd = { toString: 1, valueOf: 1 };
  const more = { position: odd, speed: odd, etaMs: odd, attempt: odd, retry: odd, reason: odd, name: odd };
  await server.publish("e", "progress", { stage: "queued", for: odd, ...more });
  await server.publish("f", "progress", { stage: "scanning", percent: 5, skipped: odd, step: odd, ...more });
  await server.publish("g", "done", { contentType: odd, digest: odd, size: odd, durations: odd, stored: odd, ...more });
  const page = await visit(`${server.page}#job=a&job=b&job=c&job=d&job=e&job=f&job=g`);
  await says(row(page, "e"), "Queued");
  await says(row(page, "f"), "Scanning 5%");
  await says(row(page, "g"), "Done");
  await says(row(page, "a"), "Working 20%");
  await says(row(page, "b"), "Working");
  await says(row(page, "c"), "Failed");
  await says(row(page, "d"), "Done");
  assert.equal(await row(page, "c").locator(".detail").textContent(), "The server doesn't say why");
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs > li").nth(6).waitFor();
  for (const one of [page, list]) {
    assert.doesNotMatch(await one.locator("main").innerText(), /undefined|NaN|\[object/);
    assert.deepEqual(one.wrongs, []);
  }
});

test("a token that ends is asked for anew, and then it goes on", async () => {
  const key = join(scratch(), "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const server = await Server.start("--memory-only", "--token-key", key);
  const token = (ttl) =>
    execFileSync(BINARY, ["token", "--jobs", "*", "--ttl", ttl, "--token-key", key]).toString().trim();
  await server.progress("a", "scanning", 60);
  const followed = await visit(`${server.page}#job=a`);
  const listed = await visit(`${server.page}#all`);
  const enter = async (page, ttl) => {
    await page.getByRole("textbox", { name: "Token" }).fill(token(ttl));
    await page.getByRole("button", { name: "Use token" }).click();
  };
  for (const page of [followed, listed]) {
    await enter(page, "12s");
    await connection(page, "Live");
  }
  await says(row(followed, "a"), "Scanning 60%");
  for (const page of [followed, listed]) {
    await page.getByText("This token wasn't accepted: the token has expired").waitFor();
    assert.equal(await page.locator("#token").getAttribute("aria-invalid"), "true");
  }
  await server.progress("a", "scanning", 80);
  for (const page of [followed, listed]) {
    await enter(page, "1h");
    await connection(page, "Live");
  }
  await says(row(followed, "a"), "Scanning 80%");
  await listed.locator("#jobs > li", { hasText: "Scanning 80%" }).waitFor();
});

test("a clock that jumps changes no figure", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60, { etaMs: 300_000 });
  const pages = await both(server);
  const how = row(pages[0], "a").locator(".how");
  await how.getByText(/^[345] min left$/).waitFor();
  for (const hours of [-5, 50]) {
    for (const page of pages) {
      await page.evaluate((ms) => {
        const real = Date.now;
        Date.now = () => real() + ms;
      }, hours * 3_600_000);
      await page.waitForTimeout(1200);
    }
    assert.match(await how.textContent(), /^[345] min left$/);
    assert.match(await pages[1].locator("#jobs time").textContent(), /^(just now|\d+ s ago|1 min ago)$/);
  }
  await server.progress("a", "storing", 10);
  await says(row(pages[0], "a"), "Storing 10%");
  assert.deepEqual(await stages(row(pages[0], "a")), ["Scan 100", "Store 10"]);
});

test("a stage that says nothing for a minute is told of", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 60);
  const page = await visit("about:blank");
  await page.clock.install();
  await page.goto(`${server.page}#job=a`);
  await says(row(page, "a"), "Scanning 60%");
  // Once the page has asked the server, which has another clock, it knows better: that may be
  // before it has said so, and then the clock jumps again.
  const told = row(page, "a").locator(".how", { hasText: /no news for \d+ min/ });
  let isTold = false;
  for (let jumps = 0; jumps < 20 && !isTold; jumps += 1) {
    await page.clock.fastForward(125_000);
    isTold = await told.waitFor({ timeout: 5000 }).then(() => true, () => false);
  }
  assert(isTold);
  await server.progress("a", "scanning", 61);
  await says(row(page, "a"), "Scanning 61%");
  await row(page, "a").locator(".how", { hasText: "no news" }).waitFor({ state: "detached" });
});

test("control and bidirectional characters are shown nowhere", async () => {
  const server = await Server.start("--memory-only");
  const evil = "\u001b[31mred\u001b[0m\u202Egpj.exe\u2066\u0007\u200f\ttab\u0000";
  await server.publish("a", "progress", { stage: "scanning", name: `a ${evil}`, step: evil, speed: evil });
  await server.publish("b", "error", { name: `b ${evil}`, message: evil, stage: evil });
  await server.publish("c", "done", { name: `c ${evil}`, contentType: evil, digest: evil });
  const page = await visit(`${server.page}#job=a&job=b&job=c`);
  await says(row(page, "a redgpj.exe tab"), "Scanning");
  await says(row(page, "b redgpj.exe tab"), "failed");
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs > li").nth(2).waitFor();
  for (const one of [page, list]) {
    const all = await one.evaluate(() => {
      const attributes = [...document.querySelectorAll("*")].flatMap((node) => [...node.attributes])
        .filter(({ name }) => !name.startsWith("data-"));
      return [document.title, document.body.textContent, ...attributes.map(({ value }) => value)].join("|");
    });
    assert.doesNotMatch(all.replaceAll("\n", ""), /[\p{Cc}\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
    assert.deepEqual(one.wrongs, []);
  }
});
