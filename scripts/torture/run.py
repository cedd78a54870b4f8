"""Attacks a fleet for a while, and says what came of it."""

import json
import random
import shutil
import tempfile
import threading
import time

from . import publishers
from .faults import Attacker
from .node import Node
from .oracle import Line, Oracle, judge_late, judge_reader, judge_tokens
from .proxy import Proxy
from .readers import Reader, from_a_list
from .recorder import Recorder
from .redis import Redis, wait

STEADY = [f"user{n % 3}.steady{n}" for n in range(6)]
LIVELY = [f"user{n % 3}.lively{n}" for n in range(6)]
PATHS = (["/api/events", "/api/events?jobs=user1.*",
          "/api/events?job=" + "&job=".join(STEADY[:3] + LIVELY[:2])]
         + [f"/api/jobs/{job}/events" for job in STEADY[:3] + LIVELY[:3]])
# How long everything may take to come to rest.
REST = 90


class Torture:
    def __init__(self, folder):
        self.oracle, self.folder = Oracle(), folder
        self.redises = [Redis(folder, name) for name in ("master", "replica")]
        master, replica = self.redises
        replica.ask("REPLICAOF", "127.0.0.1", str(master.port))
        self.proxies = [Proxy(self.port) for _ in "abc"]
        self.nodes = [Node(name, proxy.port, folder, "--heartbeat", "2s")
                      for name, proxy in zip("abc", self.proxies)]
        self.recorder = None

    def port(self):
        return self.redises[0].port

    def run(self, minutes, faults):
        wait(lambda: all(node.ready() for node in self.nodes), "the nodes aren't ready")
        self.recorder = Recorder(self.port, self.oracle)
        over, reading_over = threading.Event(), threading.Event()
        self.readers = [Reader(self.nodes, path, self.oracle, f"reader {n} of {path}")
                        for n, path in enumerate(PATHS * 2)]
        self.readers.append(from_a_list(self.nodes, self.oracle, "reader from a list"))
        kinds = [(publishers.steady, STEADY)] * 4 + [(publishers.lively, LIVELY)] * 3
        writing = [threading.Thread(target=publish, args=(self.nodes, self.oracle, jobs, over, f"p{n}"))
                   for n, (publish, jobs) in enumerate(kinds)]
        reading = [threading.Thread(target=reader.run, args=(reading_over,), daemon=True)
                   for reader in self.readers]
        for thread in writing + reading:
            thread.start()
        attacker = Attacker(self.nodes, self.redises, self.proxies, self.oracle, self.folder)
        try:
            self.attack(attacker, minutes, faults)
        finally:
            over.set()
            for thread in writing:
                thread.join()
        self.judge(attacker.counts, reading_over)

    def attack(self, attacker, minutes, faults):
        began = time.time()
        until, told = began + 60 * minutes, began
        while time.time() < until or sum(attacker.counts.values()) < faults:
            before = time.time()
            attacker.attack()
            # A little more than are asked for, with rest between for some of them to meet.
            spare = 2 * 60 * minutes / (faults * 1.2) - (time.time() - before)
            time.sleep(random.uniform(0.1, max(0.2, spare)))
            if self.oracle.wrong:
                break
            if time.time() - told > 60:
                told = time.time()
                print(f"{(told - began) / 60:.0f} min: {sum(attacker.counts.values())} faults, "
                      f"{len(self.oracle.acknowledged)} acknowledged", flush=True)

    def judge(self, faults, reading_over):
        wrong = self.oracle.wrong
        wait(lambda: all(node.ready() for node in self.nodes), "not every node is ready at the end")
        until = time.time() + REST
        while True:
            time.sleep(3)
            line = Line(self.oracle, self.recorder)
            judged = {reader.name: judge_reader(reader, line) for reader in self.readers}
            if not any(lacks for _, lacks in judged.values()) or time.time() > until:
                break
        reading_over.set()
        self.recorder.end()
        for name, (what, lacks) in judged.items():
            wrong += [f"{name}: {it}" for it in what + lacks]
        of_tokens, put_back, lost = judge_tokens(self.oracle, line, self.nodes)
        wrong += judge_late(self.oracle, line) + of_tokens + self.judge_states(line)
        self.report(faults, line, put_back, lost)

    def judge_states(self, line):
        """Whether all nodes say the same, and that which was shown."""
        wrong, lists, streams = [], [], {}
        for node in self.nodes:
            jobs = json.loads(node.ask("GET", "/api/jobs?limit=1000")[1])["jobs"]
            for job in jobs:
                job.pop("streams", None)
            lists.append(jobs)
            for job in STEADY + LIVELY:
                status, body = node.ask("GET", f"/api/jobs/{job}")
                said = json.loads(body)
                streams.setdefault(job, []).append((status, said.get("lastEventId")))
        if any(jobs != lists[0] for jobs in lists):
            wrong.append(f"the nodes' lists differ: {lists}")
        for job, said in streams.items():
            if any(it != said[0] for it in said):
                wrong.append(f"the nodes don't agree on {job}: {said}")
            status, last = said[0]
            if job in STEADY and (status, int(last or 0)) != (200, line.jobs[job][-1]):
                wrong.append(f"{job} is at {status} {last}, and was shown to {line.jobs[job][-1]}")
        return wrong

    def report(self, faults, line, put_back, lost):
        oracle, readers = self.oracle, self.readers
        kinds = [seen[4] for reader in readers for seen in reader.seen if seen[0] == "reset"]
        frames = sum(seen[0] == "frame" for reader in readers for seen in reader.seen)
        print(f"faults {sum(faults.values())}: {faults}, and {sum(p.cuts for p in self.proxies)} cuts "
              f"in the middle, {sum(p.late for p in self.proxies)} appends executed late\n"
              f"acknowledged {len(oracle.acknowledged)}, of which Redis lost {put_back + lost}: "
              f"{put_back} put back by other numbers, {lost} gone\n"
              f"besides {dict(oracle.counts)}\n"
              f"epochs {len(self.recorder.openings)}, logs begun anew {len(self.recorder.starts)}, "
              f"entries in the log {len(self.recorder.items)}"
              f"{'' if line.is_whole else ', of which the oldest were never seen'}\n"
              f"frames {frames} to {len(readers)} readers on {sum(r.connections for r in readers)} "
              f"streams, resets {kinds.count('unknown')} unknown, {kinds.count('expired')} expired; {len(line.stayed)} numbers were unknown "
              f"between two losses and stayed")
        for what in oracle.wrong[:30]:
            print("WRONG:", what)
        if oracle.wrong:
            raise SystemExit(1)
        print("nothing was lost without a reset, came twice or out of order; all nodes agree")

    def end(self):
        for node in self.nodes:
            node.end()
        for redis in self.redises:
            redis.end()


def main(minutes=20.0, faults=200):
    folder = tempfile.mkdtemp(prefix="landfall-fleet-")
    torture = Torture(folder)
    try:
        torture.run(minutes, faults)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if torture.recorder:
            torture.recorder.is_over = True
        torture.end()
