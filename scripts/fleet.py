"""A fleet on loopback: what scripts/fleet runs. See scripts/fleet --help."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    def __init__(self, folder):
        self.port = free_port()
        self.folder = os.path.join(folder, "redis")
        os.mkdir(self.folder)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "yes", "--appendfsync", "everysec", "--dir", self.folder],
            stdout=subprocess.DEVNULL)
        wait(lambda: b"PONG" in self.ask("PING"), "redis-server says nothing")

    def ask(self, *words):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as link:
                command = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
                link.sendall(command.encode())
                return link.recv(4096)
        except OSError:
            return b""

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def forget(self):
        shutil.rmtree(os.path.join(self.folder, "appendonlydir"), ignore_errors=True)


class Proxy:
    """Passes on what goes to Redis, and cuts it off when it is told to."""

    def __init__(self, target):
        self.target = target
        self.budget = None
        self.links = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.links = [link for link in self.links if link[0].fileno() >= 0] + [(client, server)]
            for one, other, cuts in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.carry, args=(one, other, cuts), daemon=True).start()

    def carry(self, one, other, cuts):
        try:
            while data := one.recv(65536):
                if cuts and self.budget is not None:
                    data, self.budget = data[:self.budget], self.budget - len(data)
                    if self.budget <= 0:
                        self.budget = None
                        other.sendall(data)
                        break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def cut(self):
        """Cuts the next that is sent, at a byte of chance."""
        self.budget = random.randrange(1, 2000)


class Node:
    def __init__(self, name, redis_port, folder):
        self.name = name
        self.redis_port = redis_port
        self.ports = {what: free_port() for what in ("listen", "publish", "ops")}
        self.log = open(os.path.join(folder, f"{name}.log"), "ab")
        self.start()

    def start(self):
        addresses = [word for what, port in self.ports.items()
                     for word in (f"--{what}", f"127.0.0.1:{port}")]
        self.process = subprocess.Popen(
            [os.environ["LANDFALL"], "serve", "--memory-only", "--node", self.name, "--redis",
             f"redis://127.0.0.1:{self.redis_port}/0", "--retry", "100ms", *addresses],
            stdout=self.log, stderr=self.log)

    def ready(self):
        return self.ask("GET", "/readyz", what="ops")[0] == 200

    def ask(self, method, path, body=None, what="publish", headers=None):
        link = http.client.HTTPConnection("127.0.0.1", self.ports[what], timeout=PATIENCE + 10)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            link.close()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def wait(is_so, what, patience=60):
    until = time.time() + patience
    while not is_so():
        if time.time() > until:
            sys.exit(f"scripts/fleet: {what}")
        time.sleep(0.05)


def balancer(nodes, folder):
    """nginx before the nodes, by their public listeners."""
    port = free_port()
    config = os.path.join(folder, "nginx.conf")
    servers = "".join(f"server 127.0.0.1:{node.ports['listen']} max_fails=1 fail_timeout=1s;"
                      for node in nodes)
    with open(config, "w") as out:
        out.write(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{ access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream fleet {{ {servers} }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://fleet; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_read_timeout 1h;
      proxy_next_upstream error timeout http_503; }} }} }}
""")
    return port, subprocess.Popen(["nginx", "-c", config, "-p", folder],
                                  stderr=subprocess.DEVNULL)


def show(nodes, redis, folder):
    port, nginx = balancer(nodes, folder)
    try:
        print(f"redis    redis://127.0.0.1:{redis.port}/0")
        for node in nodes:
            print(f"node {node.name}   public http://127.0.0.1:{node.ports['listen']}  publish "
                  f"http://127.0.0.1:{node.ports['publish']}  ops http://127.0.0.1:{node.ports['ops']}")
        print(f"nginx    http://127.0.0.1:{port}  before all of them\n\nTry:\n"
              f"  curl -N http://127.0.0.1:{port}/api/jobs/job1/events\n"
              f"  LANDFALL_URL=http://127.0.0.1:{nodes[0].ports['publish']} landfall publish job1 "
              f"progress '{{\"percent\":30}}'\n"
              f"  kill {nodes[1].process.pid}    # node b: its streams go on at another\n\n"
              "^C ends all of it.", flush=True)
        nginx.wait()
    except KeyboardInterrupt:
        pass
    finally:
        nginx.kill()
        nginx.wait()


