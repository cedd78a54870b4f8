// What the README and the guide show front-end developers, taken from there, compiled and run.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { compile } from "svelte/compiler";
import { Server, profile, scratch, until } from "./house.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (path) => readFileSync(here(path), "utf8");
const texts = read("../../README.md") + read("../../src/docs/browser.md");

/** The block in a language that has `mark` in it; wherever there is one, it is the same. */
function block(language, mark) {
  const blocks = [...texts.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
  const found = blocks.filter(([, name, text]) => name === language && text.includes(mark));
  const different = [...new Set(found.map(([, , text]) => text))];
  assert.equal(different.length, 1, `${language} with ${mark}`);
  return different[0];
}

/** Checks a snippet as strictly as the client, and bundles it with what uses it. */
async function bundle(name, snippet, use, svelte) {
  const folder = scratch();
  const { compilerOptions } = JSON.parse(readFileSync(here("../../src/web/tsconfig.json"), "utf8"));
  for (const file of ["landfall.js", "landfall.d.ts"]) {
    cpSync(here(`../../src/web/${file}`), join(folder, file));
  }
  symlinkSync(here("node_modules"), join(folder, "node_modules"));
  const files = [`snippet.${name}`, `use.${name}`];
  writeFileSync(join(folder, files[0]), snippet);
  writeFileSync(join(folder, files[1]), use);
  const options = { moduleResolution: "bundler", jsx: "react-jsx", noEmit: true };
  const { declaration, emitDeclarationOnly, ...rest } = compilerOptions;
  const config = { compilerOptions: { ...rest, ...options }, files };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  await promisify(execFile)(here("node_modules/.bin/tsc"), ["-p", folder]).catch((error) => {
    throw new Error(error.stdout);
  });
  if (svelte) {
    writeFileSync(join(folder, "App.svelte"), svelte.app);
    writeFileSync(join(folder, files[1]), svelte.use);
  }
  const built = await build({
    entryPoints: [join(folder, files[1])],
    plugins: svelte ? [SVELTE] : [],
    conditions: ["browser"],
    bundle: true,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"development"' },
    logLevel: "error",
    write: false,
  });
  return built.outputFiles[0].text;
}

/** Has esbuild compile Svelte's components. */
const SVELTE = {
  name: "svelte",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.svelte$/ }, ({ path }) => {
      const { js } = compile(readFileSync(path, "utf8"), { filename: path, generate: "client" });
      return { contents: js.code };
    }),
};

/** A page with an element `app`, in which a module runs. */
async function run(server, module) {
  const page = await (await profile()).newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(`${server.origin}/landfall.d.ts`);
  await page.evaluate(() => {
    document.body.innerHTML = "<div id=app></div>";
  });
  await page.addScriptTag({ type: "module", content: module });
  const shown = () => page.evaluate(() => document.querySelector("#app").textContent);
  const untilShown = (text) => until(text, async () => (await shown()) === text);
  return { page, errors, untilShown };
}

/** Takes a component through two jobs, of which it shows state, percent and message. */
async function showsTwoJobs(server, { page, errors, untilShown }) {
  await untilShown("running");
  await server.untilStreams(1);
  await server.progress("a", 30);
  await untilShown("running 30");
  await server.publish("a", "done");
  await untilShown("done 30");
  await server.untilStreams(0);
  await page.evaluate(() => show("b"));
  await untilShown("running");
  await server.progress("b", 60);
  await untilShown("running 60");
  await server.publish("b", "error", { message: "no" });
  await untilShown("failed 60 no");
  // What is left is followed no longer.
  await page.evaluate(() => show("c"));
  await server.untilStreams(1);
  await page.evaluate(() => leave());
  await server.untilStreams(0);
  assert.deepEqual(errors, []);
}

