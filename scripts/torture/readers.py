"""Those who follow jobs."""

import json
import random
import socket
import time

# No stream may say nothing for longer: nodes send a comment every two seconds.
SILENCE = 25


class Reader:
    """Follows jobs, and goes to another node whenever it likes."""

    def __init__(self, nodes, path, oracle, name, at=None):
        self.nodes, self.path, self.oracle, self.name = nodes, path, oracle, name
        # It goes on from here, where it has begun with a list.
        self.last = at
        # In turn: ("at", number), ("frame", number, job), ("reset", number, job, of which, why, when).
        self.seen = [] if at is None else [("at", at)]
        self.connections = 0

    def run(self, over):
        while not over.is_set():
            self.follow(random.choice(self.nodes), over)
            # Now and then one is away for longer.
            time.sleep(random.uniform(0.02, 0.3) if random.random() < 0.97 else 5)

    def follow(self, node, over):
        began = time.time()
        try:
            link = socket.create_connection(("127.0.0.1", node.ports["publish"]), 2)
        except OSError:
            return
        self.connections += 1
        with link:
            link.settimeout(SILENCE)
            last = "" if self.last is None else f"Last-Event-ID: {self.last}\r\n"
            until = began + random.choice([0.05, 0.5, 3, 8]) * random.uniform(0.5, 1.5)
            event = data = ""
            try:
                link.sendall(f"GET {self.path} HTTP/1.0\r\nHost: a\r\n{last}\r\n".encode())
                for line in link.makefile(encoding="utf-8", newline="\n"):
                    field, _, value = line.rstrip("\n").partition(": ")
                    # An id whose line isn't whole is none.
                    if field == "event":
                        event = value
                    elif field == "data":
                        data = value
                    elif field == "id" and data and line.endswith("\n"):
                        self.take(event, json.loads(data), int(value), node, began)
                        event = data = ""
                    if over.is_set() or time.time() > until:
                        return
            except TimeoutError:
                if not node.was_disturbed(began):
                    self.oracle.fault(f"{self.name}: {node.name} says nothing for {SILENCE} s")
            except OSError:
                pass

    def take(self, event, data, number, node, began):
        self.last = number
        job = data.get("jobId")
        if event == "reset":
            self.seen.append(("reset", number, job, data["lastEventId"], data["reason"], time.time()))
            return
        before = self.seen[-1] if self.seen else ("", 0)
        if before[0] != "reset" and number <= before[1]:
            self.oracle.fault(f"{self.name}: {number} comes after {before[1]} at {node.name}")
        self.seen.append(("frame", number, job))
        self.oracle.saw(number, (job, event, data.get("token")), node.name, began)


def from_a_list(nodes, oracle, name):
    """Begins with a list of all jobs, and follows them from there on another node."""
    while True:
        status, body = random.choice(nodes).ask("GET", "/api/jobs?limit=1000")
        if status == 200:
            return Reader(nodes, "/api/events", oracle, name, at=json.loads(body)["at"])
        time.sleep(0.1)


def follows(path):
    """Which jobs a stream shows."""
    if "jobs=" in path:
        prefix = path.split("jobs=")[1].rstrip("*")
        return lambda job: job.startswith(prefix)
    if "job=" in path:
        names = [part.split("=")[1] for part in path.split("?")[1].split("&")]
        return lambda job: job in names
    if path == "/api/events":
        return lambda job: True
    return lambda job: path == f"/api/jobs/{job}/events"
