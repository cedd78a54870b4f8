"""Those who publish."""

import json
import random
import time

JSON = "application/json"
LINES = "application/x-ndjson"


class Publisher:
    """Publishes on any node, and asks again by its key where the answer is lost."""

    def __init__(self, nodes, oracle, name):
        self.nodes, self.oracle, self.name = nodes, oracle, name
        self.count = 0

    def token(self):
        self.count += 1
        return f"{self.name}-{self.count}"

    def ask(self, over, method, path, body=None, kind=JSON, key=None, repeats=True):
        """Asks until there is an answer. Returns node, status and it; None where there is none."""
        headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
        while not over.is_set():
            node, began = random.choice(self.nodes), time.time()
            status, answer = node.ask(method, path, body, headers=headers)
            if status == -1 and not node.was_disturbed(began):
                self.oracle.fault(f"{self.name}: {method} {path} isn't answered by {node.name}")
            if status not in (0, -1, 503):
                return node, status, answer
            # Why it was refused, without the address.
            why = answer.decode()[:60] if status == 503 else "unanswered"
            self.oracle.note(why)
            if not repeats:
                return None
            time.sleep(0.1)
        return None

    def acknowledged(self, node, job, tokens, numbers):
        for token, number in zip(tokens, numbers):
            self.oracle.acknowledge(token, job, number, node.name)

    def publish(self, over, job, event="progress", lease=None, is_steady=True):
        token = self.token()
        body = {"event": event, "data": {"token": token}} | ({"lease": lease} if lease else {})
        # Without a key it isn't asked for again, and may have been taken or not.
        key = token if random.random() < 0.6 else None
        path = f"/api/jobs/{job}/events"
        got = self.ask(over, "POST", path, json.dumps(body), key=key, repeats=key is not None)
        if got is None:
            return None
        node, status, answer = got
        if status == 201:
            self.acknowledged(node, job, [token], [json.loads(answer)["id"]])
        elif is_steady or status not in (404, 409, 410):
            self.oracle.fault(f"{token} for {job}: {status} {answer!r}")
        return status

    def publish_many(self, over, job, is_steady=True):
        tokens = [self.token() for _ in range(random.randrange(2, 12))]
        lines = [{"event": "progress", "data": {"token": token}, "key": token} for token in tokens]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        got = self.ask(over, "POST", f"/api/jobs/{job}/events", body, kind=LINES)
        if got is None:
            return
        node, status, answer = got
        numbers = json.loads(answer or b"{}").get("ids", [])
        if numbers != sorted(numbers):
            self.oracle.fault(f"{tokens} were given {numbers}")
        self.acknowledged(node, job, tokens, numbers)
        if status != 201 and (is_steady or status not in (404, 409, 410)):
            self.oracle.fault(f"{tokens} for {job}: {status} {answer!r}")


def steady(nodes, oracle, jobs, over, name):
    """Publishes to jobs that never end."""
    publisher = Publisher(nodes, oracle, name)
    while not over.is_set():
        job = random.choice(jobs)
        if random.random() < 0.1:
            publisher.publish_many(over, job)
        else:
            publisher.publish(over, job)
        time.sleep(random.uniform(0, 0.05))


def lively(nodes, oracle, jobs, over, name):
    """Begins lives, ends them, deletes and cancels them, and lets leases run out."""
    publisher = Publisher(nodes, oracle, name)
    while not over.is_set():
        job = random.choice(jobs)
        path = f"/api/jobs/{job}"
        what = random.choices(["say", "many", "end", "begin", "replace", "delete", "cancel", "lease"],
                              [50, 8, 5, 14, 4, 6, 2, 3])[0]
        if what == "say":
            publisher.publish(over, job, is_steady=False)
        elif what == "many":
            publisher.publish_many(over, job, is_steady=False)
        elif what == "end":
            publisher.publish(over, job, random.choice(["done", "error"]), is_steady=False)
        elif what == "lease":
            publisher.publish(over, job, lease="1s", is_steady=False)
        else:
            method, path = {"begin": ("PUT", path), "replace": ("PUT", path + "?replace=true"),
                            "delete": ("DELETE", path), "cancel": ("POST", path + "/cancel")}[what]
            key = publisher.token() if method == "PUT" else None
            asked = time.time()
            got = publisher.ask(over, method, path, key=key)
            if got is not None:
                node, status, answer = got
                if status not in (201, 202, 204, 404, 409, 410):
                    oracle.fault(f"{what} {job}: {status} {answer!r}")
                elif status < 300:
                    oracle.note(what)
                if method == "DELETE" and status == 204:
                    oracle.deleted(job, node.name, asked)
                elif what == "replace" and status < 300:
                    oracle.replaced(job, asked)
        time.sleep(random.uniform(0, 0.06))
