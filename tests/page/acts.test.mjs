// What a row's buttons do, and who gets which.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BINARY, Server, file, row, says, scratch, visit } from "./support.mjs";

const button = (row, name) => row.getByRole("button", { name });
const download = (row) => row.getByRole("link", { name: /^Download/ });
const text = (name, body) => ({ name, mimeType: "text/plain", buffer: Buffer.from(body) });

test("what an upload has come to is downloaded where that is allowed, also after a reload", async () => {
  const server = await Server.start("--data", scratch(), "--downloads");
  const page = await visit(server.page);
  await page.setInputFiles("#files", text("notes.txt", "abc"));
  const notes = row(page, "notes.txt");
  for (const isReloaded of [false, true]) {
    if (isReloaded) await page.reload();
    await says(notes, "Done");
    const coming = page.waitForEvent("download");
    await notes.getByRole("link", { name: "Download notes.txt" }).click();
    const saved = await coming;
    assert.equal(saved.suggestedFilename(), "notes.txt");
    assert.equal(readFileSync(await saved.path(), "utf8"), "abc");
  }
  assert.deepEqual(page.wrongs, []);
});

test("where it isn't, or nothing was stored, there is no such button", async () => {
  const closed = await Server.start("--data", scratch());
  const page = await visit(closed.page);
  await page.setInputFiles("#files", text("notes.txt", "abc"));
  await says(row(page, "notes.txt"), "Done");
  const open = await Server.start("--data", scratch(), "--downloads");
  await open.publish("worker", "done", { size: 5 });
  const other = await visit(`${open.page}#job=worker`);
  await says(row(other, "worker"), "Done");
  for (const one of [page, other]) {
    await one.waitForTimeout(500);
    assert.equal(await download(one.locator("#rows > li")).count(), 0);
    assert.deepEqual(one.wrongs, []);
  }
});

test("an upload is cancelled while it is sent, and is gone from the server", async () => {
  const server = await Server.start("--data", scratch());
  const page = await visit(server.page);
  const wire = await page.context().newCDPSession(page);
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 100_000 };
  await wire.send("Network.emulateNetworkConditions", slow);
  await page.setInputFiles("#files", file("long.bin", 8_000_000));
  const long = row(page, "long.bin");
  await says(long, /Uploading [1-9]/);
  await button(long, "Cancel long.bin").click();
  await says(long, "Cancelled");
  await button(long, "Try again long.bin").waitFor();
  assert.equal(await page.locator(".upload[data-state=cancelled]").count(), 1);
  // The job has ended, whoever looks.
  const other = await visit(page.url());
  await says(other.locator("#rows > li"), /Cancelled|failed/);
  await page.reload();
  await says(long, /Cancelled|failed/);
});

test("a job that runs is cancelled by whoever may, and others have no button for it", async () => {
  const key = join(scratch(), "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const server = await Server.start("--memory-only", "--token-key", key, "--cancel-grace", "1s");
  const token = (...claims) =>
    execFileSync(BINARY, ["token", ...claims, "--ttl", "1h", "--token-key", key]).toString().trim();
  await server.progress("a", "scanning", 30);
  const visitor = async (...claims) => {
    const page = await visit(`${server.page}#job=a`);
    await page.getByRole("textbox", { name: "Token" }).fill(token(...claims));
    await page.getByRole("button", { name: "Use token" }).click();
    await says(row(page, "a"), "Scanning 30%");
    return page;
  };
  const looks = await visitor("--jobs", "a");
  const acts = await visitor("--jobs", "a", "--cancel", "a");
  assert.equal(await button(row(looks, "a"), "Cancel a").count(), 0);
  // A row that is drawn anew between a mouse's down and up would have no click.
  await button(row(acts, "a"), "Cancel a").press("Enter");
  for (const page of [looks, acts]) await says(row(page, "a"), "Cancelled");
  assert.equal(await button(row(acts, "a"), "Cancel a").count(), 0);
});

test("a job that can't be cancelled says why, and is cancelled when it can", async () => {
  const server = await Server.start("--memory-only", "--cancel-grace", "1s");
  await server.progress("a", "scanning", 30);
  const page = await visit(server.operatorsPage.replace("#all", "#job=a"));
  const detail = (text) => row(page, "a").locator(".detail", { hasText: text }).waitFor();
  const cancel = button(row(page, "a"), "Cancel a");
  const refusal = { status: 507, json: { error: "the journal is full: try later" } };
  await page.route("**/cancel", (route) => route.fulfill(refusal));
  await cancel.press("Enter");
  await detail("Not cancelled: the journal is full: try later");
  await page.unroute("**/cancel");
  await page.route("**/cancel", (route) => route.abort());
  await cancel.press("Enter");
  await detail("Not cancelled: The server can't be reached");
  await says(row(page, "a"), "Scanning 30%");
  await page.unroute("**/cancel");
  await cancel.press("Enter");
  await says(row(page, "a"), "Cancelled");
  assert.equal(await row(page, "a").locator(".detail").textContent(), "");
});

test("on the publishing listener a failed upload is tried again without being sent again", async () => {
  const data = scratch();
  const config = join(data, "landfall.toml");
  const flag = join(data, "ready");
  writeFileSync(config, `[[stage]]\nname = "checking"\nrun = ["test", "-e", "${flag}"]\n`);
  const server = await Server.start("--data", data, "--config", config);
  const page = await visit(server.operatorsPage.replace("#all", ""));
  const sent = [];
  page.on("request", (request) => request.method() === "PATCH" && sent.push(request.url()));
  await page.setInputFiles("#files", text("notes.txt", "abc"));
  const notes = row(page, "notes.txt");
  await says(notes, "Checking failed");
  await page.reload();
  await says(notes, "Checking failed");
  // The list knows the file of what failed.
  const list = await visit(server.operatorsPage);
  await list.locator("#jobs .name").getByText("notes.txt").waitFor();
  writeFileSync(flag, "");
  await button(notes, "Try again notes.txt").click();
  await says(notes, "Done");
  assert.equal(sent.length, 1);
});
