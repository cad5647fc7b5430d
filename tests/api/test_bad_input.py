# SPDX-License-Identifier: Apache-2.0
"""What a user gets for input that is wrong: code, reason, field path, and a server that goes on."""
import json
import subprocess

import pytest

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
PODS = "/api/v1/namespaces/default/pods"


def post(cluster, path, body, *more):
    """(code, answer): curl as the admin."""
    pki = cluster.dir / "data/pki"
    out = subprocess.run(
        cluster.nsenter("curl", "-s", "-m", "20", "--cacert", str(pki / "ca.crt"), "--cert", str(pki / "admin.crt"), "--key",
                        str(pki / "admin.key"), "-H", "Content-Type: application/json", "-w", "\n%{http_code}",
                        "--data-binary", "@-", *more, f"https://127.0.0.1:6443{path}"),
        input=body, text=True, capture_output=True, check=False).stdout
    text, _, code = out.rpartition("\n")
    return int(code), text


def test_a_missing_field_is_named(cluster):
    bad = json.loads(json.dumps(POD))
    del bad["spec"]["containers"][0]["image"]
    code, text = post(cluster, PODS, json.dumps(bad))
    status = json.loads(text)
    assert (code, status["reason"]) == (422, "Invalid")
    cause = status["details"]["causes"][0]
    assert (cause["field"], cause["reason"]) == ("spec.containers[0].image", "FieldValueRequired")


@pytest.mark.parametrize("mode,code", [("Strict", 400), ("Warn", 201), ("Ignore", 201)])
def test_unknown_fields(cluster, mode, code):
    pod = {**POD, "metadata": {"name": "unknown-" + mode.lower()}, "nonsense": 1}
    got, text = post(cluster, f"{PODS}?fieldValidation={mode}", json.dumps(pod), "-i")
    assert got == code
    assert ('unknown field "nonsense"' in text.replace("\\", "")) == (mode != "Ignore")
    assert ("warning: 299" in text.lower()) == (mode == "Warn")


@pytest.mark.parametrize("body", ["{", "[]", "null", '"x"', '{"kind":1}'])
def test_malformed_bodies(cluster, body):
    code, text = post(cluster, PODS, body)
    assert code == 400 and json.loads(text)["kind"] == "Status"


def test_an_oversized_body(cluster):
    pod = {**POD, "metadata": {"name": "big", "annotations": {"a": "x" * 5_000_000}}}
    for protocol in ("--http1.1", "--http2"):
        code, text = post(cluster, PODS, json.dumps(pod), protocol, "-H", "Expect:")
        assert code == 413 and json.loads(text)["reason"] == "RequestEntityTooLarge"
    assert "RequestEntityTooLarge" in cluster.kubectl("create", "--validate=false", "-f", "-", input=json.dumps(pod),
                                                      fail=True)      # HTTP/2
    assert post(cluster, PODS + "?dryRun=All", json.dumps(POD))[0] == 201
