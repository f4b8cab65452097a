#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many DHCP clients at once on one interface: dhcp_clients.py INTERFACE COUNT DEADLINE_S.

Each has a MAC address of its own, discovers, takes the first offer, and says again every 2 s what was not answered
(RFC 2131, section 4.1).  Prints the seconds until the last one has its address, and how many got one; exits with 1
when not all did, or two got the same.
"""
import os
import select
import socket
import struct
import sys
import time

ETH_IP = 0x0800
COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
AGAIN_S = 2.0


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(mac, transaction, kind, options=b""):
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16) + mac + bytes(10 + 64 + 128)
    bootp += COOKIE + bytes([53, 1, kind]) + options + b"\xff"
    bootp = bootp.ljust(300, b"\0")
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\xff" * 6 + mac + struct.pack("!H", ETH_IP) + head + udp


def options_of(data):
    found, at = {}, 0
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


class Client:
    def __init__(self, number):
        self.mac = b"\x02\xbe" + struct.pack("!I", number)
        self.transaction = 0x1000000 + number
        self.address = None
        self.message = frame(self.mac, self.transaction, DISCOVER)
        self.again = 0.0

    def take(self, kind, address, options):
        if kind == OFFER and self.message is not None and self.address is None and 54 in options:
            asked = bytes([50, 4]) + address + bytes([54, 4]) + options[54]
            self.message = frame(self.mac, self.transaction, REQUEST, asked)
            self.again = 0.0
        elif kind == ACK and self.address is None:
            self.address = address
            self.message = None


def main():
    interface, count, deadline = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_IP))
    wire.bind((interface, ETH_IP))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    clients = {c.transaction: c for c in (Client(n) for n in range(1, count + 1))}
    begin = time.monotonic()
    while time.monotonic() < begin + deadline and any(c.address is None for c in clients.values()):
        now = time.monotonic()
        for client in clients.values():
            if client.message is not None and now >= client.again:
                wire.send(client.message)
                client.again = now + AGAIN_S
        while select.select([wire], [], [], 0.005)[0]:
            data = wire.recv(2048)
            if len(data) < 14 + 20 + 8 + 240 or data[23] != 17 or data[34:38] != b"\x00\x43\x00\x44":
                continue
            bootp = data[42:]
            client = clients.get(struct.unpack("!I", bootp[4:8])[0])
            options = options_of(bootp[240:])
            if client is not None and 53 in options:
                client.take(options[53][0], bootp[16:20], options)
    took = time.monotonic() - begin
    addresses = [c.address for c in clients.values() if c.address is not None]
    print("%.2f %d" % (took, len(addresses)))
    return 0 if len(addresses) == count and len(set(addresses)) == count else 1


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
