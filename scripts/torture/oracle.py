"""What was acknowledged, what was seen, and what must hold of both."""

import bisect
import collections
import threading
import time

from .readers import follows

# For so long a node sends again what it had said, where Redis loses it.
REMEMBERED = 60
# How many events of a job are replayed (--ring-events).
RING = 256


class Oracle:
    def __init__(self):
        self.lock = threading.Lock()
        # What each number stands for: job, event, token; and what each token was answered.
        self.numbers, self.acknowledged = {}, {}
        # Of each job its deletions: who has answered them, when they were asked for, and when
        # they were answered; and when a number was known first.
        self.deletions, self.known_at = collections.defaultdict(list), {}
        # What was shown after a deletion of its job, which is wrong where that ended its life.
        self.late = []
        # Of each job, when it was deleted or replaced: what nobody may have seen.
        self.voided = collections.defaultdict(list)
        self.losses, self.wrong = [], []
        self.counts = collections.Counter()

    def fault(self, what):
        self.wrong.append(what)

    def note(self, what):
        with self.lock:
            self.counts[what] += 1

    def saw(self, number, what, where, began):
        """A frame, on a stream of this node that was asked for then."""
        with self.lock:
            known = self.numbers.setdefault(number, what)
            known_at = self.known_at.setdefault(number, time.time())
        if known != what:
            self.fault(f"{number} is {known} and {what}, seen at {where}")
        for node, asked, answered in self.deletions.get(what[0], []):
            if node == where and known_at < asked and answered < began and not self.has_lost(asked):
                self.late.append((number, what[0], where))

    def has_lost(self, since):
        """Whether Redis has lost something about then, or later."""
        return any(loss > since - 10 for loss in self.losses)

    def acknowledge(self, token, job, number, node):
        with self.lock:
            self.acknowledged.setdefault(token, []).append((job, number, node, time.time()))
            known = self.numbers.get(number)
        if known is not None and known[2] != token:
            self.fault(f"{number} is {known}, and was answered for {token}")

    def replaced(self, job, asked):
        with self.lock:
            self.voided[job].append((asked, time.time()))

    def deleted(self, job, node, asked):
        self.replaced(job, asked)
        with self.lock:
            self.deletions[job].append((node, asked, time.time()))


class Line:
    """The numbers that have stayed, and what stands there."""

    def __init__(self, oracle, recorder):
        self.ranges, self.is_whole = recorder.line()
        self.starts = sorted(recorder.starts)
        self.losses = list(oracle.losses)
        self.voided, self.known_at = oracle.voided, oracle.known_at
        # What was said to be unknown, and stayed after all.
        self.stayed = set()
        self.numbers = dict(oracle.numbers)
        for token, answers in oracle.acknowledged.items():
            for job, number, _, _ in answers:
                self.numbers.setdefault(number, (job, None, token))
        # What there is to see, and what of it are ends of lives whose events nobody is to see.
        self.jobs, self.voids = collections.defaultdict(list), collections.defaultdict(list)
        for number, (job, event, _) in sorted(self.numbers.items()):
            if self.has(number):
                self.jobs[job].append(number)
                if event == "deleted":
                    self.voids[job].append(number)
        # What is of such a life, and what may be: a deletion right behind an end is that life's,
        # or of one without events, and an event that nobody has seen may have been an end.
        self.void, self.may_be_void = set(), set()
        for numbers in self.jobs.values():
            self.note_void([(number, self.numbers[number][1]) for number in numbers])

    def note_void(self, events):
        before, life = [], []
        for number, event in events:
            if event == "deleted":
                self.may_be_void.update(n for n, _ in life or before)
                last_unseen = max((n for n, kind in life if kind is None), default=0)
                self.void.update(n for n, _ in life if n > last_unseen)
                life = before = []
                continue
            life = [*life, (number, event)]
            if event in ("done", "error"):
                before, life = life, []

    def has(self, number):
        return any(first <= number <= last for first, last in self.ranges)

    def has_lost_twice(self, when):
        """Whether Redis has lost something twice about then: what one node has found lost,
        another that hasn't yet may have put back. Each loss is noted at its start and its end."""
        return sum(when - 30 < loss < when for loss in self.losses) > 2

    def skipped(self, job, after, upto):
        """What a stream hasn't shown that went on from one number to the other."""
        shown = self.jobs[job]
        between = shown[bisect.bisect_right(shown, after):bisect.bisect_left(shown, upto)]
        return [number for number in between if number not in self.may_be_void]

    def may_have_expired(self, job, after):
        """Whether anything that came behind a number may not be kept everywhere."""
        jobs = self.jobs if job == "*" else [job]
        is_long = any(len(self.jobs[it]) - bisect.bisect_right(self.jobs[it], after) >= RING
                      for it in jobs)
        has_voids = any(number > after for it in jobs for number in self.voids[it])
        since = self.known_at.get(after, 0) - 10
        has_voids |= any(answered > since for it in jobs for _, answered in self.voided[it])
        return is_long or has_voids or any(start > after for start in self.starts)


