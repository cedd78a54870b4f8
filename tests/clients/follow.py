"""Follows a stream with the PyPI package httpx-sse and prints what happens, a JSON value a
line. The package doesn't reconnect by itself: this is the loop that its documentation
asks its users to write."""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse


def show(what):
    print(json.dumps(what), flush=True)


last_id, wait = "", 0.1
with httpx.Client(timeout=30) as client:
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                if source.response.status_code == 204:
                    show({"state": "closed"})
                    break
                show({"state": "open"})
                for event in source.iter_sse():
                    last_id = event.id
                    if event.retry is not None:
                        wait = event.retry / 1000
                    show({"event": event.event, "id": event.id, "data": event.json()})
        except httpx.TransportError:
            pass
        show({"state": "reconnecting"})
        time.sleep(wait)
