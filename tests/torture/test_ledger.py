# SPDX-License-Identifier: Apache-2.0
"""The checker finds what it is for: each case breaks one promise on purpose."""
import pytest
from ledger import ABSENT, Follower, Ledger


def wrote(ledger, key, value, revision):
    ledger.acked(key, value, revision, ledger.floor())


def test_what_is_allowed():
    ledger = Ledger()
    wrote(ledger, "a", "1", 10)
    ledger.unknown("a", "2")
    ledger.read("a", "2", 12)           # it had happened after all
    ledger.unknown("a", ABSENT)
    ledger.read("a", "2", 12)           # it had not
    wrote(ledger, "a", ABSENT, None)
    ledger.compare({})
    assert not ledger.wrong


def lost(ledger):
    wrote(ledger, "a", "1", 10)
    wrote(ledger, "a", "2", 11)
    ledger.compare({"a": ("1", 10)})


def vanished(ledger):
    wrote(ledger, "a", "1", 10)
    ledger.compare({})


def came_back(ledger):
    wrote(ledger, "a", "1", 10)
    wrote(ledger, "a", ABSENT, None)
    ledger.compare({"a": ("1", 10)})


def invented(ledger):
    ledger.compare({"b": ("1", 10)})


def moved(ledger):
    wrote(ledger, "a", "1", 10)
    ledger.compare({"a": ("1", 12)})


def reused(ledger):
    ledger.acked("a", "1", 10, 5)
    ledger.acked("b", "1", 10, 5)


def backward(ledger):
    wrote(ledger, "a", "1", 10)
    wrote(ledger, "b", "1", 9)


def backward_list(ledger):
    wrote(ledger, "a", "1", 10)
    ledger.seen_revision(9, ledger.floor(), "a list")


def gap(ledger):
    f = Follower(ledger, "w")
    f.listed({}, 5)
    wrote(ledger, "a", "1", 10)
    wrote(ledger, "a", "2", 11)
    f.event("ADDED", "a", "2", 11)
    f.check({"a": ("2", 11)})


def silent(ledger):
    f = Follower(ledger, "w")
    f.listed({"a": ("1", 3)}, 5)
    f.bookmark(20)
    f.check({})


def twice(ledger):
    f = Follower(ledger, "w")
    f.listed({}, 5)
    f.event("ADDED", "a", "1", 10)
    f.event("MODIFIED", "a", "1", 10)


def unheralded(ledger):
    f = Follower(ledger, "w")
    f.listed({}, 5)
    f.event("MODIFIED", "a", "1", 10)


@pytest.mark.parametrize("broken,text", [
    (lost, "lost or invented"), (vanished, "lost or invented"), (came_back, "lost or invented"),
    (invented, "lost or invented"), (moved, "was acknowledged at revision 10"), (reused, "revision 10 was given to"),
    (backward, "went backward"), (backward_list, "went backward"), (gap, "gap"), (silent, "a list as None"),
    (twice, "after 10"), (unheralded, "was not there")])
def test_what_is_found(broken, text):
    ledger = Ledger()
    broken(ledger)
    assert len(ledger.wrong) == 1 and text in ledger.wrong[0], ledger.wrong
