# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server of the websockets package, on a thread."""
import http
import threading
import time

import websockets.exceptions
import websockets.sync.server


class Echo:
    """Echoes, or does what the path says."""

    def __init__(self, port, host="127.0.0.1"):
        self.closed = []  # (code, reason) of each connection that ended
        self.paths = []
        self.server = websockets.sync.server.serve(
            self.handle, host, port, process_request=self.check, max_size=None,
            ping_interval=None,
            select_subprotocol=lambda _, offered: offered[-1] if offered else None)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def check(self, connection, request):
        if request.path.endswith("/refuse"):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")
        return None

    def handle(self, c):
        self.paths.append(c.request.path)
        try:
            if c.request.path.endswith("/close"):
                c.close(4321, "enough")
            elif c.request.path.endswith("/flood"):
                while True:
                    c.send(bytes(65536))
            for message in c:
                c.send(message)
        except websockets.exceptions.ConnectionClosed:
            pass
        finally:
            self.closed.append((c.close_code, c.close_reason, time.monotonic()))

    def close(self):
        self.server.shutdown()
