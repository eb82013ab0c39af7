# SPDX-License-Identifier: Apache-2.0
"""HTTPS listeners: which certificate a name gets, what is refused, rotation, and hostile peers."""
import contextlib
import random
import socket
import ssl
import struct
import threading
import time

import pytest

from certs import Ca, listener, s_client, secret
from harness import GATEWAY, SLOW, Reader, Stack, docs, read_all, route, service, wait_for
from traffic import Traffic

HEAD = GATEWAY.rstrip("\n")


@pytest.fixture(scope="module")
def ca():
    return Ca()


def https(*parts):
    """A Gateway with these listeners beside the plain one, and a route for every host."""
    listeners = "".join(p for p in parts if p.startswith("  - {name"))
    rest = [p for p in parts if not p.startswith("  - {name")]
    rules = "\n  - backendRefs: [{name: web, port: 80}]"
    return docs(HEAD + "\n" + listeners, service("web"), route("web", rules), *rest)


@pytest.fixture(scope="module")
def t(ca):
    a, b = ca.leaf("a.test"), ca.leaf("*.b.test", "b.test")
    deep = ca.leaf("deep.b.test")
    both = ca.leaf("both.test"), ca.leaf("both.test", kind=2048)
    yaml = https(
        listener("a", "a.test", "a"), listener("b", "*.b.test", "b"),
        listener("deep", "deep.b.test", "deep"), listener("both", "both.test", "ec", "rsa"),
        secret("a", *a), secret("b", *b), secret("deep", *deep), secret("ec", *both[0]),
        secret("rsa", *both[1]))
    with Stack(yaml) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty(ca):
    yaml = https(listener("any", None, "a"), secret("a", *ca.leaf("a.test")))
    with Stack(yaml, dp_args=["--timeout-head", "1s"]) as stack:
        yield stack


def ask(s, host, path="/bytes/16", extra=""):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode())
    return Reader(s).response()


def get(t, ca, sni, host=None, path="/bytes/16", **kw):
    with ca.connect(t.port2, sni, **kw) as s:
        return ask(s, host or sni, path)


def sans(s):
    return [v for k, v in s.getpeercert()["subjectAltName"]]


def alert(t, ca, sni, **kw):
    """The alert that ends the handshake, as Python names it."""
    context = ca.context(**kw)
    context.check_hostname = False
    with pytest.raises(ssl.SSLError) as e:
        ca.connect(t.port2, sni, context=context).close()
    return e.value.reason


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("sni", ["unknown.test", "x.a.test", "b.test", None])
def test_names_that_nobody_serves_see_no_certificate(t, ca, sni):
    before = t.metric("tandem_tls_handshakes_total", result="unserved")
    assert alert(t, ca, sni) == "TLSV1_UNRECOGNIZED_NAME"
    assert t.metric("tandem_tls_handshakes_total", result="unserved") == before + 1
    name = ["-servername", sni] if sni else ["-noservername"]
    assert "no peer certificate available" in s_client(t.port2, *name)


@pytest.mark.parametrize("sni", ["127.0.0.1", "*.b.test", "a..test", "a.test:443", "a_b c"])
def test_garbage_for_a_name_is_refused(t, sni):
    out = s_client(t.port2, "-servername", sni)
    assert "no peer certificate available" in out and "unrecognized name" in out


@pytest.mark.parametrize("args, why", [
    (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "protocol version"),
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "protocol version"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"], "handshake failure"),
    (["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA"], "handshake failure"),
    (["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "handshake failure"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"], "handshake failure"),
    (["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"], "handshake failure"),
    (["-tls1_3", "-groups", "P-521"], "handshake failure"),
    (["-tls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"], "handshake failure"),
])
def test_old_and_weak_is_refused(t, args, why):
    out = s_client(t.port2, "-servername", "a.test", *args)
    assert "no peer certificate available" in out
    assert why in out.lower(), out


def test_no_renegotiation_no_compression_no_early_data(t):
    out = s_client(t.port2, "-servername", "a.test", "-tls1_2", data=b"R\n")
    assert "Compression: NONE" in out
    assert "no renegotiation" in out.lower()
    out = s_client(t.port2, "-servername", "a.test", "-tls1_3", data=b"")
    assert "Max Early Data: 0" in out or "Early data was not sent" in out


@pytest.mark.parametrize("alpn, want", [
    ((), None), (("http/1.1",), "http/1.1"), (("spdy/1", "http/1.1"), "http/1.1")])
def test_alpn(t, ca, alpn, want):
    with ca.connect(t.port2, "a.test", context=ca.context(alpn=alpn)) as s:
        assert s.selected_alpn_protocol() == want
        assert ask(s, "a.test").status == 200


