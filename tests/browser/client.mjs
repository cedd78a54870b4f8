// The client in Chromium, against the real binary.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Gate, KEEP_ALL, Server, mint, profile, said, scratch, tab, until, untilSaid } from "./house.mjs";

const KEY = join(scratch(), "token.key");
writeFileSync(KEY, "61".repeat(32), { mode: 0o600 });

/** Follows a job in a tab, and keeps what stops that as `stop`. */
function track(page, job, options = {}) {
  return page.evaluate(
    ([job, options]) => {
      globalThis.stop = landfall.trackProcessing(job, handlers, options);
    },
    [job, options],
  );
}

const scanned = (job, ...percents) => percents.map((percent) => `${job} scanning ${percent}`);

describe("the client", { concurrency: 3, timeout: 300_000 }, () => {
  test("progress and done are handed on, and done closes the source", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await track(page, "a");
    await server.untilStreams(1);
    await server.progress("a", 30);
    await server.progress("a", 60);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 3), [...scanned("a", 30, 60), "a done"]);
    await server.untilStreams(0);
    // Whoever comes later gets it all, and a second one of the same job as well.
    await track(page, "a");
    assert.deepEqual((await untilSaid(page, 6)).slice(3), [...scanned("a", 30, 60), "a done"]);
    await server.untilStreams(0);
    const asked = await server.metric(/requests_total{method="GET",route="\/api\/events"/);
    assert.equal(asked, 2);
    const states = await page.evaluate(() => states);
    assert.deepEqual(states.slice(0, 3), ["a connecting", "a open", "a closed"]);
  });

  test("an error is a failure with its message, and closes the source", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await track(page, "a");
    await server.untilStreams(1);
    await server.publish("a", "error", { message: "it is a virus" });
    assert.deepEqual(await untilSaid(page, 1), ["a failed: it is a virus"]);
    await server.untilStreams(0);
    assert.equal(await server.metric(/requests_total{method="GET",route="\/api\/events"/), 1);
  });

  test("an error without a message is a failure in words, with what else it says", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      const onFailure = (...all) => said.push(JSON.stringify(all));
      landfall.trackProcessing("a", { ...handlers, onFailure });
    });
    await server.publish("a", "error", { stage: "storing" });
    const expected = '["the job failed","a",{"jobId":"a","stage":"storing"}]';
    assert.deepEqual(await untilSaid(page, 1), [expected]);
  });

  test("data of any shape are handed on, and what isn't a text is no message", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      const keep = (...all) => said.push(JSON.stringify(all));
      landfall.trackProcessing("a", { ...handlers, onProgress: keep, onFailure: keep });
    });
    // What can't be made a text.
    const odd = { toString: 1, valueOf: 1 };
    const data = [{ stage: odd, percent: 1 }, { stage: null, percent: 2 }, { percent: 3, etaMs: odd }];
    for (const one of data) await server.publish("a", "progress", one);
    await server.publish("a", "error", { message: odd });
    const named = (one) => ({ jobId: "a", ...one });
    const expected = [...data.map((one) => [named(one)]), ["the job failed", "a", named({ message: odd })]];
    assert.deepEqual(await untilSaid(page, 4), expected.map((all) => JSON.stringify(all)));
    assert.equal(await page.evaluate(() => states.join()), "a connecting,a open,a closed");
  });

  test("events of other names come with their ids, in their order", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await track(page, "a");
    await server.untilStreams(1);
    const ids = [
      await server.publish("a", "thumbnail", { url: "/1.png" }),
      await server.publish("a", "message", { text: "two\nlines" }),
    ];
    await server.progress("a", 30);
    ids.push(await server.publish("a", "ping"));
    const expected = [`a thumbnail ${ids[0]}`, `a message ${ids[1]}`, ...scanned("a", 30), `a ping ${ids[2]}`];
    assert.deepEqual(await untilSaid(page, 4), expected);
    // Whoever has no handler for them isn't bothered.
    await page.evaluate(() => {
      const { onEvent, ...others } = handlers;
      landfall.trackProcessing("a", others);
    });
    assert.deepEqual((await untilSaid(page, 5)).slice(4), scanned("a", 30));
  });

  test("a deletion is an end of its own, and a failure to who has no word for it", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      const { onDeleted, ...others } = handlers;
      landfall.trackMany(["a", "b"], handlers);
      landfall.trackProcessing("a", others);
    });
    await server.progress("a", 30);
    await untilSaid(page, 2);
    await server.ask("DELETE", "a");
    const ends = (await untilSaid(page, 4)).slice(2);
    assert.deepEqual(ends.toSorted(), ["a deleted", "a failed: the job was deleted"]);
    // What begins anew belongs to nobody who saw the end; the others go on.
    await server.ask("PUT", "a");
    await server.progress("a", 60);
    await server.publish("b", "done");
    assert.equal((await untilSaid(page, 5))[4], "b done");
    await server.untilStreams(0);
    // Who asks now gets the new life alone.
    await track(page, "a");
    assert.deepEqual((await untilSaid(page, 6)).slice(5), scanned("a", 60));
    await server.ask("PUT", "a?replace=true");
    assert.equal((await untilSaid(page, 7))[6], "a deleted");
    await server.untilStreams(0);
    const states = await page.evaluate(() => states);
    assert.equal(states.filter((state) => state === "a closed").length, 3);
  });

  test("what was deleted before is over at once, whatever is replayed of it", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await server.progress("a", 30);
    await server.ask("DELETE", "a");
    for (const [index, replay] of ["all", "latest", "none"].entries()) {
      await track(page, "a", { replay, retries: 2, backoff: 10 });
      assert.deepEqual((await untilSaid(page, index + 1))[index], "a deleted");
    }
    await server.untilStreams(0);
    assert.equal((await said(page)).length, 3);
  });

  test("a server that is killed in mid-job is found again, and goes on", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await track(page, "a");
    await server.untilStreams(1);
    await server.progress("a", 30);
    await untilSaid(page, 1);
    await server.kill();
    await until("it reconnects", () => page.evaluate(() => states.includes("a reconnecting")));
    await server.restart();
    await server.progress("a", 60);
    await server.publish("a", "done");
    // It kept nothing, and says so: a silent gap would be worse.
    const expected = [...scanned("a", 30), "a reset unknown", ...scanned("a", 60), "a done"];
    assert.deepEqual(await untilSaid(page, 4), expected);
    await server.untilStreams(0);
    assert.deepEqual(await said(page), expected);
  });

  test("a server with a journal goes on after its death as if nothing had been", async () => {
    const server = await Server.start("--data", scratch());
    const page = await tab(await profile(), server.origin);
    await track(page, "a");
    await server.untilStreams(1);
    await server.progress("a", 30);
    await untilSaid(page, 1);
    await server.kill();
    await server.restart();
    await server.progress("a", 60);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 3), [...scanned("a", 30, 60), "a done"]);
    await server.untilStreams(0);
  });

  test("drops in the middle of frames lose nothing and repeat nothing", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    // Each connection is cut elsewhere: in the data, before the id, before the blank line.
    const cuts = [/percent":2/, /percent":4[^\n]*\n/, /percent":6[^\n]*\nid: \d+\n/, /"a"}\n/];
    gate.cutAt = (text) => {
      const cut = cuts[gate.asked.length - 1];
      const found = cut && cut.exec(text);
      return found ? found.index + found[0].length : Infinity;
    };
    await track(page, "a");
    for (let percent = 1; percent <= 8; percent++) await server.progress("a", percent);
    await server.publish("a", "done");
    const expected = [...scanned("a", 1, 2, 3, 4, 5, 6, 7, 8), "a done"];
    assert.deepEqual(await untilSaid(page, 9), expected);
    await server.untilStreams(0);
    assert.deepEqual(await said(page), expected);
    assert.equal(gate.asked.length, 5);
    const places = gate.asked.map(({ url }) => new URL(url, gate.origin).searchParams.get("lastEventId"));
    assert.ok(places.at(-1));
  });

  test("a source that was refused is opened again where it was", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    gate.refusalOfRest = () => ({ status: 502 });
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { backoff: 20 });
    await server.untilStreams(1);
    await server.progress("a", 30);
    await untilSaid(page, 1);
    const refusals = [
      { status: 502 },
      { status: 401 },
      { status: 200, type: "text/html" },
      { status: 503 },
    ];
    gate.refusal = (count) => refusals[count - 2];
    gate.cut();
    await until("all refusals are used", () => gate.asked.length >= 6);
    await server.progress("a", 60);
    await server.publish("a", "done");
    const expected = [...scanned("a", 30, 60), "a done"];
    assert.deepEqual(await untilSaid(page, 3), expected);
    const last = gate.asked.map(({ url }) => new URL(url, gate.origin).searchParams);
    const id = last[1].get("lastEventId");
    assert.ok(id > 0);
    for (const query of last.slice(2)) assert.equal(query.get("lastEventId"), id);
    assert.equal(gate.asked.length, 6);
    const states = await page.evaluate(() => states);
    assert.deepEqual(states, ["connecting", "open", "reconnecting", "open", "closed"].map((s) => `a ${s}`));
  });

  test("what stays refused is a failure, once, after as many tries as were asked for", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    gate.refusal = gate.refusalOfRest = () => ({ status: 502 });
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { retries: 3, backoff: 10 });
    assert.deepEqual(await untilSaid(page, 1), ["a failed: the connection was refused: HTTP 502"]);
    const { length } = gate.asked;
    assert.ok(length >= 4, `${length}`);
    // It can be tried anew.
    gate.refusal = () => undefined;
    await server.publish("a", "done");
    await track(page, "a");
    assert.deepEqual((await untilSaid(page, 2))[1], "a done");
    assert.equal(gate.asked.length, length + 1);
  });

  test("a token that can't be had counts as a refusal", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      const token = () => Promise.reject(new Error("you are logged out"));
      landfall.trackProcessing("a", handlers, { token, retries: 2, backoff: 1 });
    });
    const [failure] = await untilSaid(page, 1);
    assert.match(failure, /^a failed: the connection was refused: .*you are logged out$/);
  });

  test("nothing is called after the disposer, whoever calls it and when", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await page.evaluate(() => {
      // At once, in a handler, in the handler of the last state, and twice.
      landfall.trackProcessing("a", handlers)();
      const stopAt = (what) => {
        const mine = [];
        const stop = landfall.trackProcessing("a", {
          onProgress: ({ percent }) => mine.push(percent) && what === percent && stop(),
          onDone: () => mine.push("done") && stop(),
          onFailure: () => mine.push("failed"),
          onState: (state) => mine.push(state) && what === state && stop(),
        });
        return mine;
      };
      globalThis.mine = [2, "open", "closed", "never"].map(stopAt);
    });
    await server.untilStreams(1);
    for (const percent of [1, 2, 3]) await server.progress("a", percent);
    await server.publish("a", "done");
    await until("the last is done", () => page.evaluate(() => mine[3].includes("done")));
    const both = ["connecting", "open"];
    assert.deepEqual(await page.evaluate(() => mine), [
      [...both, 1, 2],
      both,
      [...both, 1, 2, 3, "closed"],
      [...both, 1, 2, 3, "closed", "done"],
    ]);
    assert.deepEqual(await page.evaluate(() => [said, states]), [[], []]);
    await server.untilStreams(0);
  });

  test("a handler that throws keeps nobody else from being called", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.evaluate(() => {
      const onProgress = () => {
        throw new Error("mine");
      };
      landfall.trackProcessing("a", { ...handlers, onProgress });
      landfall.trackProcessing("a", handlers);
    });
    await server.untilStreams(1);
    await server.progress("a", 1);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 3), [...scanned("a", 1), "a done", "a done"]);
    assert.deepEqual(errors, ["mine"]);
  });

  test("a gap is a reset, and what is kept goes on", async () => {
    const server = await Server.start("--ring-events", "2");
    const gate = await Gate.before(server);
    gate.refusalOfRest = () => ({ status: 502 });
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { backoff: 20 });
    await server.untilStreams(1);
    await server.progress("a", 1);
    await untilSaid(page, 1);
    gate.refusal = () => ({ status: 502 });
    gate.cut();
    await until("it is refused", () => gate.asked.length > 1);
    for (const percent of [2, 3, 4, 5]) await server.progress("a", percent);
    gate.refusal = () => undefined;
    const expected = [...scanned("a", 1), "a reset expired", ...scanned("a", 4, 5)];
    assert.deepEqual(await untilSaid(page, 4), expected);
  });

  test("heartbeats keep a stream open, and one that is silent for two of them is opened anew", async () => {
    const server = await Server.start("--heartbeat", "200ms");
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { heartbeat: 1500, backoff: 20 });
    await server.untilStreams(1);
    await server.progress("a", 30);
    await untilSaid(page, 1);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    assert.equal(gate.asked.length, 1);
    gate.holdsBack = (count) => count === 1;
    await server.progress("a", 60);
    await until("it is opened anew", () => gate.asked.length === 2);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 3), [...scanned("a", 30, 60), "a done"]);
    assert.deepEqual(await page.evaluate(() => whys), ["nothing was heard for 3 s"]);
    const states = ["connecting", "open", "reconnecting", "open", "closed"];
    assert.deepEqual(await page.evaluate(() => states), states.map((state) => `a ${state}`));
  });

  test("where streams can't be had it polls and says so, and it streams again when it can", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    let isHolding = true;
    gate.holdsBack = () => isHolding;
    await server.progress("a", 10);
    const page = await tab(await profile(), gate.origin);
    await page.evaluate(() => {
      landfall.trackMany(["a", "b"], handlers, { heartbeat: 250, backoff: 20, retries: 2 });
    });
    await until("it polls", () => page.evaluate(() => states.includes("a polling")));
    const told = async (one) => until(one, async () => (await said(page)).includes(one));
    await told("a scanning 10");
    for (const percent of [20, 30]) await server.progress("a", percent);
    await told("a scanning 30");
    // It never gives up as long as it learns how things stand.
    await server.publish("b", "error", { message: "no" });
    await told("b failed: no");
    assert.ok(gate.asked.length > 3);
    assert.match((await page.evaluate(() => whys)).at(-1), /^nothing was heard for 0.5 s$/);
    isHolding = false;
    await until("it streams", () => page.evaluate(() => states.at(-1) === "a open"));
    await server.progress("a", 40);
    await server.publish("a", "done");
    await told("a done");
    const all = (await said(page)).filter((one) => one !== "a scanning 20");
    assert.deepEqual(all, [...scanned("a", 10, 30), "b failed: no", ...scanned("a", 40), "a done"]);
    await server.untilStreams(0);
  });

  test("an answer that is a page is called that", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    gate.refusal = gate.refusalOfRest = () => ({ status: 200, type: "text/html; charset=utf-8" });
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { retries: 2, backoff: 10 });
    const why = "the answer is text/html; charset=utf-8, no event stream";
    assert.deepEqual(await untilSaid(page, 1), [`a failed: the connection was refused: ${why}`]);
    assert.deepEqual(await page.evaluate(() => whys), [why]);
  });

  test("junk in a stream is told of, and nothing is lost by it", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    gate.refusalOfRest = () => ({ status: 502 });
    const junk = [
      "<h1>no</h1>\n",
      'data: {"jobId"\nid: 1\n\n',
      'event: done\ndata: {"jobId":"a"}\n\n',
      "data: null\nid: 1\n\n",
      'event: done\ndata: {"jobId":"a"}\nid: -1\n\n',
      "\0\0\n\xff\n",
    ];
    const type = "text/event-stream";
    gate.refusal = (count) =>
      count > 1 && junk[count - 2] && { status: 200, type, body: `retry: 10\n${junk[count - 2]}` };
    const page = await tab(await profile(), gate.origin);
    await track(page, "a", { backoff: 1 });
    await server.untilStreams(1);
    await server.progress("a", 30);
    await untilSaid(page, 1);
    gate.cut();
    await until("all junk is read", () => gate.asked.length === junk.length + 2);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 2), [...scanned("a", 30), "a done"]);
    const [dropped, ...whys] = await page.evaluate(() => whys);
    assert.equal(dropped, "the connection was lost");
    assert.ok(whys.length && whys.every((why) => why === "what came is no event of Landfall's"), whys);
  });

  test("a clock that is wrong, or jumps, costs nothing", async () => {
    const server = await Server.start();
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    await page.evaluate(() => {
      // It ended an hour before it was made, as this clock sees it.
      const claims = btoa(JSON.stringify({ exp: Date.now() / 1000 - 3600 }));
      const token = async () => `e30.${claims}.x`;
      landfall.trackProcessing("a", handlers, { token });
    });
    await server.untilStreams(1);
    await server.progress("a", 30);
    await page.clock.setSystemTime(Date.now() + 86_400_000);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await page.clock.setSystemTime(Date.now() - 86_400_000);
    await server.progress("a", 60);
    await server.publish("a", "done");
    assert.deepEqual(await untilSaid(page, 3), [...scanned("a", 30, 60), "a done"]);
    assert.equal(gate.asked.length, 1);
  });

  test("replay is what was asked for", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    for (const percent of [1, 2, 3]) await server.progress("a", percent);
    await track(page, "a", { replay: "latest" });
    assert.deepEqual(await untilSaid(page, 1), scanned("a", 3));
    await track(page, "a", { replay: "none" });
    await server.untilStreams(2);
    await server.progress("a", 4);
    assert.deepEqual(await untilSaid(page, 3), scanned("a", 3, 4, 4));
  });

  test("progress comes no more often than maxRate says, and all else comes", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await track(page, "a", { maxRate: 0.5 });
    await server.untilStreams(1);
    const began = performance.now();
    for (let percent = 1; percent <= 20; percent++) await server.progress("a", percent);
    await server.publish("a", "done");
    await until("it is done", async () => (await said(page)).at(-1) === "a done");
    const all = await said(page);
    const times = (performance.now() - began) / 2000 + 2;
    assert.ok(all.length - 1 <= times, `${all.length - 1} times`);
    assert.equal(all.at(-2), scanned("a", 20)[0]);
  });

  test("retry is honoured", async () => {
    // More than what Chromium waits by itself, which is 3 s.
    const server = await Server.start("--retry", "4s");
    const gate = await Gate.before(server);
    const page = await tab(await profile(), gate.origin);
    await track(page, "a");
    // It comes with the first frame.
    await server.progress("a", 1);
    await untilSaid(page, 1);
    const cut = performance.now();
    gate.cut();
    await until("it reconnects", () => gate.asked.length === 2);
    const waited = gate.asked[1].at - cut;
    assert.ok(waited >= 4000, `${waited} ms`);
  });

  test("204 stops the browser's own EventSource from reconnecting", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    for (const job of ["a", "b"]) {
      await server.progress(job, 1);
      await server.publish(job, "done");
      // It never closes itself: it sees the end, reconnects, and is told to stop.
      const end = await page.evaluate((job) => {
        const source = new EventSource(`/api/jobs/${job}/events`);
        return new Promise((resolve) => {
          source.onerror = () => source.readyState === EventSource.CLOSED && resolve("closed");
        });
      }, job);
      assert.equal(end, "closed");
    }
    const count = (status) =>
      server.metric(new RegExp(`requests_total{method="GET",route="/api/jobs/{job}/events",code="${status}"`));
    // The first had all the time of the second to come back.
    assert.deepEqual([await count(200), await count(204)], [2, 2]);
  });

  test("a page of a listed origin follows with its cookie, and one that isn't listed is refused", async () => {
    const pages = await Gate.before(await Server.start());
    const others = await Gate.before(await Server.start());
    const server = await Server.start("--token-key", KEY, "--cors-origin", pages.origin);
    const context = await profile();
    const value = await mint(KEY, "a");
    await context.addCookies([{ name: "landfall_token", value, url: server.origin }]);
    const client = `${server.origin}/landfall.js`;
    const options = { baseUrl: server.origin, retries: 1, backoff: 10 };

    const listed = await tab(context, pages.origin, client);
    await track(listed, "a", options);
    await server.untilStreams(1);
    await server.progress("a", 30);
    assert.deepEqual(await untilSaid(listed, 1), scanned("a", 30));
    await listed.evaluate(() => stop());
    await server.untilStreams(0);

    // The cookie goes there as well, for a port is no site: it is the origin that is refused.
    await assert.rejects(tab(context, others.origin, client), /dynamically imported/);
    const before = await server.metric(/requests_total{method="GET",route="\/api\/events",code="200"/);
    const foreign = await tab(context, others.origin);
    await track(foreign, "a", options);
    const failure = ["a failed: the connection was refused: no answer"];
    assert.deepEqual(await untilSaid(foreign, 1), failure);
    const after = await server.metric(/requests_total{method="GET",route="\/api\/events",code="200"/);
    assert.ok(after - before >= 2);

    // And without the cookie nobody gets anything.
    await listed.evaluate(() => said.splice(0));
    await track(listed, "a", { ...options, withCredentials: false });
    const unauthorized = ["a failed: the connection was refused: HTTP 401"];
    assert.deepEqual(await untilSaid(listed, 1), unauthorized);
  });

  test("a token in the query is renewed before it ends, without a gap or a repeat", async () => {
    const { server, seen, metric } = await followWithTokens("8s", (jobs) => mint(jobs));
    let percent = 0;
    while ((await seen("minted")) < 3) await server.progress("a", ++percent / 100);
    await seen("all", percent);
    assert.equal(await metric("stream_closes_total{reason=\"token_expired\"}"), 0);
    assert.equal(await metric("code=\"401\""), 0);
    assert.ok(!(await seen("states")).includes("a reconnecting"));
  });

  test("where a token ends under its stream there is a new one, without a gap or a repeat", async () => {
    // It has been on its way for most of its life.
    const late = async (jobs) => {
      const token = await mint(jobs);
      await new Promise((resolve) => setTimeout(resolve, 1900));
      return token;
    };
    const { server, seen, metric } = await followWithTokens("3s", late);
    let percent = 0;
    const expired = () => metric("stream_closes_total{reason=\"token_expired\"}");
    while ((await expired()) < 2) await server.progress("a", ++percent / 100);
    await seen("all", percent);
  });

  /** Follows a job in a tab with short-lived tokens. */
  async function followWithTokens(ttl, token) {
    // A fast machine publishes thousands of events while a token is on its way.
    const server = await Server.start("--token-key", KEY, ...KEEP_ALL);
    const page = await tab(await profile(), server.origin);
    await page.exposeFunction("mint", (jobs) => mint(KEY, jobs.join(), ttl));
    await page.evaluate((token) => {
      globalThis.minted = 0;
      const counted = (jobs) => ++minted && eval(token)(jobs);
      landfall.trackProcessing("a", handlers, { token: counted, backoff: 20 });
    }, `${token}`);
    const metric = (name) => server.metric(new RegExp(name));
    const seen = async (what, percent) => {
      if (what !== "all") return page.evaluate((what) => globalThis[what], what);
      await server.publish("a", "done");
      const all = Array.from({ length: percent }, (_, index) => (index + 1) / 100);
      assert.deepEqual(await untilSaid(page, percent + 1), [...scanned("a", ...all), "a done"]);
    };
    return { server, seen, metric };
  }

  test("a job that the token doesn't cover fails alone", async () => {
    const server = await Server.start("--token-key", KEY);
    const context = await profile();
    const value = await mint(KEY, "a,b,c,d");
    await context.addCookies([{ name: "landfall_token", value, url: server.origin }]);
    const page = await tab(context, server.origin);
    await page.evaluate(() => {
      landfall.trackMany(["a", "b", "secret", "c", "d"], handlers, { retries: 3, backoff: 10 });
    });
    const [failure] = await untilSaid(page, 1);
    assert.equal(failure, "secret failed: the connection was refused: HTTP 403");
    for (const job of ["a", "b", "c", "d"]) await server.publish(job, "done");
    const rest = (await untilSaid(page, 5)).slice(1);
    assert.deepEqual(rest.toSorted(), ["a done", "b done", "c done", "d done"]);
    await server.untilStreams(0);
  });

  test("jobs whose token is too long for one request are followed through two", async () => {
    const server = await Server.start("--token-key", KEY);
    const page = await tab(await profile(), server.origin);
    await page.exposeFunction("mint", (jobs) => mint(KEY, jobs.join()));
    const jobs = Array.from({ length: 40 }, (_, index) => `${index}-`.padEnd(64, "x"));
    await page.evaluate((jobs) => landfall.trackMany(jobs, handlers, { token: mint }), jobs);
    await server.untilStreams(2);
    assert.ok((await server.metric(/code="414"/)) > 0);
    await Promise.all(jobs.map((job) => server.publish(job, "done")));
    const all = await untilSaid(page, 40);
    assert.deepEqual(all.toSorted(), jobs.map((job) => `${job} done`).toSorted());
  });

  test("what is no name of a job fails alone and at once", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    const bad = ["", "a b", "a:1", "ü", "x".repeat(129)];
    await page.evaluate((bad) => landfall.trackMany(["a", ...bad], handlers), bad);
    const all = await untilSaid(page, 5);
    assert.deepEqual(all, bad.map((job) => `${job} failed: this is no job's name`));
    await server.publish("a", "done");
    assert.equal((await untilSaid(page, 6))[5], "a done");
    assert.equal(await server.metric(/requests_total{method="GET",route="\/api\/events"/), 1);
  });

  test("a job that ended before what was asked for is over at once", async () => {
    const server = await Server.start();
    const page = await tab(await profile(), server.origin);
    await server.publish("a", "done");
    await server.publish("b", "error", { message: "no" });
    await page.evaluate(() => landfall.trackMany(["a", "b"], handlers, { replay: "none" }));
    assert.deepEqual(await untilSaid(page, 2), ["a done", "b failed: no"]);
    assert.equal(await server.metric(/requests_total{method="GET",route="\/api\/events",code="204"/), 1);
  });
});
