#!/usr/bin/env python3
"""Two builds of landfall, measured in turn:

  benches/compare.py OLD NEW [--floor SEND_LOOP] [--rounds N] [--out FILE]

Each round measures the one and then the other, so that a machine whose speed drifts is no
advantage to either. What counts is the median of the ratios. With a journal on disk:

  single    publishes one after the other, on one connection that is kept
  parallel  the same on 16 connections at once
  ndjson    publishes in bodies of 500 lines, each for one job
  many      the same with a job of its own in each line
  restart   from the start of the program to `ready`, with all of that in its journal
  idle      memory that the server's process has written to, for each of 15,000 streams
  broadcast one event to each of them, read by all before the next is published
  size      of the program

SEND_LOOP is `send-loop` of benches/peers: one bare `send()` for each stream of a broadcast.

The CPU's time is that of the server's process, of all its threads. Beside other work it is
what tells the two apart: the time on the wall has that work in it.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SINGLE = 3_000
PARALLEL = 16
EACH = 400
BODIES = 600
LINES = 500
JOBS = 200
MANY = 5_000
RESTARTS = 5
STREAMS = 15_000
BROADCASTS = 10
# Of a frame, with its chunk's last line or without.
ENDS = (b"\n\n\r\n", b"\n\n")


SERVE = ["serve", "--listen=127.0.0.1:0", "--publish=127.0.0.1:0", "--ops=127.0.0.1:0",
         "--drain-spread=10ms"]


class Server:
    def __init__(self, program, arguments):
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        addresses = {}
        for line in iter(self.process.stdout.readline, "ready\n"):
            name, url = line.split()
            host, port = url.split("//")[1].rsplit(":", 1)
            addresses[name] = (host, int(port))
        self.ready_s = time.monotonic() - begun
        self.ready_cpu_s = self.cpu_s()
        self.public, self.publish = addresses["public"], addresses["publish"]

    @staticmethod
    def with_journal(program, data):
        return Server(program, [*SERVE, "--journal-bytes=1GiB", "--data", data])

    def cpu_s(self):
        """Of all threads, in nanoseconds' steps: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def written_bytes(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup
                       if line.startswith("Anonymous:"))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def post(self, path, kind, body):
        self.socket.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (path, kind, len(body), body))
        while b"\r\n\r\n" not in self.rest:
            self.read()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 201"), head
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length"))
        while len(self.rest) < length:
            self.read()
        self.rest = self.rest[length:]

    def read(self):
        piece = self.socket.recv(65536)
        assert piece, "the server has closed"
        self.rest += piece


EVENT = b'{"event":"progress","data":{"stage":"transcoding","percent":42.5,"frames":123456,"speed":1.5}}'


def path_of(job):
    return b"/api/jobs/%s/events" % job


def single(server, events, job):
    connection = Connection(server.publish)
    for _ in range(events):
        connection.post(path_of(job), b"application/json", EVENT)


