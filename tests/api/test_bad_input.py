# SPDX-License-Identifier: Apache-2.0
"""What a user gets for input that is wrong: code, reason, field path, and a server that goes on."""
import json
import subprocess

import pytest
from conftest import KUBECTLS

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
PODS = "/api/v1/namespaces/default/pods"


def post(cluster, path, body, *more):
    """(code, answer): curl as the admin."""
    pki = cluster.dir / "data/pki"
    if not any(m.startswith("Content-Type:") for m in more):
        more = ("-H", "Content-Type: application/json", *more)
    out = subprocess.run(
        cluster.nsenter("curl", "-s", "-m", "20", "--cacert", str(pki / "ca.crt"), "--cert", str(pki / "admin.crt"), "--key",
                        str(pki / "admin.key"), "-w", "\n%{http_code}",
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


@pytest.mark.parametrize("which", list(KUBECTLS))
@pytest.mark.parametrize("validate", ["strict", "warn", "ignore"])
def test_unknown_fields_by_kubectl(cluster, which, validate):
    """Newer clients leave it to the server; Debian's looks at the OpenAPI document itself and knows true and false only.
    It does not tell the server, which then warns."""
    name = f"fields-{validate}-{which}".replace(".", "-")
    pod = json.dumps({**POD, "metadata": {"name": name}, "spec": {**POD["spec"], "nonsense": 1}})
    if which == "debian":
        validate = {"strict": "true", "warn": "false", "ignore": "false"}[validate]
    k = {"which": which, "input": pod}
    if validate in ("strict", "true"):
        said = cluster.kubectl("create", "--validate=" + validate, "-f", "-", fail=True, **k)
        assert "nonsense" in said and "unknown field" in said
        assert "NotFound" in cluster.kubectl("get", "pod", name, fail=True)
    else:
        out = cluster.run_kubectl("create", "--validate=" + validate, "-f", "-", **k)
        assert out.stdout == f"pod/{name} created\n"
        assert ('unknown field "spec.nonsense"' in out.stderr) == (validate in ("warn", "false"))
        assert "nonsense" not in cluster.get("pod", name)["spec"]


def test_duplicate_fields_are_named_too(cluster):
    text = json.dumps({**POD, "metadata": {"name": "twice"}}).replace('"name": "twice"', '"name": "once", "name": "twice"')
    code, said = post(cluster, PODS + "?fieldValidation=Strict", text)
    assert code == 400 and 'duplicate field "metadata.name"' in json.loads(said)["message"]


@pytest.mark.parametrize("path,body,more,code,reason", [
    ("/api/v1/namespaces/default/nonsense", "{}", (), 404, "NotFound"),
    ("/apis/nonsense/v1/pods", "{}", (), 404, None),
    ("/api/v1/namespaces/none/pods", json.dumps(POD), (), 404, "NotFound"),
    ("/api/v1/namespaces/default/pods/bad", json.dumps(POD), (), 405, "MethodNotAllowed"),
    (PODS, json.dumps({**POD, "kind": "Secret"}), (), 400, "BadRequest"),
    (PODS, json.dumps({**POD, "apiVersion": "v2"}), (), 400, "BadRequest"),
    (PODS, json.dumps({**POD, "metadata": {"name": "x", "namespace": "other"}}), (), 400, "BadRequest"),
    (PODS, json.dumps({**POD, "metadata": {}}), (), 422, "Invalid"),
    (PODS, json.dumps({**POD, "metadata": {"name": "x", "labels": {"a": 1}}}), (), 400, "BadRequest"),
    (PODS + "?dryRun=Some", json.dumps(POD), (), 422, "Invalid"),
    (PODS + "?fieldValidation=Some", json.dumps(POD), (), 422, "Invalid"),
    (PODS, "a: [", ("-H", "Content-Type: application/yaml"), 400, None),
    (PODS, "x", ("-H", "Content-Type: text/plain"), 415, "UnsupportedMediaType"),
    (PODS, "\0\1\2", ("-H", "Content-Type: application/vnd.kubernetes.protobuf"), 400, "BadRequest"),
    (PODS, json.dumps(POD), ("-H", "Accept: image/png"), 406, "NotAcceptable"),
    ("/api/v1/namespaces/default", "[", ("-X", "PATCH", "-H", "Content-Type: application/json-patch+json"), 400, "BadRequest"),
    (PODS + "/bad", "{}", ("-X", "PATCH", "-H", "Content-Type: application/nonsense"), 415, "UnsupportedMediaType"),
    (PODS + "?labelSelector=a%3D%3D%3Db", "", ("-X", "GET"), 400, "BadRequest"),
    (PODS + "?fieldSelector=nonsense%3D1", "", ("-X", "GET"), 400, "BadRequest"),
    (PODS + "?limit=many", "", ("-X", "GET"), 400, "BadRequest"),
    (PODS + "?continue=nonsense", "", ("-X", "GET"), 400, "BadRequest"),
    (PODS + "?watch=1&resourceVersion=x", "", ("-X", "GET"), 422, "Invalid"),
])
def test_code_and_reason(cluster, path, body, more, code, reason):
    got, text = post(cluster, path, body, *more)
    assert (got, json.loads(text).get("reason") if text.startswith("{") else None) == (code, reason), text


@pytest.mark.parametrize("raw", [
    b"\r\n\r\nNONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /api HTTP/1.1\r\n\r\n",
    b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /api HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 2_000_000 + b"\r\n\r\n", b"\x16\x03\x01\0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100], ids=range(8))
def test_malformed_requests_end_a_connection_and_no_more(cluster, raw):
    program = ("import socket, ssl, sys\n"
               "c = ssl.create_default_context(cafile=sys.argv[1]); c.check_hostname = False\n"
               "s = c.wrap_socket(socket.create_connection(('127.0.0.1', 6443), 20))\n"
               "got = b''\n"
               "try:\n"
               "    s.sendall(sys.stdin.buffer.read())\n"
               "    while data := s.recv(65536): got += data\n"
               "except (ConnectionError, ssl.SSLError): pass\n"
               "sys.stdout.buffer.write(got)\n")
    out = subprocess.run(cluster.nsenter("/usr/bin/python3", "-c", program, str(cluster.dir / "data/pki/ca.crt")),
                         input=raw, capture_output=True, check=True, timeout=30).stdout
    # An answer of the 4xx, HTTP/2's farewell, or nothing; then the end.
    assert out == b"" or out.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505", b"\0\0")), out
    assert post(cluster, PODS + "?dryRun=All", json.dumps(POD))[0] == 201