class Oracle:
    """What was acknowledged, and what was seen."""

    def __init__(self):
        self.lock = threading.Lock()
        self.numbers = {}
        self.acknowledged = {}
        self.wrong = []

    def saw(self, number, token, where):
        with self.lock:
            known = self.numbers.setdefault(number, token)
            if known != token:
                self.wrong.append(f"{number} is {known} and {token}, seen at {where}")


def publisher(nodes, oracle, jobs, over, name):
    count = 0
    while not over.is_set():
        node, job = random.choice(nodes), random.choice(jobs)
        count += 1
        token = f"{name}-{count}"
        body = json.dumps({"event": "progress", "data": {"token": token}})
        # One whose answer is lost is asked for again, elsewhere, by its key.
        while not over.is_set():
            status, answer = node.ask("POST", f"/api/jobs/{job}/events", body, headers={
                "Content-Type": "application/json", "Idempotency-Key": token})
            if status == 201:
                number = json.loads(answer)["id"]
                with oracle.lock:
                    oracle.acknowledged[token] = (job, number)
                break
            if status not in (0, 503):
                oracle.wrong.append(f"{token}: {status} {answer!r}")
                break
            node = random.choice(nodes)
            time.sleep(0.1)
        time.sleep(random.uniform(0, 0.02))


class Reader:
    """Follows jobs, and goes to another node whenever it likes."""

    def __init__(self, nodes, path, oracle, name):
        self.nodes, self.path, self.oracle, self.name = nodes, path, oracle, name
        self.last = None
        self.seen, self.resets = [], 0
        self.stands = time.time()

    def run(self, over):
        while not over.is_set():
            self.follow(random.choice(self.nodes), over)
            time.sleep(random.uniform(0.02, 0.2))

    def follow(self, node, over):
        try:
            link = socket.create_connection(("127.0.0.1", node.ports["publish"]), 2)
        except OSError:
            return
        with link:
            link.settimeout(20)
            last = "" if self.last is None else f"Last-Event-ID: {self.last}\r\n"
            until = time.time() + random.uniform(0.2, 8)
            event, data = "", ""
            try:
                link.sendall(f"GET {self.path} HTTP/1.0\r\nHost: a\r\n{last}\r\n".encode())
                for line in link.makefile(encoding="utf-8", newline="\n"):
                    field, _, value = line.rstrip("\n").partition(": ")
                    if field == "event":
                        event = value
                    elif field == "data":
                        data = value
                    elif field == "id" and data:
                        self.take(event, json.loads(data), int(value), node.name)
                        event, data = "", ""
                    if over.is_set() or time.time() > until:
                        return
            except OSError:
                pass

    def take(self, event, data, number, where):
        self.last = number
        if event == "reset":
            self.resets += 1
            self.seen.append(("reset", number, None))
            return
        previous = next((n for kind, n, _ in reversed(self.seen[-1:]) if kind != "reset"), None)
        if previous is not None and number <= previous:
            self.oracle.wrong.append(f"{self.name}: {number} after {previous}")
        self.seen.append(("event", number, data.get("token")))
        self.oracle.saw(number, data.get("token"), where)


def attack(nodes, redis, proxies):
    fault = random.choice(["kill"] * 4 + ["cut"] * 8 + ["stop"] * 2 + ["restart"] * 2 + ["empty", "flush", "links"])
    if fault == "kill":
        node = random.choice(nodes)
        node.end()
        time.sleep(random.uniform(0, 1))
        node.start()
    elif fault == "cut":
        random.choice(proxies).cut()
    elif fault == "links":
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    elif fault == "stop":
        redis.process.send_signal(signal.SIGSTOP)
        time.sleep(random.choice([0.3, 2, 4]))
        redis.process.send_signal(signal.SIGCONT)
    elif fault in ("restart", "empty"):
        redis.end()
        if fault == "empty":
            redis.forget()
        time.sleep(random.uniform(0, 1))
        redis.start()
    else:
        redis.ask("FLUSHALL")
    return fault


