"""sessions.py - connections that run statements side by side, for scenarios of several sessions.

PGHOST_PEER and PGPORT_PEER run the same scenarios against a PostgreSQL: that is how they were written.
"""
import os
import threading

import psycopg2

from lumaserver import Server


class Peer:
    """A PostgreSQL that runs already, in the place of our server."""

    def connect(self, **arguments):
        return psycopg2.connect(host=os.environ["PGHOST_PEER"], port=os.environ["PGPORT_PEER"],
                                **({"user": "lumadb", "dbname": "default"} | arguments))

    def start(self):
        return self

    def close(self):
        pass


PEER = "PGPORT_PEER" in os.environ


def server(options=()):
    return Peer() if PEER else Server(options)


class Session:
    """A connection that runs statements as they are, BEGIN and COMMIT among them."""

    def __init__(self, of, **arguments):
        self.connection = of.connect(**arguments)
        self.connection.autocommit = True
        self.thread = self.failed = self.result = None

    def run(self, text):
        cursor = self.connection.cursor()
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def fails(self, text, sqlstate):
        try:
            got = self.run(text)
        except psycopg2.Error as error:
            assert error.pgcode == sqlstate, f"{text}: {error.pgcode} {error}"
            return error
        raise AssertionError(f"{text}: answered {got}, wanted error {sqlstate}")

    def begin_run(self, text, patience_s=0.3):
        """Starts a statement that may have to wait; True: it does."""
        self.failed = self.result = None

        def work():
            try:
                self.result = self.run(text)
            except psycopg2.Error as error:
                self.failed = error

        self.thread = threading.Thread(target=work)
        self.thread.start()
        self.thread.join(patience_s)
        return self.thread.is_alive()

    def end_run(self):
        self.thread.join(20)
        assert not self.thread.is_alive(), "still waiting"
        if self.failed:
            raise self.failed
        return self.result

    def close(self):
        self.connection.close()
