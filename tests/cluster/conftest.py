# SPDX-License-Identifier: Apache-2.0
"""A whole cluster from `coracle up` for each file of tests, and what is left of it."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from machine import Machine, busybox_image


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    try:
        m.coracle("up")
        yield m
    finally:
        m.close()


@pytest.fixture(scope="module")
def image(machine):
    """test.local/busybox:1 on that cluster's node."""
    busybox_image(machine.dir / "busybox.tar")
    machine.coracle("image", "import", machine.dir / "busybox.tar")


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces and containers: run them as root")
