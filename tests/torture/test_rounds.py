# SPDX-License-Identifier: Apache-2.0
"""A hundred rounds of crash torture, ten to a case, on one cluster; then what is left of its pods while it
runs, and of itself when it is down. The seed is the same each time; tests/torture/run takes others."""
import pytest
from rounds import Torture, fixture, in_machine

SEED, BLOCKS, ROUNDS = 20261128, 10, 10


torture = fixture(Torture, SEED)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_rounds(torture, block):
    """Of the seed's sequence: a failed block leaves the others on a cluster that is suspect."""
    for _ in range(ROUNDS):
        in_machine(torture, torture.one)


def test_nothing_is_left_of_pods_that_went(torture):
    in_machine(torture, torture.rest)


def test_each_part_was_killed(torture):
    assert all(torture.counts.values()), torture.figures()
    assert torture.ledger.acknowledged > 0 and all(f.events for f in torture.followers), torture.figures()
