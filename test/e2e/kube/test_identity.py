# SPDX-License-Identifier: Apache-2.0
"""Who may follow a Gateway in a cluster, and the push CA that the controller keeps there."""
import json
import subprocess
import time

import pytest

from harness import free_ports, wait_for
from line import Controller
from pair import Pair, gateway


def refused(t, dp, *texts):
    """The data plane says why, and goes on trying; nobody is connected."""
    for text in texts:
        wait_for(f"'{text}' in its log", lambda x=text: x in dp.log())
    assert dp.is_running()
    assert t.metric("push_data_planes_connected") == 0


def wait_empty(t):
    wait_for("the Gateway to be let go", lambda: json.loads(t.get("/snapshot"))["resources"] == {})


def test_a_token_that_is_none(cluster):
    with Pair(cluster) as t:
        dp = t.start_dataplane(token=t.token_file("not-a-token"))
        refused(t, dp, "refuses it (401)", "does not take the token")
        wait_for("the controller's log", lambda: "data plane refused" in t.ctl.log())
        assert "not-a-token" not in t.ctl.log() + dp.log()
        # Its file is read for each dial.
        (t.folder / f"token-{len(t.programs) - 1}").write_text(cluster.token())
        t.wait_programmed()


def test_a_token_of_another_namespace(cluster):
    cluster.make_namespace(f"{cluster.ns}-other")
    with Pair(cluster) as t:
        dp = t.start_dataplane(token=t.token_file(ns=f"{cluster.ns}-other"))
        text = f"the token is of namespace '{cluster.ns}-other', and Gateway '{cluster.ns}/edge' " \
               "is not in it"
        refused(t, dp, text)
        assert text in t.ctl.log()


def test_no_gateway_is_named(cluster):
    with Pair(cluster) as t:
        refused(t, t.start_dataplane(gateway=""), "names no Gateway")


def test_a_gateway_that_is_not_there_until_it_is(cluster):
    with Pair(cluster) as t:
        cluster.delete("Gateway", "edge")
        wait_empty(t)
        dp = t.start_dataplane()
        refused(t, dp, f"Gateway '{cluster.ns}/edge' does not exist")
        cluster.apply(gateway())
        t.wait_programmed(seconds=20)  # it dials again after a while


def test_a_gateway_of_another_class(cluster):
    with Pair(cluster) as t:
        cluster.patch("Gateway", "edge", {"spec": {"gatewayClassName": "foreign"}})
        wait_empty(t)
        refused(t, t.start_dataplane(), "is not of a GatewayClass of this controller")


def test_another_ca(cluster):
    with Pair(cluster) as t:
        other = t.folder / "other.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-out", other,
                        "-subj", "/CN=other", "-days", "1"], check=True, capture_output=True)
        refused(t, t.start_dataplane(ca=other), "the certificate is not trusted")
        wait_for("the controller's log", lambda: "unknown CA" in t.ctl.log())


def test_an_audience_of_its_own(cluster):
    with Pair(cluster, ctl_args=["--token-audience", "tandem-push"]) as t:
        dp = t.start_dataplane()
        refused(t, dp, "refuses it (401)")
        dp.stop()
        t.start_dataplane(token=t.token_file(audience="tandem-push"))
        t.wait_programmed()


def test_a_service_account_that_is_deleted_while_its_data_plane_is_connected(cluster):
    with Pair(cluster, ctl_args=["--token-recheck", "1s"]) as t:
        dp = t.start_dataplane()
        t.wait_programmed()
        time.sleep(2)  # it is asked, and is still who it was
        assert t.metric("push_data_planes_connected") == 1 and "refused" not in t.ctl.log()
        cluster.delete("ServiceAccount", "default")
        # The API server itself remembers a good token for ten seconds.
        wait_for("the data plane to be sent away",
                 lambda: t.metric("push_data_planes_connected") == 0, 30)
        refused(t, dp, "the peer ended the connection: the API server does not take the token")
        assert "data plane refused" in t.ctl.log()


def test_a_token_that_is_replaced_keeps_its_stream(cluster):
    with Pair(cluster, ctl_args=["--token-recheck", "1s"]) as t:
        path = t.token_file()
        dp = t.start_dataplane(token=path)
        t.wait_programmed()
        path.write_text(cluster.token())
        time.sleep(3)
        assert "no controller" not in dp.log() and "data plane left" not in t.ctl.log()


def test_the_ca_is_kept_and_the_config_map_is_put_right(cluster):
    with Pair(cluster) as t:
        ca = t.ca_file().read_text()
        path = f"/api/v1/namespaces/{cluster.ns}/configmaps/tandem-ca"
        api = cluster.api
        api.call("PATCH", path, {"data": {"ca.crt": "broken"}}, "application/merge-patch+json")
        wait_for("it to be put right", lambda: t.config_map()["data"]["ca.crt"] == ca)
        api.call("DELETE", path)
        wait_for("it to come back", lambda: t.config_map()["data"]["ca.crt"] == ca)
        api.call("DELETE", f"/api/v1/namespaces/{cluster.ns}/secrets/tandem-push-ca")
        wait_for("the Secret to come back", lambda: "tandem-push-ca" in
                 [s["metadata"]["name"] for s in cluster.list("Secret")])
        t.ctl.stop()
        t.start_controller()
        t.start_dataplane()  # by the CA that is there now
        t.wait_programmed()
        assert t.config_map()["data"]["ca.crt"] == ca


def test_two_replicas_share_one_ca(cluster):
    push, admin = free_ports(2)
    with Pair(cluster) as t:
        other = t.controller("replica", push, admin)
        wait_for("the replica", lambda: t.get("/ready", admin))
        ca = t.ca_file()
        for port in (t.push_port, push):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}",
                                   "-CAfile", ca, "-verify_return_error", "-verify_hostname",
                                   "localhost"], input=b"", capture_output=True, timeout=30)
            assert b"Verify return code: 0" in done.stdout, done.stdout
        other.stop()


@pytest.mark.parametrize("names", [["gw.example.com"], ["a.svc", "b.svc"]])
def test_names_of_the_push_server(cluster, names):
    args = [x for n in names for x in ("--push-name", n)]
    with Pair(cluster, ctl_args=args) as t:
        for name in names:
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{t.push_port}",
                                   "-CAfile", t.ca_file(), "-verify_return_error",
                                   "-verify_hostname", name], input=b"", capture_output=True,
                                  timeout=30)
            assert b"Verify return code: 0" in done.stdout, done.stdout


def test_a_namespace_that_is_not_there_is_told_until_it_is(cluster):
    name = f"{cluster.ns}-late"
    controller = Controller(cluster.api, namespace=name)
    try:
        text = f'push CA: POST /api/v1/namespaces/{name}/secrets: 404 NotFound: namespaces ' \
               f'"{name}" not found\n'
        wait_for("the problem", lambda: text in controller.get("/ready"))
        cluster.make_namespace(name)
        wait_for("the CA", controller.ca_file)
        wait_for("an end of the problem", lambda: "push CA" not in controller.get("/ready"))
    finally:
        controller.close()
