# SPDX-License-Identifier: Apache-2.0
"""Two controllers of one installation, and what an API server's audit log says of their writes.

    Replicas  the controllers "a" and "b", started at once, each with a token of its own
    Service   one address in front of both, as a Service of the cluster
    Watch     every form of the objects of a kind, for what must not happen in between
"""
import base64
import json
import socket
import threading

from drill import Seen
from harness import wait_for
from cluster import ApiError
from line import SHORT_LEASE, SYSTEM, Controller

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/tandem-controller"


class Service:
    """Takes a connection to whichever controller takes it; the first one first."""

    def __init__(self, controller, *others):
        self.targets = [controller, *others]
        self.ca_file = controller.ca_file
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = self.dial()
            if not server:
                client.close()
                continue
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def dial(self):
        for target in self.targets:
            try:
                server = socket.create_connection(("127.0.0.1", target.port), 5)
            except OSError:
                continue
            server.settimeout(None)
            return server
        return None

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Replicas:
    """No Lease, CA or ConfigMap is there when they start."""

    def __init__(self, api, folder, lease=SHORT_LEASE):
        self.api, self.folder, self.tokens = api, folder, {}
        for path in ("secrets/tandem-push-ca", "configmaps/tandem-ca"):
            self.delete(f"/api/v1/namespaces/{SYSTEM}/{path}")
        self.delete(LEASE)
        self.by_name = {n: Controller(api, config=self.config(n), lease=lease, ready=False)
                        for n in ("a", "b")}
        for controller in self.by_name.values():
            wait_for("controller", controller.is_ready)
        self.a, self.b = self.by_name.values()
        wait_for("a holder", self.holder)

    def delete(self, path):
        try:
            self.api.call("DELETE", path)
        except ApiError as e:
            assert e.status == 404, e

    def config(self, name):
        token = self.api.kubectl("-n", SYSTEM, "create", "token", "tandem-controller").strip()
        claims = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.tokens["JTI=" + claims["jti"]] = name
        return self.api.kubeconfig(self.folder / f"{name}.conf", token)

    def lease(self):
        try:
            return self.api.call("GET", LEASE)
        except ApiError as e:
            raise OSError(str(e)) from e

    def state(self, name):
        """What one says of the Lease; None of one that does not run."""
        controller = self.by_name[name]
        return (json.loads(controller.get("/source"))["lease"] if controller.program.is_running()
                else None)

    def holder(self):
        """The name of the one that the Lease names, and that knows it; None: nobody."""
        identity = self.lease()["spec"].get("holderIdentity")
        for name in self.by_name:
            state = self.state(name)
            if state and state["held"] and state["identity"] == identity:
                return name
        return None

    def other(self, name):
        return "b" if name == "a" else "a"

    def writes(self):
        """Statuses and Events that were written: (who, when, "Kind/name", HTTP status)."""
        found = []
        for line in (self.api.dir / "log" / "audit.log").read_text().splitlines():
            event = json.loads(line)
            who = event["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id")
            ref = event.get("objectRef", {})
            if not who or who[0] not in self.tokens:
                continue
            if ref.get("subresource") == "status" or ref.get("resource") == "events":
                found.append((self.tokens[who[0]], event["requestReceivedTimestamp"],
                              f"{ref['resource']}/{ref.get('name')}",
                              event["responseStatus"]["code"]))
        return found

    def writers(self, since=0):
        return {who for who, *_ in self.writes()[since:]}

    def close(self):
        for controller in self.by_name.values():
            controller.close()

    def logs(self):
        return "\n".join(c.logs() for c in self.by_name.values())


class Watch(Seen):
    def __init__(self, api, kind, ns):
        self.forms = []
        super().__init__(api, kind, ns)

    def note(self, event):
        super().note(event)
        self.forms.append(event["object"])

    def flaps(self):
        """Forms that say Programmed is not True though it was, at the same generation."""
        found, good = [], {}
        for o in self.forms:
            name = o["metadata"]["name"]
            for where, c in programmed(o):
                key = (name, where, c.get("observedGeneration"))
                if c["status"] == "True":
                    good[key] = True
                elif good.get(key):
                    found.append((name, where, c))
        return found


def programmed(o):
    status = o.get("status", {})
    lists = [("", status.get("conditions", []))]
    lists += [(l["name"], l["conditions"]) for l in status.get("listeners", [])]
    lists += [(p["parentRef"]["name"], p["conditions"]) for p in status.get("parents", [])]
    return [(where, c) for where, conditions in lists for c in conditions
            if c["type"] == "Programmed"]
