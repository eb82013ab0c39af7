# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl program, and clients of TLS ports."""
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile

from harness import SLOW


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, timeout=60, **kw)


class Ca:
    """A certificate authority in a folder of its own, and leaves signed by it."""

    def __init__(self):
        self.temp = tempfile.TemporaryDirectory(prefix="tandem-ca-")
        self.folder = pathlib.Path(self.temp.name)
        self.pem, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", self.key, "-out", self.pem, "-days", "30", "-subj", "/CN=test CA",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign")
        self.n = 0

    def leaf(self, *names, kind="ec"):
        """(certificate, key) as PEM texts."""
        self.n += 1
        key, csr, pem = (self.folder / f"{self.n}.{end}" for end in ("key", "csr", "pem"))
        ext = self.folder / f"{self.n}.ext"
        alg = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else
               ["-newkey", f"rsa:{kind}"])
        run("openssl", "req", *alg, "-nodes", "-keyout", key, "-out", csr, "-subj",
            f"/CN={self.n} of {names[0]}"[:60])
        ext.write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n"
                       "basicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.pem, "-CAkey", self.key,
            "-set_serial", self.n, "-days", "30", "-extfile", ext, "-out", pem)
        return pem.read_text(), key.read_text()

    @staticmethod
    def end_of(cert):
        """Until when a certificate is good, as RFC 3339 writes it."""
        end = run("openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", input=cert.encode())
        return end.stdout.decode().strip().removeprefix("notAfter=").replace(" ", "T")

    def context(self, *, alpn=(), resume=False):
        c = ssl.create_default_context(cafile=self.pem)
        if alpn:
            c.set_alpn_protocols(list(alpn))
        return c

    def connect(self, port, sni, *, context=None, timeout=10):
        """A TLS connection whose certificate was verified for sni."""
        s = socket.create_connection(("127.0.0.1", port), timeout)
        s.settimeout(timeout * SLOW)
        try:
            return (context or self.context()).wrap_socket(s, server_hostname=sni)
        except BaseException:
            s.close()
            raise


def secret(name, cert, key):
    def block(text):
        return "".join(f"    {line}\n" for line in text.strip().splitlines())
    return (f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n"
            "type: kubernetes.io/tls\nstringData:\n"
            f"  tls.crt: |\n{block(cert)}  tls.key: |\n{block(key)}")


def listener(name, host, *secrets, port="$PORT2"):
    """A line of a Gateway's listeners; host None: any."""
    refs = ", ".join(f"{{name: {s}}}" for s in secrets)
    hostname = f'hostname: "{host}", ' if host else ""
    return (f"  - {{name: {name}, protocol: HTTPS, port: {port}, {hostname}"
            f"tls: {{certificateRefs: [{refs}]}}}}\n")


def s_client(port, *args, data=b"", seconds=10):
    """What openssl s_client says, both streams in one."""
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, args)],
                       input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=seconds * SLOW, env={**os.environ, "OPENSSL_CONF": "/dev/null"})
    return p.stdout.decode(errors="replace")
