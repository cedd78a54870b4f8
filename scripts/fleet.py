"""A fleet on loopback: what scripts/fleet runs. See scripts/fleet --help."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from torture import run
from torture.node import Node
from torture.redis import Redis, free_port, wait


def balancer(nodes, folder):
    """nginx before the nodes, by their public listeners."""
    port = free_port()
    config = os.path.join(folder, "nginx.conf")
    servers = "".join(f"server 127.0.0.1:{node.ports['listen']} max_fails=1 fail_timeout=1s;"
                      for node in nodes)
    with open(config, "w") as out:
        out.write(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{ access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream fleet {{ {servers} }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://fleet; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_read_timeout 1h;
      proxy_next_upstream error timeout http_503; }} }} }}
""")
    return port, subprocess.Popen(["nginx", "-c", config, "-p", folder],
                                  stderr=subprocess.DEVNULL)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def show(nodes, redis, folder):
    port, nginx = balancer(nodes, folder)
    try:
        wait(lambda: answers(port), f"nginx doesn't start: see {folder}/nginx.log")
        print(f"redis    redis://127.0.0.1:{redis.port}/0")
        for node in nodes:
            print(f"node {node.name}   public http://127.0.0.1:{node.ports['listen']}  publish "
                  f"http://127.0.0.1:{node.ports['publish']}  ops http://127.0.0.1:{node.ports['ops']}")
        print(f"nginx    http://127.0.0.1:{port}  before all of them\n\nTry:\n"
              f"  curl -N http://127.0.0.1:{port}/api/jobs/job1/events\n"
              f"  {os.environ['LANDFALL']} publish --hub http://127.0.0.1:{nodes[0].ports['publish']} "
              f"job1 progress '{{\"percent\":30}}'\n"
              f"  kill {nodes[1].process.pid}    # node b: its streams go on at another\n\n"
              "^C ends all of it.", flush=True)
        nginx.wait()
    except KeyboardInterrupt:
        pass
    finally:
        nginx.kill()
        nginx.wait()


def main():
    mode, *rest = sys.argv[1:]
    # Whatever ends it, it takes along what it has started.
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)
    if mode == "torture":
        return run.main(*[kind(text) for kind, text in zip((float, int), rest)])
    folder = tempfile.mkdtemp(prefix="landfall-fleet-")
    running = []
    try:
        running.append(Redis(folder))
        for name in "abc":
            running.append(Node(name, running[0].port, folder))
        redis, *nodes = running
        wait(lambda: all(node.ready() for node in nodes), f"the nodes aren't ready: see {folder}")
        show(nodes, redis, folder)
    except KeyboardInterrupt:
        pass
    finally:
        for one in reversed(running):
            one.end()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
