"""Reads the log itself, to know which of its numbers have stayed."""

import threading
import time

from .redis import Wire

SEQUENCE_BITS = 18


def position(text):
    epoch, sequence = text.split("-")
    return int(epoch), int(sequence)


def number(at):
    return at[0] << SEQUENCE_BITS | at[1]


class Recorder:
    """Follows the log wherever it goes, as a node does, but believes nothing."""

    def __init__(self, port, oracle):
        # A function: which Redis is the master changes.
        self.port = port
        self.oracle = oracle
        self.items = {}
        # Of each epoch: what was before it.
        self.openings = {}
        # The numbers that logs have begun with, where they didn't begin with nothing.
        self.starts = []
        self.last = (0, 0)
        self.is_over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.is_over:
            try:
                wire = Wire(self.port())
            except OSError:
                time.sleep(0.02)
                continue
            try:
                while not self.is_over and wire.socket.getpeername()[1] == self.port():
                    self.step(wire)
            except OSError:
                time.sleep(0.02)
            finally:
                wire.close()

    def step(self, wire):
        try:
            info = wire.call("XINFO", "STREAM", "landfall:log")
        except OSError as error:
            if "no such key" not in str(error):
                raise
            self.last = (0, 0)
            time.sleep(0.005)
            return
        end = position(info[info.index("last-generated-id") + 1])
        if end < self.last:
            self.last = (0, 0)
        found = wire.call("XREAD", "COUNT", "1000", "BLOCK", "200", "STREAMS", "landfall:log",
                          "%d-%d" % self.last)
        for at, fields in found[0][1] if found else []:
            self.take(position(at), dict(zip(fields[::2], fields[1::2])))

    def take(self, at, fields):
        if self.last == (0, 0) and fields.get("before", "") != "0-0":
            self.starts.append(number(at))
        self.last = at
        known = self.items.setdefault(at, fields["n"])
        if known != fields["n"]:
            self.oracle.fault(f"the log's {at} is {known} and {fields['n']}")
        if "open" in fields:
            self.openings[at[0]] = position(fields["before"])

    def end(self):
        self.is_over = True
        self.thread.join()

    def line(self):
        """The numbers that have stayed, as ranges, the newest first, and whether it is known
        where they begin."""
        if not self.openings:
            return [], False
        epoch, upto, ranges = max(self.openings), float("inf"), []
        while True:
            ranges.append((number((epoch, 0)), upto))
            before = self.openings.get(epoch)
            if before is None:
                # What was before that one nobody has seen: all of it is taken for kept.
                ranges.append((0, number((epoch, 0))))
                return ranges, False
            if before == (0, 0):
                return ranges, True
            epoch, upto = before[0], number(before)