def timed(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def parallel(server):
    threads = [threading.Thread(target=single, args=(server, EACH, b"p%d" % n))
               for n in range(PARALLEL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ndjson(server):
    connection = Connection(server.publish)
    body = (EVENT + b"\n") * LINES
    for n in range(BODIES):
        connection.post(path_of(b"n%d" % (n % JOBS)), b"application/x-ndjson", body)


def many(server):
    connection = Connection(server.publish)
    lines = [b'{"job":"m%05d",%s\n' % (n, EVENT[1:]) for n in range(MANY)]
    bodies = [b"".join(lines[at:at + LINES]) for at in range(0, MANY, LINES)]
    for n in range(BODIES):
        connection.post(b"/api/events", b"application/x-ndjson", bodies[n % len(bodies)])


class Stream:
    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.socket.sendall(b"GET /api/jobs/one/events HTTP/1.1\r\nHost: a\r\n\r\n")
        self.socket.settimeout(60)
        self.read_while(lambda read: b"\r\n\r\n" not in read)

    def read_frame(self):
        return self.read_while(lambda read: b"\nid: " not in read or not read.endswith(ENDS))

    def read_while(self, wants_more):
        read = b""
        while wants_more(read):
            piece = self.socket.recv(4096)
            assert piece, "the server has closed"
            read += piece
        return read


def broadcast(server, body):
    """Memory a stream, and CPU a delivery; what the last of the streams got last."""
    first = Stream(server.public)
    before = server.written_bytes()
    streams = [Stream(server.public) for _ in range(STREAMS - 1)] + [first]
    each = (server.written_bytes() - before) / (STREAMS - 1)
    publisher = Connection(server.publish)
    spent = 0
    # The first one finds nothing that it needs in any cache.
    for number in range(BROADCASTS + 1):
        before = server.cpu_s()
        publisher.post(path_of(b"one"), b"application/json", body)
        frames = [stream.read_frame() for stream in streams]
        spent += (server.cpu_s() - before) if number else 0
    for stream in streams:
        stream.socket.close()
    return each, spent / BROADCASTS / STREAMS, frames[-1]


def measure_streams(program, floor):
    server = Server(program, [*SERVE, "--memory-only", "--max-streams=15100", "--heartbeat=1h"])
    each, cpu, frame = broadcast(server, EVENT)
    server.stop()
    found = {"idle, bytes a stream": each, "broadcast, server CPU, us a delivery": cpu * 1e6}
    if floor:
        server = Server(floor, [])
        _, bare, _ = broadcast(server, frame)
        server.stop()
        found["broadcast, of the bare send loop's"] = cpu / bare
    return found


def measure(program, floor):
    data = tempfile.mkdtemp(prefix="landfall-compare-")
    found = {}
    try:
        server = Server.with_journal(program, data)
        for name, count, work in [
            ("single", SINGLE, lambda: single(server, SINGLE, b"one")),
            ("parallel", PARALLEL * EACH, lambda: parallel(server)),
            ("ndjson", BODIES * LINES, lambda: ndjson(server)),
            ("many", BODIES * LINES, lambda: many(server)),
        ]:
            before = server.cpu_s()
            found[f"{name}, us an event"] = timed(work) / count * 1e6
            found[f"{name}, server CPU, us an event"] = (server.cpu_s() - before) / count * 1e6
        server.stop()
        restarts = []
        for _ in range(RESTARTS):
            server = Server.with_journal(program, data)
            restarts.append((server.ready_s, server.ready_cpu_s))
            server.stop()
        wall, cpu = (statistics.median(times) for times in zip(*restarts))
        found["restart, ms"] = wall * 1e3
        found["restart, server CPU, ms"] = cpu * 1e3
    finally:
        shutil.rmtree(data)
    found.update(measure_streams(program, floor))
    found["size, KiB"] = os.path.getsize(program) / 1024
    return found


def table(rounds):
    lines = ["| | before | now | ratio | of each round |", "| --- | ---: | ---: | ---: | --- |"]
    for name in rounds[0]["old"]:
        old, new = ([found[which][name] for found in rounds] for which in ("old", "new"))
        ratios = [after / before if before else 1 for before, after in zip(old, new)]
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(f"| {name} | {statistics.median(old):.2f} | {statistics.median(new):.2f} "
                     f"| {statistics.median(ratios):.2f} | {each} |")
    return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("old")
    arguments.add_argument("new")
    arguments.add_argument("--floor")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--out")
    options = arguments.parse_args()
    rounds = []
    for number in range(options.rounds):
        # Who comes first changes, too.
        order = ["old", "new"] if number % 2 == 0 else ["new", "old"]
        found = {which: measure(getattr(options, which), options.floor) for which in order}
        rounds.append(found)
        print(json.dumps(found), file=sys.stderr, flush=True)
    text = table(rounds)
    print(text)
    if options.out:
        with open(options.out, "w") as out:
            out.write(text)


if __name__ == "__main__":
    main()
