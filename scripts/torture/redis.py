"""Redis: a master and a replica, and how they are spoken to."""

import os
import shutil
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(is_so, what, patience=60):
    until = time.time() + patience
    while not is_so():
        if time.time() > until:
            raise SystemExit(f"scripts/fleet: {what}")
        time.sleep(0.05)


class Wire:
    """A connection to a Redis."""

    def __init__(self, port, patience=3):
        self.socket = socket.create_connection(("127.0.0.1", port), 2)
        self.socket.settimeout(patience)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        command = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        self.socket.sendall(command.encode())
        return self.value()

    def value(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection is closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise OSError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            text = self.file.read(int(rest) + 2)
            if len(text) != int(rest) + 2:
                raise OSError("the connection is closed")
            return text[:-2].decode("latin-1")
        return [self.value() for _ in range(int(rest))]


class Redis:
    def __init__(self, folder, name="redis"):
        self.port = free_port()
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.start()

    def start(self, master=None):
        """Starts it with what it has on disk, as the replica of a master where there is one."""
        follows = ["--replicaof", "127.0.0.1", str(master.port)] if master else []
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "yes", "--appendfsync", "everysec", "--dir", self.folder,
             "--repl-diskless-sync-delay", "0", *follows],
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        wait(lambda: self.ask("PING") == "PONG", "redis-server says nothing")

    def ask(self, *words):
        """What it answers; None where it doesn't."""
        try:
            wire = Wire(self.port)
        except OSError:
            return None
        try:
            return wire.call(*words)
        except OSError:
            return None
        finally:
            wire.close()

    def info(self, field):
        for line in (self.ask("INFO") or "").splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        return ""

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def forget(self):
        shutil.rmtree(os.path.join(self.folder, "appendonlydir"), ignore_errors=True)

    def tear(self, most):
        """Takes up to so many bytes off the end of what it has on disk. Returns how many."""
        folder = os.path.join(self.folder, "appendonlydir")
        logs = [os.path.join(folder, name) for name in os.listdir(folder) if ".incr." in name]
        newest = max(logs, key=os.path.getmtime)
        size = os.path.getsize(newest)
        os.truncate(newest, max(0, size - most))
        return min(size, most)
