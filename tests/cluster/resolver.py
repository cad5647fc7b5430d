# SPDX-License-Identifier: Apache-2.0
"""A resolver as a node has one, for the names of the world outside: started in the machine's network, it answers on
UDP what it is told and says on its output what it was asked.

    resolver.py ADDRESS NAME=IP..."""
import socket
import struct
import sys

A = 1
NXDOMAIN = 3


def question(packet):
    """Its name and type, and where it ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack(">H", packet[at + 1:at + 3])[0], at + 5


def answer(packet, names):
    name, kind, end = question(packet)
    found = name in names and kind == A
    flags = 0x8180 | (0 if name in names else NXDOMAIN)
    head = packet[:2] + struct.pack(">HHHHH", flags, 1, found, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 60, 4) + socket.inet_aton(names[name]) if found else b""
    return head + packet[12:end] + record, name


def main(address, *names):
    names = dict(n.split("=") for n in names)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    print("ready", flush=True)
    while True:
        packet, client = sock.recvfrom(4096)
        reply, name = answer(packet, names)
        print(f"asked {name} by {client[0]}", flush=True)
        sock.sendto(reply, client)


if __name__ == "__main__":
    main(*sys.argv[1:])