def test_only_unknown_protocols_are_refused(t):
    out = s_client(t.port2, "-servername", "a.test", "-alpn", "spdy/1,http/1.0")
    assert "no application protocol" in out and "no peer certificate available" in out


# --- what is chosen -------------------------------------------------------------------------------


@pytest.mark.parametrize("sni, want", [
    ("a.test", ["a.test"]), ("A.Test", ["a.test"]), ("x.b.test", ["*.b.test", "b.test"]),
    ("deep.b.test", ["deep.b.test"])])
def test_the_name_chooses_the_certificate(t, ca, sni, want):
    with ca.connect(t.port2, sni) as s:
        assert sans(s) == want
        assert ask(s, sni).status == 200


def test_a_wildcard_listener_serves_deeper_names_with_what_it_has(t, ca):
    # Its certificate covers one label alone: the client refuses it, not we.
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        ca.connect(t.port2, "x.y.b.test")


def test_by_key_types_that_the_client_can_verify(t):
    ec = s_client(t.port2, "-servername", "both.test", "-sigalgs", "ECDSA+SHA256")
    rsa = s_client(t.port2, "-servername", "both.test", "-sigalgs", "RSA-PSS+SHA256")
    assert "Peer signature type: ECDSA" in ec and "Peer signature type: RSA-PSS" in rsa
    old = s_client(t.port2, "-servername", "both.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
    assert "Cipher is ECDHE-RSA-AES128-GCM-SHA256" in old


@pytest.mark.parametrize("curve", ["X25519", "P-256", "P-384"])
def test_curves(t, curve):
    assert "Cipher is TLS_AES" in s_client(t.port2, "-servername", "a.test", "-groups", curve)


def test_no_name_gets_the_listener_without_hostname(hasty):
    out = s_client(hasty.port2, "-noservername")
    assert "CN = " in out and "Cipher is TLS_AES" in out


# --- requests -------------------------------------------------------------------------------------


def test_upstreams_are_told_https(t, ca):
    seen = {k.lower(): v for k, v in get(t, ca, "a.test", path="/x").json()["headers"].items()}
    assert seen["x-forwarded-proto"] == "https" and seen["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("sni, host, status", [
    ("a.test", "a.test", 200), ("a.test", "A.test.", 200), ("a.test", "x.b.test", 421),
    ("x.b.test", "a.test", 421), ("x.b.test", "y.b.test", 200), ("x.b.test", "deep.b.test", 421),
    ("deep.b.test", "x.b.test", 421), ("a.test", "unknown.test", 404)])
def test_hosts_of_other_listeners_are_misdirected(t, ca, sni, host, status):
    r = get(t, ca, sni, host)
    assert r.status == status
    assert status == 200 or r.json()["code"] == {421: "misdirected", 404: "no_listener"}[status]


def test_unknown_host_on_the_same_listener_is_404(ca):
    yaml = https(listener("any", None, "a"), listener("b", "b.test", "b"),
                 secret("a", *ca.leaf("a.test")), secret("b", *ca.leaf("b.test")))
    yaml = yaml.replace("parentRefs: [{name: edge}]\n  ",
                        "parentRefs: [{name: edge}]\n  hostnames: [a.test, b.test]\n")
    with Stack(yaml) as t:
        assert get(t, ca, "a.test").status == 200
        assert get(t, ca, "a.test", "unknown.test").status == 404
        assert get(t, ca, "a.test", "b.test").status == 421


def test_one_connection_asks_many_times(t, ca):
    with ca.connect(t.port2, "a.test") as s:
        for n in (0, 1, 1024, 16384, 20000, 0, 65536):
            r = ask(s, "a.test", f"/bytes/{n}")
            assert (r.status, len(r.body), r.complete) == (200, n, True)


def test_a_pipeline_larger_than_a_slab(t, ca):
    n = 400
    one = b"GET /bytes/1 HTTP/1.1\r\nHost: a.test\r\nX-Pad: " + b"p" * 150 + b"\r\n\r\n"
    with ca.connect(t.port2, "a.test") as s:
        s.sendall(one * n)
        reader = Reader(s)
        for _ in range(n):
            assert reader.response().status == 200


@pytest.mark.parametrize("n", [1 << 20, 12 << 20])
def test_large_answers(t, ca, n):
    r = get(t, ca, "a.test", path=f"/bytes/{n}")
    assert (r.status, len(r.body), r.complete) == (200, n, True)


