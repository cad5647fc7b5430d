# SPDX-License-Identifier: Apache-2.0
"""A whole cluster from `coracle up` for each file of tests, and what is left of it."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from clients import kubectls
from machine import Machine, busybox_image
from terminal import Follower, Terminal

# What is on the path beside binaries of each version only calls one of those.
KUBECTLS = {name: path for name, path in kubectls().items() if name != "path" or len(kubectls()) == 2}


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
    """test.local/busybox:1 and :2 on that cluster's node."""
    busybox_image(machine.dir / "busybox.tar")
    machine.coracle("image", "import", machine.dir / "busybox.tar")


@pytest.fixture(params=list(KUBECTLS))
def kubectl(request, machine):
    """One of the clients: called it runs to its end, and it can be followed."""
    which = KUBECTLS[request.param]

    def run(*args, **more):
        return machine.kubectl(*args, which=which, **more)

    run.name = request.param.replace(".", "-")
    run.words = lambda *args: machine.kubectl_words(args, which)
    run.follow = lambda *args: Follower(machine, run.words(*args))
    run.terminal = lambda rows, columns, *args: Terminal(
        ["nsenter", f"--net=/run/netns/{machine.name}", *run.words(*args)], rows, columns)
    return run


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces and containers: run them as root")
