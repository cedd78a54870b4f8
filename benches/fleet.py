#!/usr/bin/env python3
"""What a fleet costs: a node that joins, publishing, and an event to many streams, beside one
server alone and beside nchan with Redis (Debian: redis-server nginx libnginx-mod-nchan).

  benches/fleet.py [join] [publish] [streams] [burst]      all of them, where none is named
  LANDFALL=target/release/landfall                 the program, with the feature redis
  STREAMS=2000                                     streams of each node

It starts what it measures on free ports of 127.0.0.1, and ends it.
"""

import contextlib
import http.client
import json
import multiprocessing
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts"))
from torture.redis import Redis, free_port, wait  # noqa: E402

PROGRAM = os.environ.get("LANDFALL", "target/release/landfall")
STREAMS = int(os.environ.get("STREAMS", "2000"))
JOBS = 20_000
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A process, or a few, and where it is published to and read from."""

    def __init__(self, command, publish, public, ops=None):
        self.publish, self.public, self.ops = publish, public, ops
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def pids(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [pid] + [int(child) for child in children.read().split()]

    def cpu(self):
        """Seconds of CPU so far, exactly."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                    total += int(stat.read().split()[0])
        return total / 1e9

    def memory(self):
        """Bytes that it has written to and holds."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) * 1024 for line in rollup
                             if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
        return total

    def end(self):
        self.process.terminate()
        self.process.wait()


class Landfall(Server):
    def __init__(self, *flags):
        ports = [free_port() for _ in range(3)]
        addresses = [word for flag, port in zip(("--listen", "--publish", "--ops"), ports)
                     for word in (flag, f"127.0.0.1:{port}")]
        super().__init__([PROGRAM, "serve", "--max-jobs", "30000", "--max-streams", "19200",
                          "--drain-spread", "10ms", *addresses, *flags], ports[1], ports[0], ports[2])

    def ready(self):
        return ask(self.ops, "GET", "/readyz") == 200

    def subscribe(self, job):
        return f"/api/jobs/{job}/events?replay=none"

    def target(self, job):
        return f"/api/jobs/{job}/events"


class Nchan(Server):
    def __init__(self, redis_port, folder):
        port, home = free_port(), tempfile.mkdtemp(dir=folder)
        with open(f"{home}/nginx.conf", "w") as out:
            out.write(f"""
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; pid {home}/pid; error_log {home}/log; worker_processes auto; worker_rlimit_nofile 20000;
user root;
events {{ worker_connections 19500; }}
http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  keepalive_requests 10000000; nchan_message_buffer_length 1024; nchan_message_timeout 1h;
  upstream store {{ nchan_redis_server redis://127.0.0.1:{redis_port}; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/pub/(.+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_redis_pass store; }}
    location ~ ^/sub/(.+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1;
      nchan_subscriber_first_message newest; nchan_redis_pass store; }} }} }}
""")
        super().__init__(["nginx", "-c", f"{home}/nginx.conf", "-p", home], port, port)

    def ready(self):
        return ask(self.publish, "POST", "/pub/ready", "{}") in (201, 202)

    def subscribe(self, job):
        return f"/sub/{job}"

    def target(self, job):
        return f"/pub/{job}"


def ask(port, method, path, body=None, kind="application/json"):
    """The status; 0 where nobody answers."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        link.request(method, path, body, {"Content-Type": kind})
        answer = link.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        link.close()


@contextlib.contextmanager
def started(*what):
    """Servers, all ready, until it is left."""
    folder, running = tempfile.mkdtemp(prefix="landfall-bench-"), []
    try:
        for make in what:
            running.append(make(folder, running))
        for server in running:
            if isinstance(server, Server):
                wait(server.ready, "a server isn't ready")
        yield running
    finally:
        for server in reversed(running):
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


def redis(folder, _):
    return Redis(folder)


def node(name):
    return lambda _, running: Landfall("--memory-only", "--node", name, "--redis",
                                       f"redis://127.0.0.1:{running[0].port}/0")


def alone(_, __):
    return Landfall("--memory-only")


def journaled(folder, _):
    return Landfall("--data", os.path.join(folder, "data"))


def nchan(folder, running):
    return Nchan(running[0].port, folder)


def redis_cpu(server):
    return float(server.info("used_cpu_user")) + float(server.info("used_cpu_sys"))


def shares(latencies):
    latencies = sorted(latencies)
    of = [latencies[min(int(len(latencies) * part), len(latencies) - 1)] * 1000
          for part in (0.5, 0.99, 0.999)]
    return "p50 {:.2f} ms, p99 {:.2f}, p99.9 {:.2f}".format(*of)


