// Uploads a file from Chromium, from a page of another origin than the hub's: by a plain
// form, and with Uppy's tus plugin, which is stopped once on the way.
import { createServer } from "node:http";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { CHROMIUM, FLAGS } from "../support/chromium.mjs";

const [hub, port, clip, file] = process.argv.slice(2);
const api = `http://${hub}/api`;
const script = `
  import Uppy from "@uppy/core";
  import Tus from "@uppy/tus";
  globalThis.begin = (endpoint, job) => {
    const uppy = new Uppy();
    uppy.use(Tus, { endpoint, chunkSize: 512 * 1024, retryDelays: [50, 100, 500] });
    uppy.on("upload-progress", (_, progress) => {
      if (progress.bytesUploaded > 1024 * 1024 && !globalThis.stopped) {
        globalThis.stopped = 1;
        uppy.pauseAll();
        setTimeout(() => uppy.resumeAll(), 100);
      }
    });
    document.querySelector("#uppy").addEventListener("change", async (event) => {
      const [file] = event.target.files;
      uppy.addFile({ name: file.name, type: file.type, data: file, meta: { job, filename: file.name } });
      const { successful, failed } = await uppy.upload();
      globalThis.ended = { successful: successful.length, failed: failed.map((f) => f.error) };
    });
  };
`;
const bundle = await build({
  stdin: { contents: script, resolveDir: import.meta.dirname },
  bundle: true,
  format: "iife",
  write: false,
});
const page = `<!doctype html><meta charset="utf-8"><title>uploads</title>
  <form action="${api}/uploads" method="post" enctype="multipart/form-data">
    <input name="job" value="by-form"><input id="form" type="file" name="file"><button>Send</button>
  </form>
  <input id="uppy" type="file"><script src="/script.js"></script>`;
const pages = createServer((request, response) => {
  const isScript = request.url === "/script.js";
  response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? bundle.outputFiles[0].contents : page);
});
await new Promise((done) => pages.listen(Number(port), "127.0.0.1", done));
const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "landfall-")), {
  executablePath: CHROMIUM,
  headless: true,
  args: FLAGS,
});
const tab = await context.newPage();
// What a failure is explained by.
const story = [];
for (const happening of ["request", "requestfailed", "requestfinished"]) {
  tab.on(happening, (request) => {
    const offset = request.headers()["upload-offset"] ?? "";
    story.push([happening, request.method(), new URL(request.url()).pathname, offset].join(" "));
  });
}
tab.on("pageerror", (error) => story.push(String(error)));
tab.on("console", (message) => story.push(message.text()));
try {
  await tab.goto(`http://127.0.0.1:${port}/`);
  await tab.setInputFiles("#form", clip);
  const [answer] = await Promise.all([tab.waitForNavigation(), tab.click("button")]);
  const form = answer.status();
  await tab.goto(`http://127.0.0.1:${port}/`);
  await tab.evaluate(([endpoint, job]) => begin(endpoint, job), [`${api}/tus/`, "by-uppy"]);
  await tab.setInputFiles("#uppy", file);
  const handle = await tab.waitForFunction(() => globalThis.ended, null, { timeout: 120_000 });
  const { successful, failed } = await handle.jsonValue();
  const aborted = await tab.evaluate(() => globalThis.stopped);
  if (failed.length > 0) throw new Error(failed.join());
  console.log(`form ${form}, uppy ${successful} of 1, aborted ${aborted}`);
} catch (error) {
  console.log([String(error).replaceAll("\n", " "), ...story.slice(-30)].join("; "));
  process.exitCode = 1;
} finally {
  await context.close();
  pages.close();
}
