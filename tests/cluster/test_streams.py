# SPDX-License-Identifier: Apache-2.0
"""exec, attach, logs, cp and port-forward with every kubectl that the machine has: SPDY from the old ones, WebSockets
from the new ones, SPDY within a WebSocket for port-forward."""
import os
import re

import pytest
from objects import apply, pod, rolled_out, service, wait, workload

SERVE = "echo hello > /tmp/index.html; echo started; exec httpd -f -p 8080 -h /tmp"


@pytest.fixture(scope="module", autouse=True)
def streams(machine, image):
    apply(machine, workload("StatefulSet", "web", 1, SERVE), service("web", 8080),
          pod("echo", "echo ready; while read line; do echo got $line; done", stdin=True),
          pod("again", "if [ -e /e/x ]; then echo second; exec sleep 1000; fi; touch /e/x; echo first; exit 1",
              {"volumes": [{"name": "e", "emptyDir": {}}]}, volumeMounts=[{"name": "e", "mountPath": "/e"}]))
    rolled_out(machine, "sts/web")
    wait(machine, "echo", "{.status.phase}", "Running")


def test_exec(kubectl):
    assert kubectl("exec", "web-0", "--", "cat", "/tmp/index.html") == "hello\n"
    assert "hello" in kubectl("exec", "sts/web", "--", "cat", "/tmp/index.html")
    out = kubectl("exec", "web-0", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert {"out", "err"} <= set(out.split())
    assert kubectl("exec", "-i", "web-0", "--", "wc", "-c", input="x" * 300000).strip() == "300000"
    assert "no-such-program" in kubectl("exec", "web-0", "--", "no-such-program", code=None)
    assert "not found" in kubectl("exec", "no-such-pod", "--", "true", code=1)


def test_exec_in_a_terminal(kubectl):
    terminal = kubectl.terminal(33, 77, "exec", "-it", "web-0", "--", "sh")
    try:
        # What is typed before the shell has its terminal is lost to it.
        terminal.until("# ")
        terminal.type("stty size\r")
        terminal.until("\n33 77\r\n")
        terminal.resize(44, 99)
        # The size follows by a message of its own: asked for until it is there.
        terminal.type("until stty size | grep '44 99'; do sleep 0.05; done\r")
        terminal.until("\n44 99\r\n")
        # One program, which has the terminal when it says so.
        terminal.type("sh -c 'echo begin; exec sleep 1000'\r")
        terminal.until("\nbegin\r\n")
        terminal.type("\x03")
        terminal.until("# ")
        terminal.type("echo code=$?\r")
        terminal.until("\ncode=130\r\n")
        terminal.type("exit 7\r")
        assert terminal.code() == 7
    finally:
        terminal.close()


def test_attach(kubectl):
    with kubectl.follow("attach", "-i", "echo") as attached:
        attached.type("one\n")
        attached.until("got one\n")
        attached.type("two\n")
        attached.until("got two\n")
    assert "got two\n" in kubectl("logs", "echo")


def test_logs(kubectl):
    assert kubectl("logs", "web-0").startswith("started\n")
    assert kubectl("logs", "web-0", "-c", "c", "--since=1h").startswith("started\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z started\n", kubectl("logs", "web-0", "--timestamps", "--limit-bytes=200"))
    assert kubectl("logs", "web-0", "--limit-bytes=4") == "star"
    assert kubectl("logs", "sts/web", "--tail=1").count("\n") == 1
    assert kubectl("logs", "-l", "app=web", "--tail=1").count("\n") == 1
    assert "container none is not valid" in kubectl("logs", "web-0", "-c", "none", code=1)


def test_logs_follow(kubectl, machine):
    with kubectl.follow("logs", "-f", "--tail=1", "web-0") as log:
        log.until("\n")
        for i in range(3):
            machine.kubectl("exec", "web-0", "--", "sh", "-c", f"echo tick {i} > /proc/1/fd/1")
            log.until(f"tick {i}\n")


def test_logs_of_before(kubectl, machine):
    wait(machine, "again", "{.status.containerStatuses[0].restartCount}", "1")
    machine.wait_for("the second run", lambda: kubectl("logs", "again") == "second\n")
    assert kubectl("logs", "again", "--previous") == "first\n"
    assert "previous terminated container" in kubectl("logs", "web-0", "--previous", code=1)


def test_cp(kubectl, tmp_path):
    (tmp_path / "up/sub").mkdir(parents=True)
    (tmp_path / "up/a").write_bytes(os.urandom(200000))
    (tmp_path / "up/sub/b").write_text("deep\n")
    kubectl("exec", "web-0", "--", "rm", "-rf", "/tmp/up")
    kubectl("cp", tmp_path / "up", "web-0:/tmp/up")
    assert kubectl("exec", "web-0", "--", "cat", "/tmp/up/sub/b") == "deep\n"
    kubectl("cp", "default/web-0:/tmp/up", tmp_path / "down")
    assert (tmp_path / "down/a").read_bytes() == (tmp_path / "up/a").read_bytes()
    assert (tmp_path / "down/sub/b").read_text() == "deep\n"
    kubectl("cp", "web-0:/tmp/none", tmp_path / "none", code=None)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("target", ["pod/web-0", "service/web", "statefulset/web"])
def test_port_forward(kubectl, machine, target):
    with kubectl.follow("port-forward", target, ":8080") as forward:
        port = re.search(r"127\.0\.0\.1:(\d+) -> 8080", forward.until("-> 8080\n")).group(1)
        for _ in range(2):
            assert machine.run("curl", "-fsS", "--max-time", "10", f"http://127.0.0.1:{port}/") == "hello\n"


def test_since_leaves_out_what_is_older(machine):
    assert machine.kubectl("logs", "again", "--since=1h") == "second\n"
    machine.wait_for("nothing in the last second", lambda: machine.kubectl("logs", "again", "--since=1s") == "")
