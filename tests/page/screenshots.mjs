// Draws the page in its states into a directory: node screenshots.mjs DIRECTORY [PATTERN].
// Two of them, with fewer colours, are the README's.

import { test } from "node:test";
import { Server, acceptUploads, file, jobs, row, says, scratch, visit } from "./support.mjs";

const [directory, pattern = ""] = process.argv.slice(2);
const SIZES = {
  phone: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1280, height: 800 } },
};

/** Some hundred jobs of an appliance. */
function busyDay() {
  const names = ["thumbs_4411", "job_8f3a", "import-2026-11-25", "encode.b2", "scan_inbox", "nightly"];
  const cameras = ["front", "gate", "yard"];
  const stages = ["scanning", "transcoding", "storing"];
  return Array.from({ length: 340 }, (_, n) => {
    const job = `${names[n % names.length]}-${n}`;
    const name = n % 3 ? undefined : `camera_${cameras[(n * 7) % 3]}_2026-11-29T0${n % 10}-${10 + (n % 50)}-00.mp4`;
    const chance = (n * 7919) % 10;
    const progress = { stage: stages[n % 3], percent: (n * 37) % 100 };
    const last =
      chance < 5
        ? ["done", { contentType: "video/mp4", size: 1_000_000 + n * 61_111 }]
        : chance === 5
          ? ["error", { stage: "transcoding", message: "ffmpeg: moov atom not found" }]
          : chance === 6
            ? ["progress", { stage: "queued", position: 3 }]
            : ["progress", progress];
    return { job, event: last[0], data: { ...last[1], name } };
  });
}

async function draw(server, size, colorScheme) {
  const tag = `${size}-${colorScheme}`;
  const shot = async (page, state, isWhole) => {
    // Bars move to where they belong.
    await page.waitForTimeout(600);
    // With fullPage a phone would have a mouse.
    const height = isWhole ? await page.evaluate(() => document.documentElement.scrollHeight) : 0;
    const { viewport } = SIZES[size];
    await page.setViewportSize({ ...viewport, height: Math.max(height, viewport.height) });
    await page.screenshot({ path: `${directory}/${state}-${tag}.png` });
  };
  const options = { ...SIZES[size], colorScheme };
  const page = await visit(server.page, options);
  await shot(page, "empty");
  // The last one is sent for real, over a slow line.
  const wire = await page.context().newCDPSession(page);
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 400_000 };
  await wire.send("Network.emulateNetworkConditions", slow);
  await acceptUploads(page, server, (name) => !name.startsWith("field"));
  await page.setInputFiles("#files", [
    file("harbour-at-dawn.mp4", 8_421_300),
    file("survey.pdf", 1_310_000),
    file("breakwater.mov", 6_200_000),
    file("interview.m4a", 3_700_000),
    file("field-recording-part-one.mov", 9_000_000),
  ]);
  await says(row(page, "interview.m4a"), "Uploading 100%");
  await says(row(page, "field-recording-part-one.mov"), "Uploading");
  const [harbour, survey, breakwater, interview] = await jobs(page);
  await server.progress(harbour, "scanning", 50);
  await server.progress(harbour, "transcoding", 43, { speed: 2.4, etaMs: 130_000 });
  await server.progress(interview, "scanning", 12);
  await server.publish(breakwater, "progress", { stage: "queued", for: "transcoding", position: 2 });
  await server.publish(survey, "error", {
    stage: "scanning",
    message: "The name says PDF, but by its content it is a Windows program. It is in quarantine.",
  });
  await says(row(page, "harbour-at-dawn.mp4"), "Transcoding");
  await says(row(page, "survey.pdf"), "failed");
  await server.progress(interview, "scanning", 61);
  await says(row(page, "interview.m4a"), "61");
  await row(page, "field-recording-part-one.mov").locator(".how", { hasText: "/s" }).waitFor();
  await shot(page, "running", true);
  for (const job of [harbour, breakwater, interview]) {
    await server.progress(job, "transcoding", 99);
    await server.progress(job, "storing", 99);
    const digest = `sha256:${"9f86d081884c7d65".repeat(4)}`;
    await server.publish(job, "done", { contentType: "video/mp4", size: 6_120_000, digest, stored: true });
  }
  await says(row(page, "breakwater.mov"), "Done");
  await shot(page, "ended", true);

  await server.publishMany(busyDay());
  const list = await visit(server.operatorsPage, options);
  await list.locator("#jobs .name").first().waitFor();
  await shot(list, "all");
  await list.goto(`${server.page}#all`);
  await list.getByText("isn't open to everyone").waitFor();
  await shot(list, "refused");

  await server.progress("job_8f3a", "transcoding", 64);
  const lost = await visit(`${server.page}#job=job_8f3a`, options);
  await says(row(lost, "job_8f3a"), "Transcoding 64%");
  await lost.locator("#connection", { hasText: "Live" }).waitFor();
  await server.kill();
  await says(row(lost, "job_8f3a"), "Reconnecting");
  await shot(lost, "lost");
}

for (const size of Object.keys(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    if (!`${size}-${colorScheme}`.includes(pattern)) continue;
    test(`${size}, ${colorScheme}`, async () => {
      await draw(await Server.start("--data", scratch()), size, colorScheme);
    });
  }
}
