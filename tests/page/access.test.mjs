// Who can use the page, and what it is allowed to do.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Server, row, says, until, visit } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong, from WCAG 2.2 AA and good practice. */
async function audit(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`));
}

/** A job in each state. */
async function fill(server) {
  await server.progress("runs", "transcoding", 30);
  await server.publish("waits", "progress", { stage: "queued", position: 2 });
  await server.publish("over", "done", { contentType: "video/mp4", size: 5_000_000 });
  await server.publish("broken", "error", { stage: "scanning", message: "it is a virus" });
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing wrong in ${colorScheme} colours`, async () => {
    const server = await Server.start("--memory-only");
    await fill(server);
    const options = { colorScheme, bypassCSP: true, reducedMotion: "reduce" };
    const page = await visit(server.page, options);
    assert.deepEqual(await audit(page), []);
    await page.goto(`${server.page}#job=runs&job=waits&job=over&job=broken`);
    await says(row(page, "runs"), "Transcoding");
    await says(row(page, "waits"), "Queued");
    await says(row(page, "over"), "Done");
    await says(row(page, "broken"), "failed");
    assert.deepEqual(await audit(page), []);
    await server.kill();
    await says(row(page, "runs"), "Reconnecting");
    assert.deepEqual(await audit(page), []);
    await server.run();
    await fill(server);
    await page.goto(`${server.page}#all`);
    await page.getByText("isn't open to everyone").waitFor();
    assert.deepEqual(await audit(page), []);
    await page.goto(server.operatorsPage);
    await page.locator("#jobs .name").getByText("broken").waitFor();
    assert.deepEqual(await audit(page), []);
  });
}

test("nothing sticks out at 320 pixels", async () => {
  const server = await Server.start("--memory-only");
  await fill(server);
  const long = "x".repeat(128);
  await server.progress(long, "a_stage_with_a_rather_long_name", 30);
  await server.publish("wide", "error", { message: "y".repeat(300) });
  const page = await visit(server.page, { viewport: { width: 320, height: 568 } });
  const sticksOut = () =>
    page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert.equal(await sticksOut(), false);
  await page.goto(`${server.page}#job=runs&job=over&job=wide&job=${long}`);
  await says(row(page, long), "A stage");
  await says(row(page, "wide"), "Failed");
  assert.equal(await sticksOut(), false);
  await page.goto(`${server.page}#all`);
  await page.getByText("isn't open to everyone").waitFor();
  assert.equal(await sticksOut(), false);
  await page.goto(server.operatorsPage);
  await page.locator("#jobs .name").getByText(long).waitFor();
  assert.equal(await sticksOut(), false);
});

test("everything can be reached and done with the keyboard", async () => {
  const server = await Server.start("--memory-only");
  await fill(server);
  const page = await visit(`${server.page}#job=runs&job=over`);
  await says(row(page, "runs"), "Transcoding");
  await says(row(page, "over"), "Done");
  const reached = [];
  for (let step = 0; step < 8; step++) {
    await page.keyboard.press("Tab");
    reached.push(
      await page.evaluate(() => {
        const { id, title, textContent } = document.activeElement;
        // What has the focus shows it, itself or around it.
        const ring = document.activeElement.closest(":focus-visible, label:focus-within");
        const isSeen = [ring, ring.closest("label:focus-within")].some(
          (node) => node && getComputedStyle(node).outlineStyle === "solid",
        );
        return `${id || title || textContent}${isSeen ? "" : " without a ring"}`;
      }),
    );
  }
  assert.deepEqual(reached, [
    "to-uploads",
    "to-all",
    "files",
    "clear",
    "Remove from this page",
    "Remove from this page",
    "follow-job",
    "Follow",
  ]);
  // What had the focus is gone: it is at what comes next, not at the page's beginning.
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await row(page, "over").waitFor({ state: "detached" });
  assert.equal(await page.locator(":focus").getAttribute("aria-label"), "Remove runs");
  await page.goto(server.operatorsPage);
  await page.locator("#jobs .name").getByText("broken").waitFor();
  await page.getByRole("radio", { name: /All/ }).focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.deepEqual(await page.locator("#jobs .name").allTextContents(), ["broken"]);
});

test("a change of stage is said once, and percentages aren't", async () => {
  const server = await Server.start("--memory-only");
  await server.progress("a", "scanning", 10);
  const page = await visit(`${server.page}#job=a`);
  await says(row(page, "a"), "Scanning 10%");
  await page.evaluate(() => {
    window.said = [];
    const voice = document.getElementById("said");
    new MutationObserver(() => window.said.push(voice.textContent)).observe(voice, { childList: true });
  });
  for (const percent of [20, 30, 40]) await server.progress("a", "scanning", percent);
  await server.progress("a", "storing", 0);
  await page.waitForFunction(() => window.said.length > 0);
  await server.publish("a", "done");
  await page.waitForFunction(() => window.said.length > 1);
  assert.deepEqual(await page.evaluate(() => window.said), ["a: Storing 0%", "a: Done"]);
});

test("the page's policy lets no inline script run", async () => {
  const server = await Server.start("--memory-only");
  const page = await visit(server.page);
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    document.body.setAttribute("style", "color: red");
  });
  assert.equal(await page.evaluate(() => window.ran), undefined);
  await until(() => page.wrongs.filter((text) => text.includes("Content Security Policy")).length === 2);
});

test("a job's texts are shown as they are", async () => {
  const server = await Server.start("--memory-only");
  const evil = "<img src=x onerror=alert(1)>";
  await server.publish("a", "progress", { stage: evil, percent: 10, name: evil, speed: evil });
  await server.publish("b", "error", { message: evil, stage: evil });
  const page = await visit(`${server.page}#job=a&job=b&job=%3Cimg%3E`);
  await says(row(page, "b"), `${evil} failed`);
  await says(row(page, evil), evil);
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs .name").getByText(evil).waitFor();
  for (const one of [page, list]) {
    assert.equal(await one.locator("img").count(), 0);
    assert.deepEqual(one.wrongs, []);
  }
});
