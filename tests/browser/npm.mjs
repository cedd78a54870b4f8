// The npm package as people install it: packed from the tree, into a fresh Vite project and
// beside an old-style page.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createReadStream, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Server, profile, scratch, until } from "./house.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);
const TYPES = { ".html": "text/html", ".js": "text/javascript" };

describe("the npm package", { timeout: 300_000 }, () => {
  const folder = scratch();
  let tarball;
  let listener;
  let root;
  let origin;
  let server;

  before(async () => {
    const out = await run("npm", ["pack", here("../../src/web/npm"), "--json", "--pack-destination", folder]);
    const [packed] = JSON.parse(out.stdout.slice(out.stdout.indexOf("[\n")));
    tarball = { path: join(folder, packed.filename), files: packed.files.map(({ path }) => path) };
    // Pages of another origin than Landfall's, without a server of their own.
    listener = createServer(({ url }, answer) => {
      const path = join(root, url === "/" ? "index.html" : url);
      if (!existsSync(path)) return answer.writeHead(404).end();
      answer.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "text/plain" });
      createReadStream(path).pipe(answer);
    }).listen(0, "127.0.0.1");
    await once(listener, "listening");
    origin = `http://127.0.0.1:${listener.address().port}`;
    server = await Server.start("--cors-origin", origin);
  });
  after(() => listener.close());

  /** A project of its own, with the package installed. */
  async function project() {
    const folder = scratch();
    writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball.path], { cwd: folder });
    return folder;
  }

  /** Opens the page in `folder`, which follows `job`, and takes that to its end. */
  async function follows(folder, job) {
    root = folder;
    const page = await (await profile()).newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error));
    await page.goto(origin);
    await server.untilStreams(1);
    const shown = (text) => until(text, async () => (await page.textContent("#app")) === text);
    await server.progress(job, 30);
    await shown("scanning 30");
    await server.publish(job, "done");
    await shown("complete");
    await server.untilStreams(0);
    assert.deepEqual(errors, []);
  }

  test("has the client, its types, its sources and the licence, and needs nothing", async () => {
    const sources = ["connection", "group", "landfall", "pace", "tools", "transfer", "upload"];
    assert.deepEqual(tarball.files.toSorted(), [
      "LICENSE",
      "README.md",
      ...sources.map((name) => `client/${name}.ts`),
      "landfall.d.ts",
      "landfall.js",
      "package.json",
    ]);
    const installed = join(await project(), "node_modules/landfall");
    for (const name of ["landfall.js", "landfall.d.ts"]) {
      assert.equal(readFileSync(join(installed, name), "utf8"), readFileSync(here(`../../src/web/${name}`), "utf8"));
    }
    const told = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assert.deepEqual([told.sideEffects, told.dependencies], [false, undefined]);
    const { version } = told;
    assert.match(readFileSync(here("../../Cargo.toml"), "utf8"), new RegExp(`^version = "${version}"$`, "m"));
  });

  test("works in a fresh Vite project, type-checked, and leaves nothing there that isn't used", async () => {
    const folder = await project();
    for (const name of ["vite", "typescript"]) {
      symlinkSync(here(`node_modules/${name}`), join(folder, "node_modules", name));
    }
    const app = '<p id="app"></p><script type="module" src="/main.ts"></script>';
    writeFileSync(join(folder, "index.html"), app);
    writeFileSync(
      join(folder, "main.ts"),
      `import { trackProcessing, type ProgressPayload } from "landfall";
      const app = document.querySelector("#app")!;
      const show = ({ stage, percent }: ProgressPayload) => {
        const known: number | undefined = percent;
        app.textContent = \`\${stage} \${known ?? "?"}\`;
      };
      trackProcessing("vite", {
        onProgress: show,
        onDone: (jobId, data) => { app.textContent = data.jobId === jobId ? "complete" : "wrong"; },
        onFailure: (message, _, data) => { app.textContent = data?.reason ?? message; },
      }, { baseUrl: "${server.origin}" });`,
    );
    const flags = ["--strict", "--noEmit", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
    await run(process.execPath, [here("node_modules/typescript/bin/tsc"), ...flags, "main.ts"], { cwd: folder }).catch((error) => {
      throw new Error(error.stdout);
    });
    await run(process.execPath, [here("node_modules/vite/bin/vite.js"), "build"], { cwd: folder });
    await follows(join(folder, "dist"), "vite");
    writeFileSync(join(folder, "main.ts"), 'import "landfall"; document.title = "none";');
    await run(process.execPath, [here("node_modules/vite/bin/vite.js"), "build"], { cwd: folder });
    const built = JSON.stringify((await run("cat", [join(folder, "dist/index.html")])).stdout);
    const [, script] = /src=\\"\/(assets[^"\\]+)/.exec(built);
    assert.ok(!readFileSync(join(folder, "dist", script), "utf8").includes("text/event-stream"));
  });

  test("works in an old-style page, by a plain script", async () => {
    const folder = await project();
    writeFileSync(
      join(folder, "index.html"),
      `<p id="app"></p>
      <script>
        var app = document.getElementById("app");
        import("/node_modules/landfall/landfall.js").then(function (landfall) {
          landfall.trackProcessing("old", {
            onProgress: function (data) { app.textContent = data.stage + " " + data.percent; },
            onDone: function () { app.textContent = "complete"; },
            onFailure: function (message) { app.textContent = message; }
          }, { baseUrl: "${server.origin}" });
        });
      </script>`,
    );
    await follows(folder, "old");
  });
});
