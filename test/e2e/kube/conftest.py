# SPDX-License-Identifier: Apache-2.0
"""One API server and one backend for a session; a namespace for each test."""
import pytest

from cluster import KUBE_HOME, ApiServer, Cluster
from line import CLASS, RBAC, SYSTEM, Address, Backend, Controller, Plane


@pytest.fixture(scope="session")
def api():
    missing = [n for n in ("etcd", "kube-apiserver", "kubectl")
               if not (KUBE_HOME / "bin" / n).exists()]
    if missing:
        pytest.fail(f"{', '.join(missing)} missing in {KUBE_HOME}/bin: run hack/deps.sh test "
                    "(it builds them with Go)")
    server = ApiServer()
    try:
        server.install_crds()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def backend():
    address = Address()
    servers = None
    try:
        servers = Backend(address.text)
        yield servers
    finally:
        if servers:
            servers.close()
        address.close()


# For one file: others start controllers of their own, and two would both speak for the class.
@pytest.fixture(scope="module")
def controller(api, tmp_path_factory):
    """With the rights that the documentation gives it, and nothing more."""
    api.kubectl("apply", "-f", RBAC)
    api.kubectl("apply", "-f", "-", stdin=CLASS)
    token = api.kubectl("-n", SYSTEM, "create", "token", "tandem-controller").strip()
    config = api.kubeconfig(tmp_path_factory.mktemp("kubeconfig") / "controller.conf", token)
    running = Controller(api, config=config)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def cluster(api):
    made = Cluster(api)
    yield made
    made.close()


@pytest.fixture
def line(controller, backend, cluster, request):
    """Makes data planes for Gateways of the test's namespace; shows logs where the test failed."""
    planes = []

    def plane(gateway="edge", **kw):
        kw.setdefault("token", cluster.token())
        planes.append(Plane(controller, f"{cluster.ns}/{gateway}", **kw))
        return planes[-1]
    yield plane
    failed = getattr(request.node, "failed", False)
    for p in reversed(planes):
        if failed:
            print(p.logs())
        p.close()
    if failed:
        print(controller.logs())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report