def judge_reader(reader, line):
    """What is wrong with what a reader has seen, and how far it is from having seen all."""
    wrong, place, is_lost = [], 0, False
    seen, excused, all_excused = {}, set(), not reader.seen or reader.seen[0][0] != "at"
    base = 0
    for what, number, *more in reader.seen:
        if what == "at":
            base = place = number
            is_lost = not line.has(number)
        elif what == "reset":
            job, of, why, when = more
            if why == "unknown" and of.isdigit() and line.has(int(of)):
                if line.has_lost_twice(when):
                    line.stayed.add(int(of))
                else:
                    wrong.append(f"a reset says that {of} is unknown")
            if why == "expired" and not line.may_have_expired(job, place):
                wrong.append(f"a reset says that {job} has expired behind {place}")
            if why == "unknown" or job == "*":
                all_excused, excused = True, set()
                seen = {job: ("", max(last, number)) for job, (_, last) in seen.items()}
            seen[job] = (seen.get(job, [""])[0], max(seen.get(job, ("", 0))[1], number))
            excused.add(job)
            is_lost, place = False, number
        else:
            job = more[0]
            if not line.has(number):
                is_lost, place = True, number
                continue
            if is_lost:
                wrong.append(f"{number} comes after {place}, which is lost, without a reset")
                is_lost = False
            kind, last = seen.get(job, ("" if all_excused else "seen", base))
            if kind and job not in excused:
                lacks = line.skipped(job, last, number)
                if lacks:
                    wrong.append(f"{len(lacks)} of {job} are missed between {last} and {number}: "
                                 f"{lacks[:3]}")
            excused.discard(job)
            seen[job] = ("seen", number)
            place = number
    lacks = []
    if is_lost:
        lacks.append(f"it hasn't heard that {place} is lost")
    is_its = follows(reader.path)
    for job, numbers in line.jobs.items():
        newest = max(seen.get(job, ("", 0))[1], base)
        # Events that were answered without one are of a kind that nobody sees.
        if is_its(job) and newest < numbers[-1]:
            lacks.append(f"{numbers[-1]}, the newest of {job}, hasn't come behind {reader.seen[-1]}")
    return wrong, lacks


def judge_late(oracle, line):
    """What was shown after its life had been deleted."""
    return [f"{number} of {job} is shown at {where} after its deletion"
            for number, job, where in oracle.late if number in line.void]


def judge_tokens(oracle, line, nodes):
    """What is wrong with what was answered; and how much was put back, and lost."""
    wrong, put_back, lost = [], 0, 0
    stands, put_at = collections.defaultdict(set), {}
    for number, (_, _, token) in line.numbers.items():
        if token is not None and line.has(number):
            stands[token].add(number)
        # What was put back and is lost once more is sent again once more.
        put_at[token] = max(put_at.get(token, 0), oracle.known_at.get(number, 0))
    wrong += [f"{token} stands twice: {sorted(numbers)}" for token, numbers in stands.items()
              if len(numbers) > 1]
    for token, answers in oracle.acknowledged.items():
        job, number, name, at = answers[-1]
        if line.has(number):
            continue
        if token in stands:
            put_back += 1
            continue
        lost += 1
        at = max(at, put_at.get(token, 0))
        if not any(loss > at - 3 for loss in oracle.losses):
            wrong.append(f"{token} ({number}) is lost, and Redis has lost nothing since")
        # Who had said it has sent it again, where it lived and the job took it.
        node = next(node for node in nodes if node.name == name)
        last_loss = max((loss for loss in oracle.losses if loss < at + REMEMBERED - 20), default=0)
        if ".steady" in job and not any(at - 5 < death for death in node.deaths if death < last_loss + 60):
            wrong.append(f"{token} ({number}) is lost, and {name} lived on")
    return wrong, put_back, lost
