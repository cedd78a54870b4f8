// Follows a stream in Chromium, and prints each event's id when it has come. Ends with its input.
import { chromium } from "../browser/node_modules/playwright-core/index.mjs";

const [client, url] = process.argv.slice(2);
const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
process.stdin.resume().on("end", () => browser.close());
const page = await browser.newPage();
await page.exposeFunction("say", (id) => console.log(id));
await page.goto(new URL("/landfall.d.ts", url).href);
await page.evaluate(
  async ([client, url]) => {
    if (client === "landfall.js") {
      const { trackProcessing } = await import("/landfall.js");
      // A place in the order comes with events of other names alone: the percent is the frame's.
      const job = url.split("/").at(-2);
      const ids = async ({ jobId }) => say((await (await fetch(`/api/jobs/${jobId}`)).json()).lastEventId);
      trackProcessing(job, { onProgress: ids, onDone() {}, onFailure() {} });
      return;
    }
    const source = new EventSource(url);
    source.addEventListener("progress", ({ lastEventId }) => say(lastEventId));
  },
  [client, url],
);
