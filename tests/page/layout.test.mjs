// How it looks, on a phone and on a desktop, in light and dark colours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, row, says, sent, visit } from "./support.mjs";

const VISITORS = ["light", "dark"].flatMap((colorScheme) => [
  { colorScheme, viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
  { colorScheme, viewport: { width: 1280, height: 800 } },
]);
const named = ({ colorScheme, isMobile }) => `${isMobile ? "a phone" : "a desktop"}, ${colorScheme}`;

/** How many lines of text an element has. */
const lines = (part) =>
  part.evaluate((node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return new Set([...range.getClientRects()].map(({ bottom }) => Math.round(bottom))).size;
  });
const box = (part) => part.boundingBox();
const isInLine = (a, b) => a.y < b.y + b.height && b.y < a.y + a.height;

/** The background of each button that can be seen and isn't the card's. */
const filled = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("button, .primary, .button")]
      .filter((node) => node.checkVisibility() && node.offsetWidth > 0)
      .filter((node) => {
        const accent = getComputedStyle(document.querySelector("h1 svg")).color;
        return getComputedStyle(node).backgroundColor === accent;
      })
      .map((node) => node.textContent),
  );

for (const visitor of VISITORS) {
  test(`nothing wraps alone, and there is one primary button: ${named(visitor)}`, async () => {
    const server = await Server.start("--memory-only");
    const { page, rows: [front, back], jobs: [job, other] } = await sent(
      server,
      ["camera_front_entrance_2026-11-29T08-01-00.mp4", "short.mov"],
      visitor,
    );
    await server.publish(job, "progress", { stage: "queued", for: "transcoding", position: 12 });
    await server.progress(other, "transcoding", 43, { speed: 2.4, etaMs: 130_000 });
    await says(front, "Queued for transcoding · #12");
    await says(back, "Transcoding 43%");
    for (const one of [front, back]) {
      const [what, how] = [one.locator(".what"), one.locator(".how")];
      assert.deepEqual([await lines(what), await lines(how)], [1, 1]);
      assert.ok(isInLine(await box(what), await box(how)));
      assert.ok(isInLine(await box(one.locator("h3")), await box(one.locator(".size"))));
      for (const stage of await one.locator(".stages span").all()) assert.equal(await lines(stage), 1);
    }
    // What is said of a lost connection has room for it, too.
    await server.kill();
    await says(back, "Reconnecting · Transcoding 43%");
    assert.equal(await lines(back.locator(".what")), 1);
    const [field, follow] = [page.locator("#follow-job"), page.getByRole("button", { name: "Follow" })];
    assert.ok(isInLine(await box(field), await box(follow)));
    assert.deepEqual(await filled(page), ["Choose files"]);
    const dropping = page.getByText("or drop them anywhere");
    assert.equal(await dropping.isVisible(), !visitor.isMobile);
    // Dark is dark, and the other way round.
    const [red] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/);
    assert.equal(Number(red) < 80, visitor.colorScheme === "dark");
  });

  test(`the list has a row's things in line: ${named(visitor)}`, async () => {
    const server = await Server.start("--memory-only");
    await server.publish("over", "done", { contentType: "video/mp4", size: 5_000_000, name: "over.mp4" });
    await server.publish("broken", "error", { stage: "scanning", message: "it is a virus" });
    await server.progress("runs", "transcoding", 43);
    const page = await visit(server.operatorsPage, visitor);
    await page.locator("#jobs > li").nth(2).waitFor();
    for (const one of await page.locator("#jobs > li").all()) {
      const parts = await Promise.all([".pill", ".what", "time"].map((name) => box(one.locator(name))));
      for (const part of parts) assert.ok(isInLine(part, parts[0]));
      for (const name of [".name", ".pill", ".what", "time"]) assert.equal(await lines(one.locator(name)), 1);
    }
    const filters = await page.locator("#filter label").all();
    const boxes = await Promise.all(filters.map(box));
    for (const one of boxes) assert.ok(isInLine(one, boxes[0]));
  });
}

test("where a token is asked for, that is the primary button", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit("about:blank", VISITORS[0]);
  const headers = { "WWW-Authenticate": 'Bearer realm="landfall"' };
  const refusal = { status: 401, headers, json: { error: "a token is needed: send it as Authorization: Bearer" } };
  await page.route("**/api/**", (route) => route.fulfill(refusal));
  await page.goto(`${server.page}#job=a`);
  await says(row(page, "a"), "A token is needed");
  assert.deepEqual(await filled(page), ["Use token"]);
  const [field, use] = [page.locator("#token"), page.getByRole("button", { name: "Use token" })];
  assert.ok(isInLine(await box(field), await box(use)));
  assert.doesNotMatch(await page.locator("body").innerText(), /Bearer/);
});

test("a stage that failed is said to have, and so is how far the others are", async () => {
  const server = await Server.start("--memory-only");
  const { page, rows: [clip], jobs: [job] } = await sent(server, ["clip.mp4"]);
  await server.progress(job, "scanning", 40);
  await server.publish(job, "error", { stage: "scanning", message: "it is a virus" });
  await says(clip, "Scanning failed");
  const told = await clip.getByRole("progressbar").evaluateAll((bars) =>
    bars.map((bar) => `${bar.getAttribute("aria-label")}: ${bar.getAttribute("aria-valuetext")}`),
  );
  assert.deepEqual(told, ["Upload: 100%", "Scan: failed", "Transcode: 0%", "Store: 0%"]);
  await page.getByRole("status").getByText("clip.mp4: Scanning failed").waitFor();
  for (const name of ["Try again clip.mp4", "Remove clip.mp4"]) {
    await clip.getByRole("button", { name, exact: true }).waitFor();
  }
});
