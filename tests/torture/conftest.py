# SPDX-License-Identifier: Apache-2.0
"""The modules of the torture and of the cluster tests."""
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces and containers: run them as root")
