"""A node of a fleet."""

import http.client
import os
import subprocess
import time

from .redis import free_port

# What a publisher waits at most, beyond what a node does.
PATIENCE = 45


class Node:
    def __init__(self, name, redis_port, folder, *flags):
        self.name = name
        self.redis_port = redis_port
        self.flags = flags
        self.ports = {what: free_port() for what in ("listen", "publish", "ops")}
        self.log = open(os.path.join(folder, f"{name}.log"), "ab")
        # When it was killed or stopped.
        self.deaths, self.pauses = [], []
        self.start()

    def start(self):
        addresses = [word for what, port in self.ports.items()
                     for word in (f"--{what}", f"127.0.0.1:{port}")]
        self.process = subprocess.Popen(
            [os.environ["LANDFALL"], "serve", "--memory-only", "--node", self.name, "--redis",
             f"redis://127.0.0.1:{self.redis_port}/0", "--retry", "100ms", *addresses, *self.flags],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True)

    def ready(self):
        return self.ask("GET", "/readyz", what="ops")[0] == 200

    def ask(self, method, path, body=None, what="publish", headers=None):
        """Status and body. Status 0: it broke off; -1: nothing came for too long."""
        link = http.client.HTTPConnection("127.0.0.1", self.ports[what], timeout=PATIENCE)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            return -1, b""
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            link.close()

    def was_disturbed(self, since):
        return any(at >= since - 10 for at in self.deaths + self.pauses)

    def end(self):
        self.deaths.append(time.time())
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
