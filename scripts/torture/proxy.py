"""Stands between a node and Redis."""

import random
import socket
import threading
import time


# A script that is called with more bytes appends something.
APPEND_LEAST = 300


class Proxy:
    """Passes on what goes to Redis, and cuts it off when it is told to."""

    def __init__(self, target):
        self.target = target
        # Bytes until the next cut, there and back. None: there is no cut.
        self.budgets = [None, None]
        # Whether the next append is executed when its connection is gone.
        self.delays = False
        self.links = []
        self.cuts = self.late = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target()), 2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.links = [link for link in self.links if link[0].fileno() >= 0] + [(client, server)]
            for way, (one, other) in enumerate([(client, server), (server, client)]):
                threading.Thread(target=self.carry, args=(one, other, way), daemon=True).start()

    def carry(self, one, other, way):
        try:
            while data := one.recv(65536):
                if way == 0 and self.delays and len(data) > APPEND_LEAST and b"EVALSHA" in data:
                    self.delays = False
                    self.late += 1
                    one.shutdown(socket.SHUT_RDWR)
                    time.sleep(random.choice([0.02, 0.2, 1]) * random.uniform(0.5, 1.5))
                    other.sendall(data)
                    break
                budget = self.budgets[way]
                if budget is not None:
                    data, self.budgets[way] = data[:budget], budget - len(data)
                    if budget <= len(data):
                        self.budgets[way] = None
                        self.cuts += 1
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
        """Cuts the next that is sent, or answered, at a byte of chance."""
        self.budgets[random.randrange(2)] = random.randrange(1, 2000)

    def cut_all(self):
        """Ends every connection there is."""
        for link in self.links:
            for end in link:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
