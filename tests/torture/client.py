# SPDX-License-Identifier: Apache-2.0
"""Talks to a cluster from outside of it: HTTPS with the admin's certificate, and DNS. Every thread
that uses it first enters the machine's network namespace."""
import base64
import ctypes
import http.client
import json
import os
import re
import socket
import ssl
import struct

from machine import ADDRESS

CLONE_NEWNET = 0x40000000
TIMEOUT = 10
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(machine):
    """The calling thread only."""
    fd = os.open(f"/run/netns/{machine.name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.setns(fd, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {machine.name}")
    finally:
        os.close(fd)


class Refused(Exception):
    """An answer of the server that is not a success."""

    def __init__(self, code, status):
        super().__init__(f"{code} {status.get('reason', '')}: {status.get('message', '')}")
        self.code, self.status = code, status


class Identity:
    """What the kubeconfig says, read once; connections are made from it."""

    def __init__(self, machine):
        text = (machine.data / "kubeconfig").read_text()
        part = {name: base64.b64decode(re.search(rf"{name}: *\"?([A-Za-z0-9+/=]+)", text)[1]) for name in (
            "certificate-authority-data", "client-certificate-data", "client-key-data")}
        pem = machine.dir / "admin.pem"
        pem.write_bytes(part["client-certificate-data"] + part["client-key-data"])
        pem.chmod(0o600)
        self.port = int(re.search(r"server: *\"?https://[^:]+:(\d+)", text)[1])
        self.context = ssl.create_default_context(cadata=part["certificate-authority-data"].decode())
        self.context.load_cert_chain(pem)


class Client:
    """One connection, made again when it broke. Not for two threads at once."""

    def __init__(self, identity):
        self.identity = identity
        self.conn = None

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def send(self, method, path, body=None, kind="application/json", timeout=TIMEOUT):
        if not self.conn:
            self.conn = http.client.HTTPSConnection(ADDRESS, self.identity.port, timeout=timeout,
                                                    context=self.identity.context)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self.conn.request(method, path, data, {"Content-Type": kind} if data is not None else {})
        return self.conn.getresponse()

    def call(self, method, path, body=None, kind="application/json"):
        """The object; Refused is a definite answer, any other exception leaves the outcome open."""
        try:
            answer = self.send(method, path, body, kind)
            data = answer.read()
        except BaseException:
            self.close()
            raise
        try:
            doc = json.loads(data)
        except ValueError:
            doc = {"message": data.decode(errors="replace")}
        if answer.status >= 300:
            raise Refused(answer.status, doc)
        return doc

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, obj):
        return self.call("POST", path, obj)

    def put(self, path, obj):
        return self.call("PUT", path, obj)

    def merge(self, path, obj):
        return self.call("PATCH", path, obj, "application/merge-patch+json")

    def delete(self, path, grace=None):
        return self.call("DELETE", path, None if grace is None else {
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace})

    def watch(self, path, revision):
        """Events until the stream ends; an event of type ERROR raises Refused."""
        sep = "&" if "?" in path else "?"
        try:
            answer = self.send("GET", f"{path}{sep}watch=true&allowWatchBookmarks=true&resourceVersion={revision}",
                               timeout=60)
            if answer.status != 200:
                raise Refused(answer.status, json.loads(answer.read()))
            while line := answer.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(event["object"].get("code", 500), event["object"])
                yield event
        finally:
            self.close()


def resolve(name, server="10.96.0.10", timeout=1.0):
    """The addresses that the cluster's DNS gives for name; None when it does not answer."""
    question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    query = os.urandom(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.sendto(query + struct.pack(">HHHHH", 0x100, 1, 0, 0, 0) + question, (server, 53))
            answer = s.recv(1500)
        except OSError:
            return None
    if answer[:2] != query or answer[3] & 15 == 2:
        return None
    found, at = [], 12 + len(question)
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        while answer[at] and answer[at] < 192:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        kind, _, _, n = struct.unpack(">HHIH", answer[at:at + 10])
        at += 10
        if kind == 1 and n == 4:
            found.append(socket.inet_ntoa(answer[at:at + 4]))
        at += n
    return found
