"""logins.py - failed logins are counted by address; a new certificate comes with SIGHUP. TAP."""
import os
import signal
import ssl
import subprocess
import sys
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "protocol"))
from lumaserver import Server, serve_tap  # noqa: E402
import pgclient  # noqa: E402


def failed_logins_are_limited():
    """Six wrong proofs, then even the right password has to wait; others' statements go on."""
    with Server(["--set", "session.auth_failures=6"]) as server:
        good = server.connect()
        for _ in range(6):
            try:
                psycopg2.connect(host="127.0.0.1", port=server.port, user="lumadb", password="wrong",
                                 dbname="default")
                raise AssertionError("a wrong password was taken")
            except psycopg2.OperationalError as error:
                assert "password authentication failed" in str(error), error
        for password in ("wrong", "lumadb"):
            try:
                psycopg2.connect(host="127.0.0.1", port=server.port, user="lumadb",
                                 password=password, dbname="default")
                raise AssertionError("let in after six failures")
            except psycopg2.OperationalError as error:
                assert "too many failed logins" in str(error), error
        cursor = good.cursor()
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def make_certificate(path, name):
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path + ".key",
                           "-out", path + ".cert", "-days", "2", "-subj", "/CN=" + name],
                          capture_output=True, check=False)
    return made.returncode == 0


def certificate_of(server):
    """The certificate a new connection is shown; it logs in over it, too."""
    client = pgclient.Client(server.port, password="lumadb", tls=True)
    der = client.sock.getpeercert(binary_form=True)
    client.close()
    return ssl.DER_cert_to_PEM_cert(der)


def a_new_certificate_comes_with_sighup():
    server = Server()
    path = os.path.join(server.dir, "tls")
    if not make_certificate(path, "one"):
        return "SKIP openssl cannot make a certificate"
    server.options += ["--set", f"tls.cert={path}.cert", "--set", f"tls.key={path}.key"]
    with server:
        server.connect().close()
        first = certificate_of(server)
        old = pgclient.Client(server.port, password="lumadb", tls=True)
        assert make_certificate(path, "two")
        os.kill(server.pid(), signal.SIGHUP)
        until = time.monotonic() + 10
        while certificate_of(server) == first:
            assert time.monotonic() < until, "the old certificate is still shown"
            time.sleep(0.05)
        assert pgclient.rows(old.ask(pgclient.query("SELECT 1"))) == [[b"1"]]
        old.close()
        # One that cannot be read changes nothing.
        second = certificate_of(server)
        with open(path + ".cert", "w", encoding="ascii") as f:
            f.write("nonsense")
        os.kill(server.pid(), signal.SIGHUP)
        time.sleep(0.5)
        assert certificate_of(server) == second
    return None


if __name__ == "__main__":
    sys.exit(serve_tap([failed_logins_are_limited, a_new_certificate_comes_with_sighup]))