@pytest.mark.parametrize("record", [16384, 16000, 1000])
def test_a_large_body_comes_back_whole(t, ca, record):
    body = random.Random(record).randbytes(1 << 20)
    with ca.connect(t.port2, "a.test") as s:
        s.sendall(b"POST /x?echo=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body))
        for i in range(0, len(body), record):
            s.sendall(body[i:i + record])
        r = Reader(s).response()
        assert r.status == 200 and r.body == body


def test_an_upload_is_held_back_and_goes_on(ca):
    """The upstream takes nothing for a while: what the client has sent meanwhile must not stay
    inside TLS when reading goes on."""
    body = random.Random(7).randbytes(12 << 20)
    got = bytearray()

    def upstream(server):
        with server.accept()[0] as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            time.sleep(0.5)
            while len(got) < len(body) or not got.endswith(body[-100:]):
                got.extend(s.recv(1 << 20))
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    yaml = https(listener("a", "a.test", "a"), secret("a", *ca.leaf("a.test")))
    with socket.create_server(("127.0.0.1", 0)) as server, \
         Stack(yaml, endpoints={"default/web": f"127.0.0.1:{server.getsockname()[1]}"}) as t:
        thread = threading.Thread(target=upstream, args=(server,), daemon=True)
        thread.start()
        with ca.connect(t.port2, "a.test", timeout=30) as s:
            s.sendall(b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body))
            s.sendall(body)
            assert Reader(s).response().body == b"ok"
        thread.join(10)
    assert bytes(got[got.index(b"\r\n\r\n") + 4:]) == body


def test_a_slow_reader_gets_all(t, ca):
    n = 8 << 20
    with ca.connect(t.port2, "a.test") as s:
        s.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n" % n)
        time.sleep(0.5)
        got = 0
        while piece := s.recv(32768):
            got += len(piece)
        assert got > n
        # close_notify came: Python tells a bare end apart.


def test_an_early_refusal_reaches_a_client_that_still_sends(t, ca):
    with ca.connect(t.port2, "a.test") as s:
        s.sendall(b"POST /bytes/1 HTTP/1.1\r\nHost: x.b.test\r\nContent-Length: 300000\r\n\r\n")
        s.sendall(b"z" * 200000)
        assert Reader(s).response().status == 421


# --- resumption -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets_are_good_on_every_worker_and_for_their_name_alone(t, ca, version):
    context = ca.context()
    context.minimum_version = context.maximum_version = version

    def again(sni, session):
        s = socket.create_connection(("127.0.0.1", t.port2), 10)
        with context.wrap_socket(s, server_hostname=sni, session=session) as c:
            assert ask(c, sni).status == 200
            return c.session_reused, c.session
    _, session = again("x.b.test", None)
    # New connections spread over both workers.
    for _ in range(16):
        reused, _ = again("x.b.test", session)
        assert reused
    assert not again("deep.b.test", session)[0]
    assert not again("a.test", session)[0]


# --- certificates that change ---------------------------------------------------------------------


def shows(t, ca, sni, pair):
    want = ssl.PEM_cert_to_DER_cert(pair[0])

    def check():
        with ca.connect(t.port2, sni) as s:
            return s.getpeercert(binary_form=True) == want
    wait_for(f"{sni} to show its new certificate", check)


def test_rotation_loses_nothing(ca):
    first = ca.leaf("a.test")
    yaml = https(listener("a", "a.test", "a"))
    with Stack(docs(yaml, secret("a", *first))) as t:
        with contextlib.ExitStack() as stack:
            old = stack.enter_context(ca.connect(t.port2, "a.test"))
            assert ask(old, "a.test").status == 200
            short = stack.enter_context(Traffic(
                t, host="a.test", connect=lambda: ca.connect(t.port2, "a.test"), per_connection=1))
            load = stack.enter_context(Traffic(
                t, host="a.test", connect=lambda: ca.connect(t.port2, "a.test")))
            for _ in range(3):
                pair = ca.leaf("a.test")
                t.write("main.yaml", docs(yaml, secret("a", *pair)))
                shows(t, ca, "a.test", pair)
            assert ask(old, "a.test").status == 200
        assert not load.lost and not short.lost
        assert load.answered > 50 and short.answered > 20


