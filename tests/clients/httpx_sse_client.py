"""Follows a stream with httpx-sse, and prints what it yields as JSON lines.

The package leaves reconnecting to its user. This loop is the one its documentation
describes: the last id and the server's retry are kept across connections.
"""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse


def say(**what):
    print(json.dumps(what), flush=True)


def follow(url):
    last_event_id = ""
    retry_seconds = 0.0
    with httpx.Client(timeout=30) as client:
        while True:
            headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
            try:
                with connect_sse(client, "GET", url, headers=headers) as source:
                    if source.response.status_code != 200:
                        say(closed=True, status=source.response.status_code)
                        return
                    say(open=True)
                    for sse in source.iter_sse():
                        last_event_id = sse.id
                        if sse.retry is not None:
                            retry_seconds = sse.retry / 1000
                        say(event=sse.event, data=sse.data, id=sse.id)
            except httpx.TransportError:
                pass
            time.sleep(retry_seconds)


follow(sys.argv[1])
