"""config.py - the manual's configuration, word for word, and the effect of each of its keys. TAP."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import BUILD, PROGRAM, cannot_serve, free_port, run_tap  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "manual.toml"), encoding="ascii") as manual:
    MANUAL = manual.read()
with open(os.path.join(HERE, "manual.yaml"), encoding="ascii") as manual:
    MANUAL_YAML = manual.read()


def built(module):
    return os.path.exists(os.path.join(BUILD, "conf.d", module + ".conf"))


class Run:
    """A server on a configuration file, in a folder of its own that is also its working folder."""

    def __init__(self, text, name="config.toml", options=(), conf_dir=None):
        self.dir = tempfile.mkdtemp(prefix="lumadb-config.")
        self.config = os.path.join(self.dir, name)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.options = list(options)
        self.conf_dir = conf_dir or os.path.join(BUILD, "conf.d")
        self.log_path = os.path.join(self.dir, "server.log")
        self.process = None

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(
                [PROGRAM, "server", "--config", self.config, "--conf-dir", self.conf_dir]
                + self.options, cwd=self.dir, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def connect(self, port, host="127.0.0.1"):
        last = None
        for _ in range(2000):
            assert self.process.poll() is None, f"ended {self.process.returncode}: {self.log()}"
            try:
                return psycopg2.connect(host=host, port=port, user="lumadb", password="lumadb",
                                        dbname="default", connect_timeout=5)
            except psycopg2.OperationalError as error:
                last = error
                time.sleep(0.005)
        raise AssertionError(f"no connection: {last}")


def manual_with(**changes):
    """The manual's file on free ports; section_key=value changes a line, None removes it."""
    changes = {"server_port": free_port(), "metrics_port": free_port(),
               "postgres_port": free_port(), "prometheus_port": free_port()} | changes
    section, out, used = "", [], set()
    for line in MANUAL.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        name = section + "_" + line.split(" = ")[0]
        if " = " in line and name in changes:
            used.add(name)
            value = changes[name]
            if value is None:
                continue
            if isinstance(value, bool):
                value = str(value).lower()
            elif isinstance(value, str):
                value = f'"{value}"'
            line = line.split(" = ")[0] + f" = {value}"
        out.append(line)
    assert used == set(changes), f"not in the manual's file: {set(changes) - used}"
    return "\n".join(out) + "\n", changes


def listens(port, host="127.0.0.1"):
    with socket.socket() as s:
        return s.connect_ex((host, port)) == 0


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def run_tool(*arguments, cwd=None):
    return subprocess.run([PROGRAM] + list(arguments), cwd=cwd, capture_output=True, text=True,
                          timeout=30, check=False)


def check_file(text, name):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return run_tool("server", "--check", "--config", path, "--conf-dir",
                        os.path.join(BUILD, "conf.d"), cwd=folder)


def manual_is_accepted():
    for text, name in ((MANUAL, "config.toml"), (MANUAL_YAML, "config.yaml")):
        result = check_file(text, name)
        assert result.returncode == 0, f"{name}: {result.stdout}{result.stderr}"


def data_dir_relative():
    text, ports = manual_with(general_data_dir="./elsewhere")
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        assert os.path.isdir(os.path.join(run.dir, "elsewhere")), os.listdir(run.dir)
        assert not os.path.exists(os.path.join(run.dir, "data"))


def log_level():
    sizes = {}
    for level in ("debug", "info", "error"):
        text, ports = manual_with(general_log_level=level)
        with Run(text) as run:
            run.connect(ports["postgres_port"]).close()
            sizes[level] = len(run.log())
    assert sizes["debug"] >= sizes["info"] > sizes["error"], sizes
    text, _ = manual_with(general_log_level="loud")
    result = check_file(text, "config.toml")
    assert result.returncode != 0 and "log_level" in result.stderr + result.stdout


def postgres_port_and_enabled():
    text, ports = manual_with()
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
    # Nothing of PostgreSQL's when it is disabled; the rest starts.
    text, ports = manual_with(postgres_enabled=False)
    with Run(text) as run:
        port = ports["server_port"] if built("frontend-rest") else ports["metrics_port"]
        deadline = time.monotonic() + 10
        while not listens(port) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert listens(port), run.log()
        assert not listens(ports["postgres_port"])


def hosts():
    """0.0.0.0 answers on every address of the loopback net, 127.0.0.1 on its own only."""
    for host, others in (("0.0.0.0", True), ("127.0.0.1", False)):
        text, ports = manual_with(postgres_host=host)
        with Run(text) as run:
            run.connect(ports["postgres_port"]).close()
            assert listens(ports["postgres_port"], "127.0.0.5") == others, host