def torture(nodes, redis, proxies, minutes=20.0, faults=200):
    oracle, over, reading_over = Oracle(), threading.Event(), threading.Event()
    jobs = [f"user{n % 3}.job{n}" for n in range(9)]
    paths = (["/api/events", "/api/events?jobs=user1.*", "/api/events?job=" + "&job=".join(jobs[:4])]
             + [f"/api/jobs/{job}/events" for job in jobs[:5]])
    readers = [Reader(nodes, path, oracle, f"reader {n} of {path}")
               for n, path in enumerate(paths * 2)]
    threads = [threading.Thread(target=reader.run, args=(reading_over,)) for reader in readers]
    publishers = [threading.Thread(target=publisher, args=(nodes, oracle, jobs, over, f"p{n}"))
                  for n in range(6)]
    for thread in threads + publishers:
        thread.start()
    until, counts = time.time() + 60 * minutes, {}
    while time.time() < until or sum(counts.values()) < faults:
        fault = attack(nodes, redis, proxies)
        counts[fault] = counts.get(fault, 0) + 1
        time.sleep(random.uniform(0.2, 2 * 60 * minutes / faults / 2))
        if oracle.wrong:
            break
    over.set()
    for thread in publishers:
        thread.join()
    wait(lambda: all(node.ready() for node in nodes), "not every node is ready at the end")
    time.sleep(12)
    reading_over.set()
    for thread in threads:
        thread.join()
    judge(nodes, oracle, readers, jobs, counts)


def judge(nodes, oracle, readers, jobs, counts):
    states = []
    for node in nodes:
        state = {}
        for job in jobs:
            answer = json.loads(node.ask("GET", f"/api/jobs/{job}")[1] or b"{}")
            answer.pop("streams", None)
            state[job] = answer
        states.append(state)
    wrong = list(oracle.wrong)
    if any(state != states[0] for state in states):
        wrong.append(f"the nodes don't agree: {states}")
    missed = 0
    for reader in readers:
        follows = follows_of(reader.path)
        tokens = [token for kind, _, token in reader.seen if kind == "event"]
        if reader.resets == 0:
            twice = len(tokens) - len(set(tokens))
            mine = {t for t, (job, _) in oracle.acknowledged.items() if follows(job)}
            lacks = mine - set(tokens)
            missed += len(lacks)
            if twice or lacks:
                wrong.append(f"{reader.name}: {twice} twice, {len(lacks)} missed without a reset: "
                             f"{sorted(lacks)[:5]}")
    resets = sum(reader.resets for reader in readers)
    print(f"faults {sum(counts.values())}: {counts}\nacknowledged {len(oracle.acknowledged)}, frames seen "
          f"{sum(len(reader.seen) for reader in readers)} by {len(readers)} readers, resets {resets}, "
          f"readers without one {sum(reader.resets == 0 for reader in readers)}")
    for what in wrong[:20]:
        print("WRONG:", what)
    if wrong:
        sys.exit(1)
    print("nothing was lost without a reset, came twice or out of order; all nodes agree")


def follows_of(path):
    if "jobs=" in path:
        prefix = path.split("jobs=")[1].rstrip("*")
        return lambda job: job.startswith(prefix)
    if "job=" in path:
        names = [part.split("=")[1] for part in path.split("?")[1].split("&")]
        return lambda job: job in names
    if path == "/api/events":
        return lambda job: True
    return lambda job: path == f"/api/jobs/{job}/events"


def main():
    mode, *rest = sys.argv[1:]
    folder = tempfile.mkdtemp(prefix="landfall-fleet-")
    redis, nodes = Redis(folder), []
    try:
        proxies = [Proxy(redis.port) for _ in "abc"] if mode == "torture" else []
        ports = [proxy.port for proxy in proxies] or [redis.port] * 3
        nodes += [Node(name, port, folder) for name, port in zip("abc", ports)]
        wait(lambda: all(node.ready() for node in nodes), f"the nodes aren't ready: see {folder}")
        if mode == "torture":
            torture(nodes, redis, proxies, *[kind(text) for kind, text in zip((float, int), rest)])
        else:
            show(nodes, redis, folder)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        for one in [*nodes, redis]:
            one.end()


if __name__ == "__main__":
    main()
