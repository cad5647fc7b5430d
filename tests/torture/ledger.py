# SPDX-License-Identifier: Apache-2.0
"""What was promised and what was seen, kept outside of the cluster. It knows no network and no clock:
writers tell it what was acknowledged, watchers what they were shown, and it says what cannot be.

An acknowledged write makes the state of its key certain. A write whose answer was lost may have
happened or not: both states are possible until the key is read."""
import threading

ABSENT = None


class Key:
    def __init__(self):
        self.possible = {ABSENT}
        self.revision = None            # of the state, when it is known


class Ledger:
    def __init__(self):
        self.lock = threading.RLock()
        self.keys = {}
        self.revisions = {}             # of acknowledged creates and updates -> (key, value)
        self.newest = 0
        self.wrong = []
        self.acknowledged = self.open = 0

    def fail(self, text):
        with self.lock:
            self.wrong.append(text)

    def floor(self):
        """Taken before a request is sent: its revision must be above."""
        with self.lock:
            return self.newest

    def seen_revision(self, revision, floor, what):
        """A revision that a list, or an acknowledgement, carries."""
        if revision < floor:
            self.fail(f"revision went backward: {what} has {revision}, {floor} was given out before")
        with self.lock:
            self.newest = max(self.newest, revision)

    def acked(self, name, value, revision, floor):
        """A create or update (value) or a deletion (ABSENT, revision None) was answered with success."""
        with self.lock:
            key = self.keys.setdefault(name, Key())
            self.acknowledged += 1
            key.possible, key.revision = {value}, revision
            if revision is None:
                return
            if revision <= floor:
                self.fail(f"revision went backward: {name} got {revision}, {floor} was given out before")
            if revision in self.revisions:
                self.fail(f"revision {revision} was given to {self.revisions[revision]} and to {(name, value)}")
            self.revisions[revision] = (name, value)
            self.newest = max(self.newest, revision)

    def unknown(self, name, value):
        """The answer was lost."""
        with self.lock:
            key = self.keys.setdefault(name, Key())
            self.open += 1
            key.possible.add(value)
            key.revision = None

    def read(self, name, value, revision):
        """The key was read and nothing is on its way to it."""
        with self.lock:
            key = self.keys.setdefault(name, Key())
            if value not in key.possible:
                self.fail(f"{name}: lost or invented: it is {value} at revision {revision}, "
                          f"possible were {sorted(map(str, key.possible))} (last known revision {key.revision})")
            elif key.revision is not None and value is not ABSENT and key.revision != revision:
                self.fail(f"{name}: {value} was acknowledged at revision {key.revision}, now it is at {revision}")
            key.possible, key.revision = {value}, None if value is ABSENT else revision

    def compare(self, listed):
        """All keys against a list (name -> (value, revision)) that was read while nobody wrote."""
        with self.lock:
            for name in self.keys.keys() | listed.keys():
                self.read(name, *listed.get(name, (ABSENT, None)))

    def forget_until(self, revision):
        """What every follower was checked against needs no more memory."""
        with self.lock:
            self.revisions = {r: v for r, v in self.revisions.items() if r > revision}


class Follower:
    """One watch over its restarts, with the state that its events make."""

    def __init__(self, ledger, name):
        self.ledger, self.name = ledger, name
        self.lock = threading.Lock()
        self.state = {}                 # key -> (value, revision)
        self.start = self.last = 0      # nothing between them may be missing
        self.shown = set()
        self.events = self.gone = self.resumed = 0

    def fail(self, text):
        self.ledger.fail(f"watch {self.name}: {text}")

    def listed(self, state, revision):
        with self.lock:
            self.state, self.start, self.last, self.shown = dict(state), revision, revision, set()

    def bookmark(self, revision):
        with self.lock:
            if revision < self.last:
                self.fail(f"bookmark {revision} after {self.last}")
            self.last = max(self.last, revision)

    def event(self, kind, key, value, revision):
        with self.lock:
            self.events += 1
            if revision <= self.last:
                self.fail(f"{kind} {key} at revision {revision} after {self.last}")
            if (kind == "ADDED") == (key in self.state):
                self.fail(f"{kind} {key} at revision {revision}, "
                          f"{'which was there' if key in self.state else 'which was not there'}")
            if kind == "DELETED":
                self.state.pop(key, None)
            else:
                self.state[key] = (value, revision)
                self.shown.add(revision)
            self.last = max(self.last, revision)

    def check(self, listed):
        """Against what a list says, once everything up to its revision was shown."""
        with self.lock, self.ledger.lock:
            for revision, (key, value) in self.ledger.revisions.items():
                if self.start < revision <= self.last and revision not in self.shown:
                    self.fail(f"gap: {key} = {value} at revision {revision} was never shown")
            for key in self.state.keys() | listed.keys():
                if self.state.get(key) != listed.get(key):
                    self.fail(f"shows {key} as {self.state.get(key)}, a list as {listed.get(key)}")
            self.start = self.last
            self.shown.clear()
