# SPDX-License-Identifier: Apache-2.0
"""Keep-alive clients in the background that count what they lose, for tests that change things
under load.

    with Traffic(t, "/steady") as load:
        change()
    assert not load.lost and load.answered > 100
"""
import threading
import time

from harness import Reader


class Traffic:
    """Clients that ask one after the other; a new connection follows `Connection: close`, or after
    so many requests. connect: makes a connection, where it is not the stack's plain port."""

    def __init__(self, stack, path="/", *, clients=2, pause=0.002, timeout=10, host="test",
                 connect=None, per_connection=None):
        self.path, self.pause, self.host, self.per_connection = path, pause, host, per_connection
        self.connect = connect or (lambda: stack.connect(timeout=timeout))
        self.answered, self.connections, self.lost = 0, 0, []
        self.slowest = 0.0
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def one(self, s, reader):
        """True where the connection can go on."""
        begin = time.monotonic()
        s.sendall(f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        r = reader.response()
        took = time.monotonic() - begin
        with self.lock:
            self.slowest = max(self.slowest, took)
            if r.status == 200 and r.complete:
                self.answered += 1
            else:
                self.lost.append(f"{r.status} {r.body[:200]!r}")
        return r.complete and r.header("connection") != "close"

    def run(self):
        while not self.ended.is_set():
            try:
                with self.connect() as s:
                    self.connections += 1
                    reader, asked = Reader(s), 0
                    while not self.ended.is_set() and self.one(s, reader):
                        asked += 1
                        if asked == self.per_connection:
                            break
                        time.sleep(self.pause)
            except OSError as e:
                if self.ended.is_set():
                    return
                with self.lock:
                    self.lost.append(repr(e))
                time.sleep(0.05)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()
