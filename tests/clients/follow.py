"""Follows a stream by one of the clients, and prints each event's id when it has come."""

import asyncio
import sys

CLIENT, URL = sys.argv[1:]


def say(event_id):
    print(event_id, flush=True)


def requests_lines():
    import requests

    event_id = None
    with requests.get(URL, stream=True, timeout=60) as answer:
        for line in answer.iter_lines(decode_unicode=True):
            if line.startswith("id: "):
                event_id = line.removeprefix("id: ")
            elif not line:
                say(event_id)


def sseclient_py():
    import requests
    import sseclient

    with requests.get(URL, stream=True, timeout=60) as answer:
        for event in sseclient.SSEClient(answer).events():
            say(event.id)
            if event.event == "done":
                return


def requests_sse():
    from requests_sse import EventSource

    with EventSource(URL, timeout=60) as source:
        for event in source:
            say(event.last_event_id)
            if event.type == "done":
                return


def httpx_sse():
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=60) as client, connect_sse(client, "GET", URL) as source:
        for event in source.iter_sse():
            say(event.id)


def aiohttp_lines():
    import aiohttp

    async def follow():
        async with aiohttp.ClientSession() as session, session.get(URL) as answer:
            async for line in answer.content:
                if line.startswith(b"id: "):
                    say(line.removeprefix(b"id: ").decode().strip())

    asyncio.run(follow())


{
    "requests": requests_lines,
    "sseclient-py": sseclient_py,
    "requests-sse": requests_sse,
    "httpx-sse": httpx_sse,
    "aiohttp": aiohttp_lines,
}[CLIENT]()
