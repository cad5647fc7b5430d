# SPDX-License-Identifier: Apache-2.0
"""A whole cluster from `coracle up` for each file of tests, and what is left of it."""
import os
import sys

import pytest
from machine import Machine


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    try:
        m.coracle("up")
        yield m
    finally:
        m.close()


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces and containers: run them as root")
