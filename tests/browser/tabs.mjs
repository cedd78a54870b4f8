// Many jobs, and many tabs of one origin.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Gate, KEEP_ALL, PLAIN_HOST, Server, profile, said, tab, until, untilSaid } from "./house.mjs";

/** Follows jobs in a tab, and keeps what follows them as `many`. */
function trackMany(page, jobs, options = {}) {
  return page.evaluate(
    ([jobs, options]) => {
      globalThis.many = landfall.trackMany(jobs, handlers, options);
    },
    [jobs, options],
  );
}

/** What a tab was told of one job. */
function of(job, all) {
  return all.filter((one) => one.startsWith(`${job} `));
}

const scanned = (job, ...percents) => percents.map((percent) => `${job} scanning ${percent}`);

describe("many jobs and many tabs", { concurrency: 2, timeout: 300_000 }, () => {
  test("twelve tabs with forty jobs are all live, and an ordinary fetch answers at once", async () => {
    const server = await Server.start();
    const context = await profile();
    const jobs = Array.from({ length: 40 }, (_, index) => `job-${index}`);
    const tabs = await Promise.all(Array.from({ length: 12 }, () => tab(context, server.origin)));
    await Promise.all(tabs.map((page) => trackMany(page, jobs)));
    await until("all are open", async () => {
      const open = await Promise.all(tabs.map((page) => page.evaluate(() => states)));
      return open.every((states) => states.filter((state) => state.endsWith("open")).length === 40);
    });
    for (const percent of [25, 75]) {
      await Promise.all(jobs.map((job) => server.progress(job, percent)));
    }
    for (const page of tabs) {
      const all = await untilSaid(page, 80);
      for (const job of jobs) assert.deepEqual(of(job, all), scanned(job, 25, 75));
    }
    await server.untilStreams(1);
    const ask = () => fetch("/api/jobs/job-0", { cache: "no-store" }).then(({ status }) => status);
    const answers = await Promise.all(tabs.map((page) => page.evaluate(ask)));
    assert.deepEqual(answers, Array(12).fill(200));
    await Promise.all(jobs.map((job) => server.publish(job, "done")));
    for (const page of tabs) {
      const all = await untilSaid(page, 120);
      for (const job of jobs) assert.deepEqual(of(job, all), [...scanned(job, 25, 75), `${job} done`]);
    }
    await server.untilStreams(0);
  });

  test("six plain sources are all that a browser has, and its fetches wait for them", async () => {
    // What the test above would be without the client.
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      for (let n = 0; n < 6; n++) new EventSource(`/api/jobs/${n}/events`);
    });
    await server.untilStreams(6);
    const answer = await page.evaluate(() =>
      Promise.race([
        fetch("/api/jobs/0", { cache: "no-store" }).then(() => "answered"),
        new Promise((resolve) => setTimeout(resolve, 500, "waits")),
      ]),
    );
    assert.equal(answer, "waits");
  });

  test("tabs that lead and go, or crash, cost the others no event", async () => {
    const server = await Server.start(...KEEP_ALL);
    const context = await profile();
    const tabs = [];
    for (let n = 0; n < 5; n++) {
      tabs.push(await tab(context, server.origin));
      await trackMany(tabs[n], ["a", "b"]);
      // One after the other, so that each leads in its turn.
      await until("it is open", () => tabs[n].evaluate(() => states.includes("b open")));
    }
    await server.untilStreams(1);
    let percent = 0;
    let isOver = false;
    const publish = async () => {
      while (!isOver) {
        percent++;
        await server.progress("a", percent / 100);
        await server.progress("b", percent / 100);
      }
    };
    const published = publish();
    const last = tabs[4];
    const goOn = async (page) => {
      const before = (await said(page)).length;
      await untilSaid(page, before + 20);
    };
    for (const [n, page] of tabs.slice(0, 4).entries()) {
      await goOn(last);
      if (n % 2) await page.close();
      else await page.goto("chrome://crash").catch(() => {});
    }
    await goOn(last);
    isOver = true;
    await published;
    for (const job of ["a", "b"]) await server.publish(job, "done");
    const all = await untilSaid(last, 2 * percent + 2);
    const percents = Array.from({ length: percent }, (_, index) => (index + 1) / 100);
    for (const job of ["a", "b"]) {
      assert.deepEqual(of(job, all), [...scanned(job, ...percents), `${job} done`]);
    }
    await server.untilStreams(0);
  });

  test("a tab that crashes takes its jobs off the connection", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    const context = await profile();
    const [first, second] = [await tab(context, gate.origin), await tab(context, gate.origin)];
    await trackMany(first, ["a"]);
    await server.untilStreams(1);
    await trackMany(second, ["b"]);
    const jobs = () => new URL(gate.asked.at(-1).url, gate.origin).searchParams.getAll("job").join();
    await until("both are followed", () => jobs() === "a,b");
    await second.goto("chrome://crash").catch(() => {});
    await until("one is followed", () => jobs() === "a");
    await server.untilStreams(1);
  });

  test("a tab that comes later is told all from the beginning, and the others nothing twice", async () => {
    const server = await Server.start();
    const context = await profile();
    const first = await tab(context, server.origin);
    await trackMany(first, ["a", "b"]);
    for (const percent of [1, 2]) await server.progress("a", percent);
    await server.progress("b", 1);
    await untilSaid(first, 3);
    const second = await tab(context, server.origin);
    await trackMany(second, ["a"]);
    assert.deepEqual(await untilSaid(second, 2), scanned("a", 1, 2));
    await server.progress("a", 3);
    await server.progress("b", 2);
    assert.deepEqual(await untilSaid(second, 3), scanned("a", 1, 2, 3));
    const all = await untilSaid(first, 5);
    assert.deepEqual(of("a", all), scanned("a", 1, 2, 3));
    assert.deepEqual(of("b", all), scanned("b", 1, 2));
    await server.untilStreams(1);
  });

  test("jobs are added and removed while it runs: nothing is missed and nothing repeated", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    // What is added later has a past, between what the others have seen.
    await server.progress("late", 1);
    await trackMany(page, ["a", "b"]);
    for (const percent of [1, 2]) {
      for (const job of ["a", "b", "late"]) await server.progress(job, percent + 1);
    }
    await untilSaid(page, 4);
    await page.evaluate(() => many.add("late"));
    assert.deepEqual(of("late", await untilSaid(page, 7)), scanned("late", 1, 2, 3));
    await page.evaluate(() => many.remove("b"));
    await until("it is renewed", () => gate.asked.length === 3);
    await server.untilStreams(1);
    for (const job of ["b", "a", "late"]) await server.progress(job, 4);
    await server.publish("late", "done");
    await server.publish("a", "error", { message: "no" });
    const all = await untilSaid(page, 11);
    assert.deepEqual(of("a", all), [...scanned("a", 2, 3, 4), "a failed: no"]);
    assert.deepEqual(of("b", all), scanned("b", 2, 3));
    assert.deepEqual(of("late", all), [...scanned("late", 1, 2, 3, 4), "late done"]);
    await server.untilStreams(0);
    const asked = gate.asked.map(({ url }) => new URL(url, gate.origin).searchParams);
    const ids = asked.map((query) => query.getAll("job").join().replace(/\d+/g, "N"));
    // What was seen isn't asked for again.
    assert.deepEqual(ids, ["a,b", "a:N,b:N,late", "a,late"]);
    assert.ok(asked[2].get("lastEventId"));
    // One that has ended can be followed again, and one that stopped goes on elsewhere.
    await page.evaluate(() => many.add("late"));
    await untilSaid(page, 16);
    await page.evaluate(() => many.stop());
    assert.equal(gate.asked.length, 4);
  });

  test("more jobs than a request can name are spread over several streams", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    const jobs = Array.from({ length: 120 }, (_, index) => `${index}-`.padEnd(64, "x"));
    await trackMany(page, jobs);
    await server.untilStreams(3);
    await Promise.all(jobs.map((job) => server.publish(job, "done")));
    const all = await untilSaid(page, 120);
    assert.deepEqual(all.toSorted(), jobs.map((job) => `${job} done`).toSorted());
    await server.untilStreams(0);
    assert.equal(await server.metric(/code="414"/), 0);
  });

  test("what a tab says that leads no longer changes nothing, however late it comes", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    const context = await profile();
    const tabs = [];
    for (const job of ["a", "b", "c"]) {
      const page = await tab(context, gate.origin);
      tabs.push(page);
      if (job === "a") await page.evaluate(delayMessages, 800);
      await trackMany(page, [job]);
      await until("it is open", () => page.evaluate(() => states.some((state) => state.endsWith("open"))));
    }
    const [former, leader, other] = tabs;
    for (const percent of [1, 2]) await server.progress("a", percent);
    await untilSaid(former, 2);
    await until("it has told the others", () => former.evaluate(() => unsaid === 0));
    await server.progress("a", 3);
    await untilSaid(former, 3);
    const { length } = gate.asked;
    gate.holdsBack = () => true;
    await former.evaluate(() => many.stop());
    await trackMany(other, ["a"]);
    await until("another leads", () => gate.asked.length > length);
    await until("it has told them of the last", () => former.evaluate(() => unsaid === 0));
    gate.holdsBack = () => false;
    gate.cut();
    assert.deepEqual(await untilSaid(other, 3), scanned("a", 1, 2, 3));
    for (const job of ["a", "b", "c"]) await server.progress(job, 4);
    assert.deepEqual(of("b", await untilSaid(leader, 1)), scanned("b", 4));
    const all = await untilSaid(other, 5);
    assert.deepEqual([of("a", all), of("c", all)], [scanned("a", 1, 2, 3, 4), scanned("c", 4)]);
  });

  test("whatever tabs do, and connections, each event comes once and in order", async (t) => {
    const seed = Date.now() % 2 ** 32;
    t.diagnostic(`seed ${seed}`);
    const random = randomFrom(seed);
    const server = await Server.start(...KEEP_ALL);
    const gate = await Gate.before(server);
    // A poll would pass over what is between.
    gate.refusalOfRest = () => ({ status: 502 });
    const context = await profile();
    const jobs = ["a", "b", "c", "d"];
    const counts = { a: 0, b: 0, c: 0, d: 0 };
    let isOver = false;
    const publish = async () => {
      for (let n = 0; !isOver; n++) {
        const job = jobs[n % 4];
        await server.publish(job, "progress", { count: ++counts[job] });
      }
    };
    const tabs = [];
    const open = async () => {
      const page = await tab(context, gate.origin);
      await page.evaluate(delayMessages, random([0, 50, 400]));
      await page.evaluate(() => {
        globalThis.trackers = [];
        globalThis.wrong = [];
        globalThis.follow = (job) => {
          const tracker = { job, count: 0 };
          const options = { backoff: 20, retries: 100 };
          const onProgress = ({ count }) => {
            if (count !== tracker.count + 1) wrong.push(`${job}: ${count} after ${tracker.count}`);
            tracker.count = count;
          };
          const unexpected = (...all) => wrong.push(all.join(" "));
          const others = { onDone: unexpected, onFailure: unexpected, onReset: unexpected };
          tracker.stop = landfall.trackProcessing(job, { onProgress, ...others }, options);
          trackers.push(tracker);
        };
      });
      tabs.push(page);
    };
    const wrong = (page) => page.evaluate(() => wrong);
    const followIn = (page) => page.evaluate((job) => follow(job), random(jobs));
    const deeds = {
      follow: followIn,
      followAll: () => Promise.all(tabs.map(followIn)),
      followTwice: async (page) => {
        await followIn(page);
        await followIn(random(tabs));
      },
      stop: (page) => page.evaluate(() => trackers.shift()?.stop()),
      cut: () => gate.cut(),
      refuse: async () => {
        const { length } = gate.asked;
        gate.refusal = () => ({ status: 502 });
        gate.cut();
        gate.refusal = (count) => (count <= length + 1 ? { status: 502 } : undefined);
      },
      open: () => tabs.length < 4 && open(),
      close: async (page) => {
        if (tabs.length === 1) return;
        assert.deepEqual(await wrong(page), []);
        tabs.splice(tabs.indexOf(page), 1);
        await page.close();
      },
    };
    await open();
    const published = publish();
    for (let n = 0; n < 50; n++) {
      await deeds[random(Object.keys(deeds))](random(tabs));
      const { d } = counts;
      await until("it goes on", () => counts.d > d + 2);
    }
    await tabs[0].evaluate(() => follow("a"));
    isOver = true;
    await published;
    for (const page of tabs) {
      await until("all has come", async () => {
        assert.deepEqual(await wrong(page), []);
        const all = await page.evaluate(() => trackers.map(({ job, count }) => [job, count]));
        return all.every(([job, count]) => count === counts[job]);
      });
    }
    await server.untilStreams(1);
  });

  test("without locks, or where it is asked for, each tab has a connection of its own", async () => {
    const server = await Server.start();
    const context = await profile();
    const alone = await tab(context, server.origin);
    await trackMany(alone, ["a", "b"], { share: false });
    // A page by plain HTTP from a host that isn't this one has no locks.
    const plain = server.origin.replace("127.0.0.1", PLAIN_HOST);
    const tabs = [alone, await tab(context, plain), await tab(context, plain)];
    for (const page of tabs.slice(1)) {
      assert.equal(await page.evaluate(() => navigator.locks), undefined);
      await trackMany(page, ["a", "b"]);
    }
    await server.untilStreams(3);
    for (const job of ["a", "b"]) {
      await server.progress(job, 1);
      await server.publish(job, "done");
    }
    for (const page of tabs) {
      const all = await untilSaid(page, 4);
      for (const job of ["a", "b"]) {
        assert.deepEqual(of(job, all), [...scanned(job, 1), `${job} done`]);
      }
    }
    await server.untilStreams(0);
  });
});

/** Has what a tab says to others come late, and in order, as where there is much to do. */
function delayMessages(ms) {
  globalThis.unsaid = 0;
  for (const name of ["postMessage", "close"]) {
    const act = BroadcastChannel.prototype[name];
    BroadcastChannel.prototype[name] = function (...all) {
      // Closed, it hears nothing, though what it said is yet to come.
      if (name === "close") this.onmessage = null;
      const late = new Promise((resolve) => setTimeout(resolve, ms));
      unsaid += 1;
      this.before = Promise.all([this.before, late]).then(() => {
        act.apply(this, all);
        unsaid -= 1;
      });
    };
  }
}

/** Picks from lists, the same for the same seed (mulberry32). */
function randomFrom(seed) {
  return (list) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return list[((t ^ (t >>> 14)) >>> 0) % list.length];
  };
}
