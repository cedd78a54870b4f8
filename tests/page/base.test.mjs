// Below a path, behind nginx: page, client, API and the addresses in answers.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { BINARY, Server, row, says, scratch, visit } from "./support.mjs";

const BASE = "/landfall";

/** An nginx that passes what is below the path to a server. Returns its address. */
async function nginx(upstream) {
  for (;;) {
    const address = await tryNginx(upstream);
    if (address) return address;
  }
}

/** The same, where nobody else takes its port meanwhile. */
async function tryNginx(upstream) {
  const folder = scratch();
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  const config = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  writeFileSync(
    config,
    `pid ${folder}/pid; error_log stderr warn; daemon off; worker_processes 1;
    events {}
    http {
      access_log off; ${temporary} absolute_redirect off;
      server {
        listen 127.0.0.1:${port};
        client_max_body_size 0;
        location ${BASE}/ {
          proxy_pass http://${upstream};
          proxy_http_version 1.1;
          proxy_set_header Host $http_host;
          proxy_request_buffering off;
        }
      }
    }`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", config], { stdio: ["ignore", "inherit", "inherit"] });
  const ended = once(child, "exit");
  after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  const address = `http://127.0.0.1:${port}`;
  while (child.exitCode === null) {
    if (await fetch(address).catch(() => null)) return address;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return null;
}

test("page, client, API and addresses in answers are below the path", async () => {
  const data = scratch();
  const key = join(data, "token.key");
  writeFileSync(key, "61".repeat(32), { mode: 0o600 });
  const flags = ["--base-path", BASE, "--token-key", key, "--downloads"];
  const server = await Server.start("--data", data, ...flags);
  const site = await nginx(server.addresses.public);
  const all = ["--jobs", "*", "--upload", "*", "--cancel", "*"];
  const mint = ["token", ...all, "--ttl", "5m", "--token-key", key];
  const token = execFileSync(BINARY, mint).toString().trim();

  const headers = { Authorization: `Bearer ${token}` };
  const sent = await fetch(`${site}${BASE}/api/uploads?name=a.txt`, { method: "POST", headers, body: "abc" });
  assert.equal(sent.status, 201);
  const location = sent.headers.get("location");
  assert.ok(location.startsWith(`${BASE}/api/jobs/`), location);
  assert.equal((await fetch(site + location, { headers })).status, 200);

  // Without the slash it is the same page.
  const page = await visit(`${site}${BASE}`);
  assert.equal(new URL(page.url()).pathname, `${BASE}/`);
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.getByRole("link", { name: "All jobs" }).click();
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Use token" }).click();
  await page.locator("#jobs .name").getByText("a.txt").waitFor();
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.path, `${BASE}/`);

  await page.getByRole("link", { name: "Uploads" }).click();
  const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("abcd") };
  await page.setInputFiles("#files", notes);
  await says(row(page, "notes.txt"), "Done");
  const coming = page.waitForEvent("download");
  await row(page, "notes.txt").getByRole("link", { name: "Download notes.txt" }).click();
  assert.equal((await coming).suggestedFilename(), "notes.txt");
  await page.reload();
  await says(row(page, "notes.txt"), "Done");
  assert.deepEqual(asked.filter((path) => !path.startsWith(`${BASE}/`)), []);

  await server.progress("worker", "scanning", 10);
  const heard = page.evaluate(
    async ([base, token]) => {
      const { trackProcessing } = await import(`${base}/landfall.js`);
      return new Promise((resolve) => {
        const handlers = { onProgress: resolve, onDone() {}, onFailure: resolve };
        trackProcessing("worker", handlers, { baseUrl: base, token: async () => token });
      });
    },
    [BASE, token],
  );
  assert.equal((await heard).percent, 10);
});
