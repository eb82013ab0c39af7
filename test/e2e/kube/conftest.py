# SPDX-License-Identifier: Apache-2.0
"""One API server with the CRDs for a session."""
import pytest

from cluster import KUBE_HOME, ApiServer, Cluster


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


@pytest.fixture
def cluster(api):
    made = Cluster(api)
    yield made
    made.close()
