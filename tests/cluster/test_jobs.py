# SPDX-License-Identifier: Apache-2.0
"""Jobs of real containers, as kubectl makes and shows them."""
import pytest
from machine import IMAGE
from objects import apply, pod

pytestmark = pytest.mark.usefixtures("image")


def job(name, command, policy="Never", **spec):
    template = pod(name, command, {"restartPolicy": policy})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
        "template": {"spec": template["spec"]}, **spec}}


def ended(machine, name, how):
    machine.kubectl("wait", f"job/{name}", f"--for=condition={how}", "--timeout=50s")
    return machine.get("job", name)["status"]


def test_created_by_a_command(machine):
    machine.kubectl("create", "job", "hello", f"--image={IMAGE}", "--", "sh", "-c", "echo from a job")
    status = ended(machine, "hello", "Complete")
    assert status["succeeded"] == 1 and "failed" not in status
    assert machine.kubectl("logs", "job/hello") == "from a job\n"
    name, state, completions = machine.kubectl("get", "job", "hello", "--no-headers").split()[:3]
    assert (name, completions) == ("hello", "1/1")
    machine.kubectl("delete", "job", "hello")
    machine.wait_for("its pod is gone", lambda: not machine.get("pods", "-l", "job-name=hello")["items"])


def test_each_index_knows_itself(machine):
    apply(machine, job("parts", 'test $(hostname) = parts-$JOB_COMPLETION_INDEX && echo $JOB_COMPLETION_INDEX',
                       completions=5, parallelism=2, completionMode="Indexed"))
    status = ended(machine, "parts", "Complete")
    assert status["succeeded"] == 5 and status["completedIndexes"] == "0-4"
    assert sorted(machine.kubectl("logs", "-l", "job-name=parts").split()) == list("01234")


def test_one_that_fails(machine):
    apply(machine, job("broken", "exit 3", backoffLimit=0))
    status = ended(machine, "broken", "Failed")
    assert status["failed"] == 1
    assert "BackoffLimitExceeded" in machine.kubectl("describe", "job", "broken")
