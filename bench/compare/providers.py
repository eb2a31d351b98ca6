"""The providers behind every peer, on the load's core: the sandbox, or mocks (nginx's fixed answers, paced streams)."""

import os
import re
import sys

import child
import payloads

NGINX_HEAD = """
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log error;
events {{ worker_connections 24000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 256k;
  client_max_body_size 64m;
  client_body_temp_path {folder}/{name}.body;
  proxy_temp_path {folder}/{name}.proxy;
  fastcgi_temp_path {folder}/{name}.fastcgi;
  uwsgi_temp_path {folder}/{name}.uwsgi;
  scgi_temp_path {folder}/{name}.scgi;
"""


def start_nginx(program, name, core, folder, rest):
    """An nginx of one worker with `rest` inside its http block."""
    config = os.path.join(folder, f"{name}.conf")
    with open(config, "w") as file:
        file.write(NGINX_HEAD.format(folder=folder, name=name) + rest + "\n}\n")
    return child.Child(name, core, [program, "-p", folder, "-c", config], folder)


class Mocks:
    """One port for each route. Their answers are fixed, so nothing verifies them but their length and status."""

    def __init__(self, folder):
        program = child.program("nginx")
        if not program:
            raise SystemExit("nginx is not installed: `make compare` installs it from Debian (nginx-light)")
        self.ports = {route: child.free_port() for route in payloads.MODELS}
        whole = payloads.chat_answer().decode()
        # Too long for a `return`: nginx answers a POST to a file with 405, whose page is the file itself.
        with open(os.path.join(folder, "large.json"), "wb") as file:
            file.write(payloads.chat_answer(payloads.LARGE_ANSWER_BYTES))
        self.children = [start_nginx(program, "provider", child.LOAD_CORE, folder, f"""
  default_type application/json;
  open_file_cache max=4;
  server {{ listen 127.0.0.1:{self.ports["whole"]} backlog=16384; location / {{ return 200 '{whole}'; }} }}
  server {{
    listen 127.0.0.1:{self.ports["large"]} backlog=16384;
    root {folder};
    location / {{ try_files /large.json =404; error_page 405 =200 /large.json; }}
  }}""")]
        self.children.append(child.Child("streams", child.LOAD_CORE, [
            sys.executable, os.path.join(child.HERE, "streams.py"), "provider", str(self.ports["events"])], folder))
        for running, route in zip(self.children, ("large", "events")):
            running.wait_for_port(self.ports[route])

    def pids(self):
        return [pid for running in self.children for pid in running.pids()]

    def is_right(self, route, content):
        """Whether a peer's answer carries the text that this provider gave."""
        if route == "events":
            return content.count("t=") == payloads.CHUNKS
        return content == payloads.text_of(payloads.LARGE_ANSWER_BYTES if route == "large" else 400)

    def stop(self):
        for running in self.children:
            running.stop()


class Sandbox:
    """`tollgate-loadtest sandbox` on one port: what it answers follows from the model's name, and is signed."""

    def __init__(self, folder):
        program = os.path.join(child.ROOT, "target", "release", "tollgate-loadtest")
        if not os.path.exists(program):
            raise SystemExit("target/release/tollgate-loadtest is missing: `cargo build --release --bins`")
        self.ports = dict.fromkeys(payloads.MODELS, child.free_port())
        self.child = child.Child("sandbox", child.LOAD_CORE, [
            program, "sandbox", "--threads", "1", "--address", f"127.0.0.1:{self.ports['whole']}"], folder)
        self.child.wait_for_port(self.ports["whole"])

    def pids(self):
        return self.child.pids()

    def is_right(self, route, content):
        """Whether an answer is as long as was asked for; the generator verifies each one's checksum."""
        if route == "large":
            return abs(len(content) - payloads.LARGE_ANSWER_BYTES) < 256
        return len(re.findall(r"\w+|[^\w\s]", content)) == (payloads.CHUNKS if route == "events" else 64)

    def stop(self):
        self.child.stop()
