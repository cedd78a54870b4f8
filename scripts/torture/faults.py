"""What goes wrong."""

import os
import random
import signal
import time

from .redis import wait

# How often each happens, in proportion.
FAULTS = {"kill": 5, "pause": 2, "cut": 10, "late": 6, "links": 1, "stop": 2, "restart": 2, "tear": 2,
          "empty": 1, "flush": 1, "promote": 2, "demote": 1, "full": 2}
# By these Redis loses what it had.
LOSSES = {"tear", "empty", "flush", "promote", "demote"}


class Attacker:
    def __init__(self, nodes, redises, proxies, oracle, folder):
        self.nodes, self.redises, self.proxies, self.oracle = nodes, redises, proxies, oracle
        self.counts = {}
        self.log = open(os.path.join(folder, "faults.log"), "w")

    @property
    def master(self):
        return self.redises[0]

    def attack(self):
        fault = random.choices(list(FAULTS), FAULTS.values())[0]
        print(time.strftime("%T"), fault, file=self.log, flush=True)
        if fault in LOSSES:
            self.oracle.losses.append(time.time())
        getattr(self, fault)()
        if fault in LOSSES:
            self.oracle.losses.append(time.time())
        self.counts[fault] = self.counts.get(fault, 0) + 1

    def kill(self):
        for node in random.sample(self.nodes, random.choice([1, 1, 1, 2])):
            node.end()
            time.sleep(random.uniform(0, 1))
            node.start()

    def pause(self):
        node = random.choice(self.nodes)
        node.pauses.append(time.time())
        node.process.send_signal(signal.SIGSTOP)
        time.sleep(random.choice([0.3, 2, 5]))
        node.process.send_signal(signal.SIGCONT)
        node.pauses.append(time.time())

    def cut(self):
        random.choice(self.proxies).cut()

    def late(self):
        """What is appended is executed when nobody waits for it any more."""
        random.choice(self.proxies).delays = True

    def links(self):
        self.master.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def stop(self):
        self.master.process.send_signal(signal.SIGSTOP)
        time.sleep(random.choice([0.3, 2, 4]))
        self.master.process.send_signal(signal.SIGCONT)

    def restart(self):
        self.master.end()
        time.sleep(random.uniform(0, 1))
        self.master.start()

    def tear(self):
        """It is killed, and the end of its log is torn off."""
        self.master.end()
        self.master.tear(random.randrange(1, 5000))
        self.master.start()

    def empty(self):
        self.master.end()
        self.master.forget()
        time.sleep(random.uniform(0, 1))
        self.master.start()

    def flush(self):
        self.master.ask("FLUSHALL")

    def full(self):
        used = int(self.master.info("used_memory") or 0)
        self.master.ask("CONFIG", "SET", "maxmemory", str(used + random.randrange(1, 200_000)))
        time.sleep(random.uniform(0.5, 4))
        self.master.ask("CONFIG", "SET", "maxmemory", "0")

    def replaced(self):
        """The replica hears no more, and is the master a moment later."""
        replica = self.redises[1]
        wait(lambda: replica.info("master_link_status") == "up", "the replica doesn't follow")
        replica.ask("REPLICAOF", "NO", "ONE")
        time.sleep(random.uniform(0, 0.5))
        return replica

    def promote(self):
        """The master dies, and a replica that lacks its end takes its place."""
        replica, master = self.replaced(), self.master
        master.end()
        self.redises.reverse()
        for proxy in self.proxies:
            proxy.cut_all()
        master.forget()
        master.start(replica)

    def demote(self):
        """The same, and the master becomes a replica on connections that don't break."""
        replica, master = self.replaced(), self.master
        self.redises.reverse()
        master.ask("REPLICAOF", "127.0.0.1", str(replica.port))