class Link:
    """A connection that is kept."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def post(self, path, kind, body):
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n"
                            f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        status, length = self.file.readline(), 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.file.read(length)
        if status.split()[1] not in (b"201", b"202"):
            raise SystemExit(f"{path}: {status}")


def event(job, number):
    return json.dumps({"job": job, "event": "progress",
                       "data": {"stage": "scanning", "percent": number % 100}})


# ---- join

def join():
    with started(redis, node("a")) as running:
        first = running[1]
        link = Link(first.publish)
        for _ in range(3):
            for start in range(0, JOBS, 1000):
                body = "\n".join(event(f"job{n}", n) for n in range(start, start + 1000)) + "\n"
                link.post("/api/events", "application/x-ndjson", body)
        over, latencies = threading.Event(), []
        watching = threading.Thread(target=watch, args=(first, over, latencies))
        watching.start()
        time.sleep(5)
        before, count = list(latencies), len(latencies)
        began = time.monotonic()
        later = node("b")(None, running)
        running.append(later)
        while not later.ready():
            time.sleep(0.005)
        took = time.monotonic() - began
        time.sleep(1)
        over.set()
        watching.join()
        print(f"join: a node with {JOBS} jobs, 3 events each, is ready after {took:.2f} s\n"
              f"  publish to receipt at the other before: {shares(before)}\n"
              f"  meanwhile and a second on: {shares(latencies[count:])}", flush=True)


def watch(server, over, latencies):
    """Publishes to a job, and reads its stream."""
    stream = socket.create_connection(("127.0.0.1", server.public))
    stream.sendall(b"GET /api/jobs/watched/events HTTP/1.0\r\nHost: a\r\n\r\n")
    lines, link = stream.makefile("rb"), Link(server.publish)
    body = '{"event":"progress","data":{}}'
    while not over.is_set():
        began = time.monotonic()
        link.post("/api/jobs/watched/events", "application/json", body)
        while not lines.readline().startswith(b"id:"):
            pass
        latencies.append(time.monotonic() - began)
        time.sleep(0.005)


# ---- publishing

CONNECTIONS, PROCESSES = 16, 4


def publish_from(index, ports, targets, batch, pause, until, out):
    """Four connections of one process, each a batch at its time. Says how long each took from
    when it was due."""
    latencies = []

    def one(which):
        link = Link(ports[which % len(ports)])
        due, turn = time.monotonic() + pause * which / CONNECTIONS, 0
        while due < until:
            job = f"job{which}-{turn % 100}"
            time.sleep(max(0.0, due - time.monotonic()))
            if batch == 1:
                link.post(targets.format(job), "application/json",
                          '{"event":"progress","data":{"stage":"scanning","percent":30}}')
            else:
                body = "\n".join(event(f"{job}-{n}", n) for n in range(batch)) + "\n"
                link.post("/api/events", "application/x-ndjson", body)
            latencies.append(time.monotonic() - due)
            due, turn = due + pause, turn + 1

    threads = [threading.Thread(target=one, args=(index * 4 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out.put(latencies)


def publish_at(servers, rate, batch, seconds):
    """Returns what each batch took, and the rate that was reached."""
    ports, targets = [it.publish for it in servers], servers[0].target("{}")
    pause, out, began = CONNECTIONS * batch / rate, multiprocessing.Queue(), time.monotonic()
    arguments = (ports, targets, batch, pause, began + seconds, out)
    made = [multiprocessing.Process(target=publish_from, args=(n, *arguments))
            for n in range(PROCESSES)]
    for process in made:
        process.start()
    latencies = [it for _ in made for it in out.get()]
    for process in made:
        process.join()
    return latencies, len(latencies) * batch / (time.monotonic() - began)


def publish():
    fleet = [node(name) for name in "abcd"]
    setups = [("journal, one server", [journaled], 1), ("fleet of 1", [redis, node("a")], 1),
              ("fleet, through 1 of 4", [redis, *fleet], 1),
              ("fleet, through 4 of 4", [redis, *fleet], 4), ("nchan with Redis", [redis, nchan], 1)]
    for title, what, through in setups:
        with started(*what) as running:
            servers = [it for it in running if isinstance(it, Server)]
            store = next((it for it in running if isinstance(it, Redis)), None)
            for rate, batch in ((1000, 1), (20_000, 10)):
                if batch > 1 and isinstance(servers[0], Nchan):
                    continue
                publish_at(servers[:through], rate / 10, batch, 1)
                cpu = [it.cpu() for it in servers]
                of_redis = redis_cpu(store) if store else 0
                latencies, reached = publish_at(servers[:through], rate, batch, 10)
                events = len(latencies) * batch
                each = [(it.cpu() - before) / events * 1e6 for it, before in zip(servers, cpu)]
                said = f", Redis {(redis_cpu(store) - of_redis) / events * 1e6:.1f} us" if store else ""
                print(f"publish, {title}: {reached:.0f} of {rate} events a second by {batch}, "
                      f"{shares(latencies)}; CPU an event: servers "
                      f"{', '.join(f'{it:.1f}' for it in each)} us{said}", flush=True)


# ---- streams

def follow(port, path, count):
    """So many streams of one server, which all have their head."""
    poll, links = selectors.DefaultSelector(), []
    for index in range(count):
        link = socket.socket()
        link.bind((f"127.0.0.{2 + index % 16}", 0))
        link.connect(("127.0.0.1", port))
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n"
                     "Accept: text/event-stream\r\n\r\n".encode())
        links.append(link)
        if index % 64 == 63:
            time.sleep(0.002)
    for link in links:
        text = b""
        while b"\r\n\r\n" not in text:
            text += link.recv(4096)
        link.setblocking(False)
        poll.register(link, selectors.EVENT_READ)
    return poll


def crowd(port, path, count, pipe):
    """Streams of one server. Says when all have their head, and of each event when the last has
    had it."""
    poll = follow(port, path, count)
    pipe.send("ready")
    while pipe.recv() == "next":
        had = 0
        while had < count:
            for key, _ in poll.select():
                text = key.fileobj.recv(65536)
                if not text:
                    raise SystemExit("a stream has ended")
                had += b"percent" in text
        pipe.send(time.monotonic())


def streams():
    two, four = [node(name) for name in "ab"], [node(name) for name in "abcd"]
    for title, what in (("one server alone", [alone]), ("fleet of 1", [redis, node("a")]),
                        ("fleet of 2", [redis, *two]), ("fleet of 4", [redis, *four]),
                        ("nchan with Redis, 1", [redis, nchan]),
                        ("nchan with Redis, 4", [redis, *[nchan] * 4])):
        with started(*what) as running:
            measure_streams(title, [it for it in running if isinstance(it, Server)])


def measure_streams(title, servers):
    before, ends, made = [it.memory() for it in servers], [], []
    for server in servers:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(
            target=crowd, args=(server.public, server.subscribe("all"), STREAMS, there))
        process.start()
        made.append(process)
        ends.append(here)
    for here in ends:
        here.recv()
    held = [(it.memory() - was) / STREAMS for it, was in zip(servers, before)]
    link, took, costs = Link(servers[0].publish), [], []
    for number in range(20):
        time.sleep(0.3)
        cpu = [it.cpu() for it in servers]
        for here in ends:
            here.send("next")
        time.sleep(0.05)
        began = time.monotonic()
        link.post(servers[0].target("all"), "application/json",
                  '{"event":"progress","data":{"percent":%d}}' % number)
        took.append(max(here.recv() for here in ends) - began)
        time.sleep(0.1)
        costs.append(statistics.mean((it.cpu() - was) / STREAMS * 1e6
                                     for it, was in zip(servers, cpu)))
    for here, process in zip(ends, made):
        here.send("end")
        process.join()
    print(f"streams, {title}, {STREAMS} each: {statistics.median(costs):.2f} us of CPU a delivery, "
          f"{statistics.mean(held):.0f} bytes a stream, the last has it after "
          f"{statistics.median(took) * 1000:.1f} ms", flush=True)


# ---- many events to many streams

RATE, SECONDS, PATIENCE = 500, 10, 90


def drain(port, path, count, pipe):
    """Streams of one server. Says when they have had all events, or that they haven't in time."""
    poll = follow(port, path, count)
    pipe.send("ready")
    had, until = 0, time.monotonic() + PATIENCE
    while had < count * RATE * SECONDS and time.monotonic() < until:
        for key, _ in poll.select(1):
            had += key.fileobj.recv(1 << 18).count(b"percent")
        # What comes meanwhile is read at once.
        time.sleep(0.02)
    pipe.send((had, time.monotonic()))