describe("the docs'", { concurrency: 2, timeout: 300_000 }, () => {
  test("React hook shows a job, then another, and lets go", async () => {
    const use = `
      import { StrictMode, useState } from "react";
      import { createRoot } from "react-dom/client";
      import { useProcessing } from "./snippet";
      declare global { function show(jobId: string): void; function leave(): void; }
      function App() {
        const [jobId, setJobId] = useState("a");
        globalThis.show = setJobId;
        const { state, progress, message } = useProcessing(jobId);
        return <>{[state, progress?.percent, message].filter(Boolean).join(" ")}</>;
      }
      const root = createRoot(document.querySelector("#app")!);
      root.render(<StrictMode><App /></StrictMode>);
      globalThis.leave = () => root.unmount();
    `;
    const server = await Server.start();
    const module = await bundle("tsx", block("tsx", "react"), use);
    await showsTwoJobs(server, await run(server, module));
  });

  test("Vue composable shows a job, then another, and lets go", async () => {
    const use = `
      import { createApp, h, ref } from "vue";
      import { useProcessing } from "./snippet";
      declare global { function show(jobId: string): void; function leave(): void; }
      const app = createApp({
        setup() {
          const jobId = ref("a");
          globalThis.show = (id) => { jobId.value = id; };
          const processing = useProcessing(jobId);
          return () => {
            const { state, progress, message } = processing.value;
            return h("p", [state, progress?.percent, message].filter(Boolean).join(" "));
          };
        },
      });
      app.mount("#app");
      globalThis.leave = () => app.unmount();
    `;
    const server = await Server.start();
    const module = await bundle("ts", block("ts", "vue"), use);
    await showsTwoJobs(server, await run(server, module));
  });

  test("Svelte store shows a job, then another, and lets go", async () => {
    const app = `
      <script>
        import { processing } from "./snippet.ts";
        let jobId = $state("a");
        globalThis.show = (id) => { jobId = id; };
        const job = $derived(processing(jobId));
      </script>
      {[$job.state, $job.progress?.percent, $job.message].filter(Boolean).join(" ")}
    `;
    const use = `
      import { mount, unmount } from "svelte";
      import App from "./App.svelte";
      const app = mount(App, { target: document.querySelector("#app") });
      globalThis.leave = () => unmount(app);
    `;
    const server = await Server.start();
    const module = await bundle("ts", block("ts", "svelte/store"), "", { use, app });
    await showsTwoJobs(server, await run(server, module));
  });

  test("upload shows the whole, and is cancelled", async () => {
    const use = `
      import { send } from "./snippet";
      declare global { var sent: ReturnType<typeof send>; }
      const bar = document.createElement("progress");
      bar.max = 100;
      const label = document.querySelector<HTMLElement>("#app")!;
      document.body.append(bar);
      globalThis.sent = send(new File([new Uint8Array(9_000_000)], "a"), bar, label);
    `;
    const server = await Server.start("--data", scratch(), "--upload-bandwidth", "1MiB");
    const module = await bundle("ts", block("ts", "uploadAndTrack"), use);
    const { page, errors, untilShown } = await run(server, module);
    await until("it is shown", () => page.evaluate(() => document.querySelector("progress")?.value > 0));
    await page.evaluate(() => sent.cancel());
    await untilShown("cancelled");
    assert.deepEqual(errors, []);
  });

  test("EventSource shows a job, a lost connection aside, and its end", async () => {
    const show = `const show = (text) => { document.querySelector("#app").textContent = text; };\n`;
    const snippet = show + block("js", "EventSource");
    for (const [event, data, text] of [
      ["done", {}, "complete"],
      ["error", { message: "no" }, "no"],
    ]) {
      const server = await Server.start();
      await server.progress("job_8f3a", 30);
      const { errors, untilShown } = await run(server, snippet);
      await untilShown("scanning 30 %");
      await server.kill();
      await server.restart();
      await server.publish("job_8f3a", "progress", { stage: "queued" });
      await untilShown("queued");
      await server.publish("job_8f3a", event, data);
      await untilShown(text);
      await server.untilStreams(0);
      assert.deepEqual(errors, []);
    }
    const server = await Server.start();
    const { untilShown } = await run(server, snippet);
    await server.progress("job_8f3a", 30);
    await untilShown("scanning 30 %");
    await server.ask("DELETE", "job_8f3a");
    await untilShown("deleted");
  });

  test("page follows its job", async () => {
    const server = await Server.start();
    const page = await (await profile()).newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error));
    await page.goto(`${server.origin}/landfall.d.ts`);
    await page.setContent(block("html", "trackProcessing"));
    await server.untilStreams(1);
    await server.progress("job_8f3a", 30);
    const shown = () => page.evaluate(() => `${bar.value} ${stage.textContent}`);
    const isUnknown = () => page.evaluate(() => bar.matches(":indeterminate"));
    await until("it is shown", async () => (await shown()) === "30 scanning");
    await server.publish("job_8f3a", "progress", { stage: "queued", for: "storing", position: 2 });
    await until("it waits", async () => (await shown()) === "0 queued" && isUnknown());
    await server.progress("job_8f3a", 60);
    await until("it goes on", async () => (await shown()) === "60 scanning");
    await server.publish("job_8f3a", "done");
    await until("it is over", async () => (await shown()) === "60 complete");
    assert.deepEqual(errors, []);
  });
});
