"""segment_files.py - `lumadb segment` on the files of a real store: what it says, and that it finds damage."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import BUILD, PROGRAM, Server, serve_tap  # noqa: E402


def segment(*arguments):
    return subprocess.run([PROGRAM, "segment", "--conf-dir", os.path.join(BUILD, "conf.d"),
                           *arguments], capture_output=True, text=True, check=False)


def stored(server):
    """A table of documents and numbers, in segments; the server is stopped."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("""create table t as select i as id, i / 100.0::float8 as f,
            jsonb_build_object('city', 'city ' || i % 7, 'n', i, 'tags', jsonb_build_array(i % 3)) as doc
            from generate_series(1, 5000) i""")
        connection.commit()
        connection.autocommit = True
        cursor.execute("checkpoint")
    server.stop()
    files = glob.glob(os.path.join(server.dir, "data", "**", "*.segment"), recursive=True)
    assert files, "no segment was written"
    return files


def a_segment_is_described_and_verified():
    with Server() as server:
        files = stored(server)
        said = "".join(segment(file).stdout for file in files)
        for wanted in ("5000 rows", "column 3 city", "tags[0]", "[city 0 .. city 6]",
                       "alp"):
            assert wanted in said, f"{wanted!r} is not in:\n{said}"
        for file in files:
            done = segment("--verify", file)
            assert done.returncode == 0 and "is sound" in done.stdout, done.stderr


def damage_is_found_wherever_it_is():
    with Server() as server:
        files = stored(server)
        largest = max(files, key=os.path.getsize)
        bytes_count = os.path.getsize(largest)
        described = segment(largest).stdout
        assert described
        found = 0
        for at in range(64, bytes_count, bytes_count // 40 + 1):
            with open(largest, "r+b") as f:
                f.seek(at)
                old = f.read(1)
                f.seek(at)
                f.write(bytes([old[0] ^ 0x10]))
            done = segment("--verify", largest)
            # Zeros between chunks are nobody's.
            if done.returncode != 0:
                assert "segment" in done.stderr, done.stderr
                found += 1
            with open(largest, "r+b") as f:
                f.seek(at)
                f.write(old)
        assert found >= 36, f"only {found} of 40 damages were found"
        assert segment("--verify", largest).returncode == 0


if __name__ == "__main__":
    sys.exit(serve_tap([a_segment_is_described_and_verified, damage_is_found_wherever_it_is]))
