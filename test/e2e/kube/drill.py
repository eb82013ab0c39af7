# SPDX-License-Identifier: Apache-2.0
"""Helpers of the drills: backends at addresses that an EndpointSlice may hold, data planes that
can be replaced one by one, objects written at a rate, and a watch that counts.

    Backends    demo servers on one port of several addresses
    Drill       a Pair with backends: the objects of a Gateway, its data planes, traffic
    Writers     threads with keep-alive connections to the API server
    Seen        what a watch of a kind sees
"""
import http.client
import json
import pathlib
import queue
import random
import re
import socket
import subprocess
import threading
import time

from harness import Program, Reader, free_ports, wait_for
from pair import CLASS, Pair, docs, gateway
from traffic import Traffic

HTTP = "  - {name: http, protocol: HTTP, port: 8080}"


class Addresses:
    """n of 10.80.x.y on lo, labelled with our pid: an EndpointSlice may hold no loopback address.
    Those of runs that were killed are taken away."""

    def __init__(self, n):
        self.texts = []
        self.clean()
        pid = pathlib.Path("/proc/self").resolve().name
        first = int(pid) * 4 % 65000
        for i in range(first, first + n):
            text = f"10.80.{i // 256}.{i % 256}"
            done = subprocess.run(["ip", "address", "add", f"{text}/32", "dev", "lo", "label",
                                   f"lo:{pid}"], capture_output=True, text=True)
            if done.returncode != 0:
                self.close()
                raise RuntimeError(f"'ip address add' on lo needs root: {done.stderr.strip()}")
            self.texts.append(text)

    @staticmethod
    def delete(text):
        subprocess.run(["ip", "address", "del", f"{text}/32", "dev", "lo"], capture_output=True)

    def clean(self):
        listed = subprocess.run(["ip", "-o", "address", "show", "dev", "lo"], capture_output=True,
                                text=True, check=True).stdout
        for text, pid in re.findall(r"inet (10\.80\.[\d.]+)/32 .* lo:(\d+)\\", listed):
            if not pathlib.Path("/proc", pid).exists():
                self.delete(text)

    def close(self):
        for text in self.texts:
            self.delete(text)


class Backends:
    """The plain demo server on one port of each address."""

    def __init__(self, folder, n=2):
        self.addresses = Addresses(n)
        self.port = free_ports(1)[0]
        self.programs = []
        try:
            for text in self.addresses.texts:
                self.programs.append(Program(folder, "demo", "tandem-demo", "--plain",
                                             f"{text}:{self.port}", "--model", "none", "--name",
                                             text))
            for text in self.addresses.texts:
                wait_for("demo", lambda a=text: socket.create_connection((a, self.port), 1).close()
                         or True)
        except BaseException:
            self.close()
            raise

    @property
    def texts(self):
        return self.addresses.texts

    def close(self):
        for p in self.programs:
            p.stop()
        self.addresses.close()


def endpoint_slice(backends, name="web", endpoints=None):
    """endpoints: (address, ready) each; every backend where there are none."""
    endpoints = endpoints if endpoints is not None else [(a, True) for a in backends.texts]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [a], "conditions": {"ready": r}} for a, r in endpoints],
            "ports": [{"name": "http", "port": backends.port}]}


def service(name="web"):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": 80}]}}


def route(name, path=None, header=None):
    """header: a value of response header x-round, so that a change can be seen."""
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path or f"/{name}"}}],
            "backendRefs": [{"name": "web", "port": 80}]}
    if header is not None:
        rule["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier":
                            {"set": [{"name": "x-round", "value": str(header)}]}}]
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [rule]}}