def burst():
    ten = [node(name) for name in "abcdefghij"]
    for title, what in (("one server alone", [alone]), ("fleet of 1", [redis, node("a")]),
                        ("fleet of 10", [redis, *ten]), ("nchan with Redis, 1", [redis, nchan]),
                        ("nchan with Redis, 10", [redis, *[nchan] * 10])):
        with started(*what) as running:
            measure_burst(title, [it for it in running if isinstance(it, Server)])


def measure_burst(title, servers):
    ends = []
    for server in servers:
        here, there = multiprocessing.Pipe()
        arguments = (server.public, server.subscribe("all"), STREAMS, there)
        multiprocessing.Process(target=drain, args=arguments, daemon=True).start()
        ends.append(here)
    for here in ends:
        here.recv()
    link, cpu, began = Link(servers[0].publish), [it.cpu() for it in servers], time.monotonic()
    for number in range(RATE * SECONDS):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        link.post(servers[0].target("all"), "application/json",
                  '{"event":"progress","data":{"percent":%d}}' % (number % 100))
    published = time.monotonic()
    had, at = zip(*(here.recv() for here in ends))
    each = [(it.cpu() - was) / count * 1e6 for it, was, count in zip(servers, cpu, had)]
    share = sum(had) / (RATE * SECONDS * STREAMS * len(servers))
    print(f"burst, {title}, {STREAMS} each: {RATE * SECONDS} events published in "
          f"{published - began:.1f} s, the last stream had its last {max(at) - published:.1f} s later, "
          f"{share:.1%} of all deliveries; {statistics.mean(each):.2f} us of CPU a delivery "
          f"({min(each):.2f} to {max(each):.2f})", flush=True)


def main():
    parts = {"join": join, "publish": publish, "streams": streams, "burst": burst}
    names = sys.argv[1:] or list(parts)
    if not set(names) <= set(parts):
        raise SystemExit(__doc__)
    for name in names:
        parts[name]()


if __name__ == "__main__":
    main()
