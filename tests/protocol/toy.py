"""toy.py - starts tests/protocol/toyserver with a frontend, and counts TAP."""
import os
import subprocess
import sys
import traceback

SOURCE = os.environ.get("LUMA_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("LUMA_BUILD_DIR") or os.path.join(SOURCE, "build")


class Toy:
    """A server with the toy language behind one frontend."""

    def __init__(self, module, *options):
        server = os.path.join(BUILD, "tests", "protocol", "toyserver")
        path = os.path.join(BUILD, "modules.d", f"frontend-{module}.so")
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([server, path, "port=0", *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("port "), f"the server did not start: {line}"
        self.port = int(line.split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        assert status == 0, f"the server ended with {status}"

    def alive(self):
        return self.process.poll() is None


def run(tests):
    """Runs them one by one: TAP on standard output; exits with 1 after a failure."""
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            remark = test()
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        else:
            print(f"ok {number} - {name}" + (f" # {remark}" if remark else ""))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