class Drill(Pair):
    """A Gateway with one route at /steady, backends, and a data plane that serves it."""

    def __init__(self, cluster, backends, *, listeners=HTTP, objects=(), planes=1):
        self.backends, self.planes = backends, []
        everything = [service(), endpoint_slice(backends), route("steady"), *objects]
        super().__init__(cluster, objects=docs(CLASS, gateway(listeners),
                                               *map(json.dumps, everything)))
        try:
            self.token = self.token_file()
            for _ in range(planes):
                self.add_plane()
        except BaseException:
            self.__exit__(True)
            raise

    def add_plane(self, *args):
        """One more, on ports of its own, once it serves."""
        plain, tls, admin = free_ports(3)
        name = f"dp-{len(self.programs)}"
        dp = self.start(name, "tandem-dataplane", "--controller", f"localhost:{self.push_port}",
                        "--ca-file", self.ca_file(), "--token-file", self.token, "--node", name,
                        "--gateway", f"{self.cluster.ns}/edge", "--bind", "127.0.0.1",
                        "--port-map", f"8080={plain}", "--port-map", f"8443={tls}", "--admin",
                        f"127.0.0.1:{admin}", "--address", "127.0.0.1", "--workers", "2",
                        "--access-log", "off", "--grace", "5s", *args)
        dp.plain, dp.tls, dp.admin = plain, tls, admin
        def ready():
            assert dp.is_running(), dp.log()[-2000:]
            return self.get("/ready", admin) and self.ask(dp, "/steady").status == 200
        wait_for("data plane", ready, 20)
        self.planes.append(dp)
        return dp

    def connect(self, timeout=10):
        """To a data plane that takes the connection, as kube-proxy would choose one by then."""
        for _ in range(20):
            dp = random.choice(self.planes)
            try:
                return socket.create_connection(("127.0.0.1", dp.plain), timeout)
            except ConnectionRefusedError:
                time.sleep(0.005)
        raise ConnectionRefusedError("no data plane listens")

    @staticmethod
    def ask(dp, path):
        with socket.create_connection(("127.0.0.1", dp.plain), 5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
            return Reader(s).response()

    def traffic(self, path="/steady", clients=3, **kw):
        return Traffic(self, path, clients=clients, **kw)

    def put(self, kind, name, body):
        self.cluster.patch(kind, name, body)

    def wait_answer(self, path, header, seconds=10, dp=None):
        """Until a route's filter is in use; how long it took."""
        begin = time.monotonic()
        def answered():
            r = self.ask(dp or self.planes[0], path)
            assert r.status == 200 and r.header("x-round") == str(header), \
                f"{r.status} {r.header('x-round')}"
            return True
        wait_for(f"{path} to answer {header}", answered, seconds)
        return time.monotonic() - begin


class Writers:
    """Threads that write objects one after the other, each on a connection that it keeps."""

    def __init__(self, api, threads=4):
        self.api, self.work, self.errors = api, queue.Queue(), []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        c = http.client.HTTPSConnection("127.0.0.1", self.api.port, timeout=20,
                                        context=self.api.tls)
        while (item := self.work.get()) is not None:
            method, path, body, content_type = item
            try:
                c.request(method, path, None if body is None else json.dumps(body),
                          {"Content-Type": content_type, "Accept": "application/json"})
                r = c.getresponse()
                text = r.read().decode()
                if r.status >= 300:
                    self.errors.append(f"{method} {path}: {r.status} {text[:200]}")
            except OSError as e:
                self.errors.append(f"{method} {path}: {e!r}")
                c.close()
            self.work.task_done()
        c.close()

    def put(self, method, path, body=None, content_type="application/json"):
        self.work.put((method, path, body, content_type))

    def at_rate(self, per_second, items):
        """Hands out (method, path, body, ...) at a rate; the moment when the last was answered."""
        begin = time.monotonic()
        for i, item in enumerate(items):
            time.sleep(max(0, begin + i / per_second - time.monotonic()))
            self.put(*item)
        self.work.join()
        assert not self.errors, self.errors[:3]
        return time.monotonic()

    def close(self):
        for _ in self.threads:
            self.work.put(None)
        for t in self.threads:
            t.join(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Seen:
    """Watches a kind in a namespace: name -> the newest object, and how often each was changed. A
    watch that the API server ends (one that reads slowly, for one) goes on where it was."""

    def __init__(self, api, kind, ns):
        self.api, self.path = api, api.path(kind, None, ns)
        self.changes, self.ended, self.sock = {}, False, None
        listed = api.call("GET", self.path)
        self.objects = {o["metadata"]["name"]: o for o in listed["items"]}
        self.version = listed["metadata"]["resourceVersion"]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def note(self, event):
        o = event["object"]
        assert event["type"] != "ERROR", event
        name, self.version = o["metadata"]["name"], o["metadata"]["resourceVersion"]
        self.objects[name] = o
        self.changes[name] = self.changes.get(name, 0) + 1

    def watch(self):
        c = http.client.HTTPSConnection("127.0.0.1", self.api.port, timeout=60,
                                        context=self.api.tls)
        c.request("GET", f"{self.path}?watch=1&resourceVersion={self.version}",
                  headers={"Accept": "application/json"})
        self.sock, answer = c.sock, c.getresponse()
        try:
            while line := answer.readline():
                self.note(json.loads(line))
        finally:
            c.close()

    def run(self):
        while not self.ended:
            try:
                self.watch()
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)

    def all(self, fn, n):
        """Whether there are n objects and fn is true of each; says which it is not of."""
        assert self.thread.is_alive(), "the watch has ended"
        assert len(self.objects) == n, f"{len(self.objects)} objects of {n}"
        missing = [name for name, o in list(self.objects.items()) if not fn(o)]
        assert not missing, f"{len(missing)} are not: {missing[:5]}"
        return True

    def close(self):
        self.ended = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_programmed(o):
    """Of an HTTPRoute, at its present generation."""
    parents = o.get("status", {}).get("parents") or []
    return any(c["type"] == "Programmed" and c["status"] == "True" and
               c.get("observedGeneration") == o["metadata"]["generation"]
               for p in parents for c in p["conditions"])