def test_http_07_a_broken_secret_hurts_its_own_listener_alone(ca):
    pairs = {n: ca.leaf(f"{n}.test") for n in "abc"}
    bad = pairs["b"][0], ca.leaf("b.test")[1]
    base = https(*(listener(n, f"{n}.test", n) for n in "abc"), secret("a", *pairs["a"]),
                 secret("c", *pairs["c"]))
    with Stack(docs(base, secret("b", *bad))) as t:
        for _ in range(2):
            for n in "ac":
                assert get(t, ca, f"{n}.test").status == 200
            assert alert(t, ca, "b.test") == "TLSV1_UNRECOGNIZED_NAME"
            t.dp.stop()
            t.start_dataplane()
        c = t.conditions("Gateway", "edge", listener="b")
        assert c["ResolvedRefs"]["reason"] == "InvalidCertificateRef"
        with Traffic(t, host="a.test", connect=lambda: ca.connect(t.port2, "a.test")) as load:
            t.write("main.yaml", docs(base, secret("b", *pairs["b"])))
            wait_for("b to serve", lambda: get(t, ca, "b.test").status == 200)
            t.write("main.yaml", docs(base))
            wait_for("b to be refused",
                     lambda: "unrecognized name" in s_client(t.port2, "-servername", "b.test"))
        assert not load.lost


# --- hostile peers --------------------------------------------------------------------------------


def test_a_handshake_that_stalls_is_closed(hasty):
    for begin in (b"", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        at = time.monotonic()
        with hasty.connect(hasty.port2) as s:
            s.sendall(begin)
            read_all(s)
        assert 0.5 < time.monotonic() - at < 3 * SLOW
    assert hasty.metric("tandem_tls_handshakes_total", result="timeout") >= 3


def test_a_hello_that_trickles_buys_no_time(hasty):
    at = time.monotonic()
    with hasty.connect(hasty.port2) as s:
        with contextlib.suppress(OSError):
            for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 100:
                s.sendall(bytes([byte]))
                time.sleep(0.1)
                s.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    if not s.recv(1):
                        break
                s.settimeout(10)
    assert time.monotonic() - at < 3 * SLOW


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\0" * 64, b"\x16\x03\x01\x00\x05hello....",
    b"\x80\x2e\x01\x00\x02", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff" * 5000,
    b"\x15\x03\x01\x00\x02\x02\x28", b"\x17\x03\x03\x00\x01x"],
    ids=["http", "zeros", "hello", "ssl2", "h2", "ones", "alert", "data"])
def test_garbage_instead_of_a_hello_is_closed_cleanly(hasty, data):
    with hasty.connect(hasty.port2) as s:
        s.sendall(data)
        s.settimeout(5 * SLOW)
        out = b""
        while piece := s.recv(4096): # a reset would raise
            out += piece
        assert len(out) <= 64 and out[:1] in (b"", b"\x15")


def test_a_thousand_half_open_handshakes_hurt_nobody(t, ca):
    hello = struct.pack("!BHH", 22, 0x0301, 512) + b"\x01\x00\x01\xfc\x03\x03"
    held = []
    try:
        for _ in range(1000):
            s = socket.create_connection(("127.0.0.1", t.port2), 5)
            s.sendall(hello)
            held.append(s)
        with Traffic(t, host="a.test", connect=lambda: ca.connect(t.port2, "a.test"),
                     per_connection=1) as load:
            time.sleep(1)
        assert not load.lost and load.answered > 10
        assert get(t, ca, "a.test").status == 200
    finally:
        for s in held:
            s.close()
    wait_for("all to be forgotten", lambda: t.metric("tandem_connections", side="downstream") == 0)


def test_clients_that_leave_in_the_middle_are_forgotten(t):
    for n in (0, 1, 5, 11):
        with t.connect(t.port2) as s:
            s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:n])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", n % 2, 0))
    wait_for("all to be forgotten", lambda: t.metric("tandem_connections", side="downstream") == 0)


def test_a_cut_record_is_no_request(t, ca):
    with ca.connect(t.port2, "a.test") as s:
        raw = socket.socket(fileno=s.detach())
        raw.sendall(b"\x17\x03\x03\x00\x30" + b"f" * 48)
        raw.settimeout(5 * SLOW)
        out = read_all(raw)
        raw.close()
    assert b"HTTP" not in out


def test_drain_ends_handshakes_and_says_goodbye(ca):
    yaml = https(listener("a", "a.test", "a"), secret("a", *ca.leaf("a.test")))
    with Stack(yaml) as t:
        idle = ca.connect(t.port2, "a.test")
        assert ask(idle, "a.test").status == 200
        half = t.connect(t.port2)
        half.sendall(b"\x16\x03\x01\x02\x00")
        begin = time.monotonic()
        assert t.dp.stop() == 0
        assert time.monotonic() - begin < 4 * SLOW
        assert idle.recv(10) == b"" # by close_notify, else Python raises
        read_all(half)
        half.close()
        idle.close()