def max_connections():
    text, ports = manual_with(postgres_max_connections=3)
    with Run(text) as run:
        port = ports["postgres_port"]
        held = [run.connect(port) for _ in range(3)]
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="lumadb", password="lumadb",
                             dbname="default", connect_timeout=5)
        except psycopg2.OperationalError as error:
            assert "too many" in str(error), error
        else:
            raise AssertionError("a fourth connection was let in")
        held.pop().close()
        run.connect(port).close()


def rest_port_and_health():
    if not built("frontend-rest"):
        return "SKIP frontend/rest is not built"
    text, ports = manual_with()
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        status, body = get(ports["server_port"], "/health")
        assert status == 200 and body.strip() == "OK", (status, body)
    return None


def metrics_keys():
    if not built("frontend-metrics"):
        return "SKIP frontend/metrics is not built"
    text, ports = manual_with(metrics_path="/elsewhere")
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        status, body = get(ports["metrics_port"], "/elsewhere")
        assert status == 200 and "# TYPE" in body, (status, body[:200])
        assert get(ports["metrics_port"], "/metrics")[0] == 404
    text, ports = manual_with(metrics_enabled=False)
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        assert not listens(ports["metrics_port"])
    return None


def yaml_means_the_same():
    text, ports = manual_with()
    yaml = []
    for line in text.splitlines():
        if line.startswith("["):
            yaml.append(line.strip("[]") + ":")
        elif " = " in line:
            yaml.append("  " + line.replace(" = ", ": ", 1))
    with Run("\n".join(yaml) + "\n", name="config.yaml") as run:
        run.connect(ports["postgres_port"]).close()


def order_of_sources():
    """Defaults, conf.d, config.toml, --set: later ones win, and `lumadb config` says who won."""
    with tempfile.TemporaryDirectory() as folder:
        conf_dir = os.path.join(folder, "conf.d")
        shutil.copytree(os.path.join(BUILD, "conf.d"), conf_dir)
        pgwire = os.path.join(conf_dir, "frontend-pgwire.conf")
        os.unlink(pgwire)
        with open(pgwire, "w", encoding="ascii") as f:
            f.write("[postgres]\nport = 20001\nmax_connections = 7\n")
        config = os.path.join(folder, "config.toml")
        with open(config, "w", encoding="ascii") as f:
            f.write("[postgres]\nport = 20002\n")

        def effective(*options):
            result = run_tool("config", "--conf-dir", conf_dir, *options)
            assert result.returncode == 0, result.stderr
            return result.stdout

        said = effective()
        assert "20001" in said and "frontend-pgwire.conf" in said, said
        said = effective("--config", config)
        assert "20002" in said and "config.toml" in said and "7" in said, said
        said = effective("--config", config, "--set", "postgres.port=20003")
        assert "20003" in said and "--set" in said, said


def disabled_in_conf_d():
    with tempfile.TemporaryDirectory() as folder:
        conf_dir = os.path.join(folder, "conf.d")
        shutil.copytree(os.path.join(BUILD, "conf.d"), conf_dir)
        os.unlink(os.path.join(conf_dir, "frontend-pgwire.conf"))
        result = run_tool("modules", "--conf-dir", conf_dir)
        assert result.returncode == 0 and "pgwire" not in result.stdout, result.stdout


def reload_log_level():
    text, ports = manual_with(general_log_level="error")
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        before = len(run.log())
        with open(run.config, "w", encoding="ascii") as f:
            f.write(text.replace('log_level = "error"', 'log_level = "debug"'))
        run.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        for _ in range(5):
            run.connect(ports["postgres_port"]).close()
        time.sleep(0.2)
        assert len(run.log()) > before, "debug messages did not appear after SIGHUP"


def broken_reload_changes_nothing():
    text, ports = manual_with()
    with Run(text) as run:
        run.connect(ports["postgres_port"]).close()
        with open(run.config, "w", encoding="ascii") as f:
            f.write("[postgres]\nnonsense = 1\n")
        run.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        run.connect(ports["postgres_port"]).close()
        assert "nonsense" in run.log(), run.log()


def terminate_drains():
    """SIGTERM: a transaction that is open may end; then the server ends with status 0."""
    text, ports = manual_with()
    with Run(text) as run:
        connection = run.connect(ports["postgres_port"])
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (k int)")
        connection.commit()
        connection.close()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(20) == 0, run.log()
    text, ports = manual_with()
    with Run(text) as run:
        connection = run.connect(ports["postgres_port"])
        connection.cursor().execute("SELECT 1")
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        run.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        run.process.wait(20)
        assert time.monotonic() - begun < 10


if __name__ == "__main__":
    if cannot_serve():
        print(cannot_serve())
        sys.exit(77)
    sys.exit(run_tap([manual_is_accepted, data_dir_relative, log_level, postgres_port_and_enabled,
                      hosts, max_connections, rest_port_and_health, metrics_keys,
                      yaml_means_the_same, order_of_sources, disabled_in_conf_d, reload_log_level,
                      broken_reload_changes_nothing, terminate_drains]))
