#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks a network from a container, and tells which of them got through.

usage: spoof.py --target NETNS=INTERFACE --bystander NETNS=INTERFACE… --own NETNS=INTERFACE
                --mac MAC --ip IP --target-mac MAC --target-ip IP --gateway IP --node IP -- COMMAND…

COMMAND is `raw-send INTERFACE` in whatever it takes to run it inside of the attacker.  Every attack is one line:
  NAME own=N target=N bystanders=N
how many of its frames were seen at the attacker's own port (--own: they were really sent), at the target's interface,
and at all others.  The exit code is 0 whatever was seen: the caller knows what it should be.
NETNS is a path to a network namespace.
"""

import argparse
import collections
import ctypes
import os
import random
import select
import socket
import struct
import subprocess
import time

BROADCAST = "ff:ff:ff:ff:ff:ff"
ETH_P_ALL = 3
SEED = 20261121
FLOOD = 200
WAIT_S = 0.15

Station = collections.namedtuple("Station", "mac ip")


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return socket.inet_aton(text)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ethernet(source, destination, ether_type, payload):
    return mac(destination) + mac(source) + struct.pack("!H", ether_type) + payload


def arp(source, destination, sender_mac, sender_ip, target_ip, operation=1, hardware=1, lengths=(6, 4), kind=0x0806):
    body = struct.pack("!HHBBH", hardware, 0x0800, *lengths, operation) + mac(sender_mac) + ip(sender_ip)
    return ethernet(source, destination, kind, body + mac(BROADCAST) + ip(target_ip))


def ipv4(source, destination, protocol, payload, fragment=0, identity=1, options=b"", first=None):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", first or 0x40 | words, 0, words * 4 + len(payload), identity, fragment, 64, protocol, 0)
    head += ip(source) + ip(destination) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source_port, destination_port, payload):
    return struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def tcp_syn(source, destination, port, payload):
    head = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 1024, 0, 0)
    pseudo = ip(source) + ip(destination) + struct.pack("!BBH", 0, 6, len(head) + len(payload))
    total = checksum(pseudo + head + payload)
    return head[:16] + struct.pack("!H", total) + head[18:] + payload


def icmp(kind, code, rest, payload):
    head = struct.pack("!BBH", kind, code, 0) + rest + payload
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def dhcp(operation, kind, client, mark, yours="0.0.0.0"):
    body = struct.pack("!BBBBIHH", operation, 1, 6, 0, 7, 0, 0x8000) + ip("0.0.0.0") + ip(yours) + ip("0.0.0.0") * 2
    body += mac(client) + bytes(10) + mark.ljust(64, b"\0") + bytes(128)
    return body + b"\x63\x82\x53\x63" + bytes([53, 1, kind, 54, 4]) + ip("172.16.0.99") + b"\xff"


def ipv6(source, destination, next_header, payload):
    address = lambda text: socket.inet_pton(socket.AF_INET6, text)
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 255) + address(source) + address(destination) + payload


def icmp6(source, destination, kind, body):
    address = lambda text: socket.inet_pton(socket.AF_INET6, text)
    packet = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = address(source) + address(destination) + struct.pack("!II", len(packet), 58)
    return packet[:2] + struct.pack("!H", checksum(pseudo + packet)) + packet[4:]


class Attacks:
    """Each method yields nothing but (name, make): make(mark) gives the attack's frames, each with the mark in it."""

    def __init__(self, own, target, gateway, node):
        self.own, self.target, self.gateway, self.node = own, target, gateway, node
        self.foreign = "02:66:66:66:66:66"
        self.free = gateway.rsplit(".", 1)[0] + ".222"
        self.broadcast = gateway.rsplit(".", 1)[0] + ".255"

    def all(self):
        yield from self.arp()
        yield from self.sources()
        yield from self.fragments()
        yield from self.dhcp()
        yield from self.version6()
        yield from self.ether_types()
        yield from self.management()

    def arp(self):
        me, you = self.own, self.target
        def row(name, *rest, **more):
            return name, lambda mark: [arp(*rest, **more) + mark]
        yield row("arp_reply_for_target", me.mac, BROADCAST, me.mac, you.ip, you.ip, 2)
        yield row("arp_gratuitous_for_gateway", me.mac, BROADCAST, me.mac, self.gateway, self.gateway)
        yield row("arp_gratuitous_reply_for_gateway", me.mac, BROADCAST, me.mac, self.gateway, self.gateway, 2)
        yield row("arp_unicast_reply_for_gateway", me.mac, you.mac, me.mac, self.gateway, you.ip, 2)
        yield row("arp_request_from_gateway", me.mac, BROADCAST, me.mac, self.gateway, you.ip)
        yield row("arp_foreign_mac_inside", me.mac, BROADCAST, self.foreign, me.ip, you.ip)
        yield row("arp_foreign_mac_outside", self.foreign, BROADCAST, me.mac, me.ip, you.ip)
        yield row("arp_probe_for_target", me.mac, BROADCAST, me.mac, "0.0.0.0", you.ip)
        yield row("arp_announces_a_free_address", me.mac, BROADCAST, me.mac, self.free, self.free)
        yield row("arp_reply_from_nobody", me.mac, BROADCAST, me.mac, "0.0.0.0", you.ip, 2)
        yield row("arp_for_the_broadcast_address", me.mac, BROADCAST, me.mac, self.broadcast, you.ip, 2)
        yield row("arp_odd_lengths", me.mac, BROADCAST, me.mac, me.ip, you.ip, 1, lengths=(8, 4))
        yield row("arp_odd_hardware", me.mac, BROADCAST, me.mac, me.ip, you.ip, 1, hardware=6)
        yield row("arp_inverse", me.mac, BROADCAST, me.mac, me.ip, you.ip, 8)
        yield row("rarp", me.mac, BROADCAST, me.mac, me.ip, you.ip, 3, kind=0x8035)
        yield row("arp_as_target_itself", you.mac, BROADCAST, you.mac, you.ip, self.gateway)

    def sources(self):
        me, you = self.own, self.target
        def row(name, source, destination=you.ip, from_mac=me.mac, to_mac=you.mac, body=None, protocol=17, **more):
            def make(mark):
                inner = body(mark) if body else udp(5000, 5001, mark)
                return [ethernet(from_mac, to_mac, 0x0800, ipv4(source, destination, protocol, inner, **more))]
            return name, make
        yield row("ip_from_target", you.ip, self.broadcast, to_mac=BROADCAST)
        yield row("ip_from_gateway", self.gateway)
        yield row("ip_from_a_free_address", self.free)
        yield row("ip_from_outside", "192.0.2.1")
        yield row("ip_from_nobody", "0.0.0.0", "255.255.255.255", to_mac=BROADCAST)
        yield row("ip_from_loopback", "127.0.0.1")
        yield row("ip_from_broadcast", "255.255.255.255")
        yield row("ip_from_multicast", "224.0.0.1")
        yield row("ip_foreign_mac", me.ip, from_mac=self.foreign)
        yield row("ip_as_target_itself", you.ip, self.broadcast, from_mac=you.mac, to_mac=BROADCAST)
        yield row("ip_foreign_mac_and_source", self.free, from_mac=self.foreign)
        yield row("tcp_syn_from_gateway", self.gateway, protocol=6, body=lambda mark: tcp_syn(self.gateway, you.ip, 80, mark))
        yield row("icmp_smurf", you.ip, self.broadcast, to_mac=BROADCAST, protocol=1, body=lambda mark: icmp(8, 0, bytes(4), mark))
        yield row("icmp_redirect_from_gateway", self.gateway, protocol=1,
                  body=lambda mark: icmp(5, 1, ip(me.ip), ipv4(you.ip, "192.0.2.1", 17, udp(1, 2, mark))))
        yield row("ip_options_and_foreign_source", self.free, options=b"\x83\x07\x04" + ip(you.ip) + b"\0")
        yield row("ip_header_that_lies_of_its_length", self.gateway, first=0x4f)
        yield row("ip_of_version_6", self.gateway, first=0x65)
        yield ("mac_flood", lambda mark: [
            ethernet("02:77:%02x:%02x:%02x:%02x" % tuple(random.randrange(256) for _ in range(4)), BROADCAST, 0x0800,
                     ipv4(me.ip, you.ip, 17, udp(1, 2, mark))) for _ in range(FLOOD)])

    def fragments(self):
        me, you = self.own, self.target
        # In two: whoever puts datagrams together before it looks at them must see the whole one too.
        def row(name, source, first, head):
            def make(mark):
                whole = head(mark) + mark
                parts = ((whole[:first], 0x2000), (whole[first:], first // 8))
                return [ethernet(me.mac, you.mac, 0x0800, ipv4(source, you.ip, 17, part, fragment, len(name)))
                        for part, fragment in parts]
            return name, make
        yield row("fragments_from_gateway", self.gateway, 24, lambda mark: udp(53, 5001, mark))
        yield row("tiny_first_fragment_from_gateway", self.gateway, 8, lambda mark: udp(53, 5001, mark))
        yield row("fragmented_dhcp_offer", me.ip, 24, lambda mark: udp(67, 68, mark))
        yield ("later_fragment_alone_from_nobody", lambda mark: [
            ethernet(me.mac, BROADCAST, 0x0800, ipv4(self.free, "255.255.255.255", 17, mark, 0x0003, number))
            for number in (1, 2)] + [
            ethernet(me.mac, BROADCAST, 0x0800, ipv4(self.free, "255.255.255.255", 17, udp(1, 2, mark), 0x2000, 1))])

    def dhcp(self):
        me, you = self.own, self.target
        def row(name, source, destination, to_mac, ports, body, from_mac=me.mac):
            return name, lambda mark: [ethernet(from_mac, to_mac, 0x0800, ipv4(source, destination, 17, udp(*ports, body(mark))))]
        anybody = "255.255.255.255"
        yield row("dhcp_offer", me.ip, anybody, BROADCAST, (67, 68), lambda mark: dhcp(2, 2, you.mac, mark, self.free))
        yield row("dhcp_offer_as_gateway", self.gateway, anybody, BROADCAST, (67, 68), lambda mark: dhcp(2, 2, you.mac, mark))
        yield row("dhcp_ack_to_target", me.ip, you.ip, you.mac, (67, 68), lambda mark: dhcp(2, 5, you.mac, mark, self.free))
        yield row("dhcp_nak", me.ip, anybody, BROADCAST, (67, 68), lambda mark: dhcp(2, 6, you.mac, mark))
        yield row("dhcp_release_of_target", me.ip, self.gateway, BROADCAST, (68, 67), lambda mark: dhcp(1, 7, you.mac, mark))
        yield row("dhcp_discover_foreign_mac", "0.0.0.0", anybody, BROADCAST, (68, 67),
                  lambda mark: dhcp(1, 1, self.foreign, mark), from_mac=self.foreign)
        yield ("dhcp_starvation", lambda mark: [
            ethernet(me.mac, BROADCAST, 0x0800, ipv4("0.0.0.0", anybody, 17, udp(68, 67, dhcp(
                1, 1, "02:88:00:%02x:%02x:%02x" % tuple(random.randrange(256) for _ in range(3)), mark))))
            for _ in range(50)])

    def version6(self):
        me, you = self.own, self.target
        link, nodes, routers = "fe80::66", "ff02::1", "ff02::2"
        def row(name, payload, to_mac="33:33:00:00:00:01"):
            return name, lambda mark: [ethernet(me.mac, to_mac, 0x86dd, payload(mark))]
        advertisement = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
        option = b"\x01\x01" + mac(me.mac)
        yield row("ra", lambda mark: ipv6(link, nodes, 58, icmp6(link, nodes, 134, advertisement + option + mark)))
        yield row("ra_behind_an_extension", lambda mark: ipv6(link, nodes, 0, b"\x3a\0" + b"\x01\x04" + bytes(4)
                  + icmp6(link, nodes, 134, advertisement + mark)))
        yield row("ra_in_a_fragment", lambda mark: ipv6(link, nodes, 44, b"\x3a\0\0\0" + bytes(4)
                  + icmp6(link, nodes, 134, advertisement + mark)))
        yield row("nd_advertisement", lambda mark: ipv6(link, nodes, 58, icmp6(link, nodes, 136, b"\xa0\0\0\0" + bytes(16) + option + mark)))
        yield row("nd_solicitation", lambda mark: ipv6(link, nodes, 58, icmp6(link, nodes, 135, bytes(20) + option + mark)))
        yield row("nd_redirect", lambda mark: ipv6(link, nodes, 58, icmp6(link, nodes, 137, bytes(36) + mark)), you.mac)
        yield row("router_solicitation", lambda mark: ipv6(link, routers, 58, icmp6(link, routers, 133, bytes(4) + mark)))
        yield row("dhcpv6_advertise", lambda mark: ipv6(link, nodes, 17, udp(547, 546, b"\x02\0\0\x01" + mark)))
        yield row("mld_report", lambda mark: ipv6(link, nodes, 58, icmp6(link, nodes, 143, bytes(4) + mark)))
        yield row("udp6", lambda mark: ipv6("2001:db8::1", nodes, 17, udp(1, 2, mark)), you.mac)

    def ether_types(self):
        me, you = self.own, self.target
        inner = lambda mark: struct.pack("!H", 0x0800) + ipv4(me.ip, you.ip, 17, udp(5000, 5001, mark))
        def row(name, ether_type, body, to_mac=BROADCAST):
            return name, lambda mark: [ethernet(me.mac, to_mac, ether_type, body(mark))]
        yield row("vlan_priority_tag", 0x8100, lambda mark: struct.pack("!H", 0) + inner(mark))
        yield row("vlan_tag", 0x8100, lambda mark: struct.pack("!H", 5) + inner(mark))
        yield row("vlan_tag_to_target", 0x8100, lambda mark: struct.pack("!H", 1) + inner(mark), you.mac)
        yield row("qinq", 0x88a8, lambda mark: struct.pack("!HHH", 5, 0x8100, 6) + inner(mark))
        yield row("vlan_in_vlan", 0x8100, lambda mark: struct.pack("!HHH", 1, 0x8100, 1) + inner(mark))
        yield row("old_qinq", 0x9100, lambda mark: struct.pack("!H", 5) + inner(mark))
        yield row("arp_in_a_vlan", 0x8100, lambda mark: struct.pack("!H", 0) + arp(
            me.mac, BROADCAST, me.mac, self.gateway, self.gateway)[12:] + mark)
        bpdu = b"\x42\x42\x03" + bytes(5) + b"\0\0" + mac(me.mac) + bytes(16)
        yield row("bpdu", len(bpdu) + 24, lambda mark: bpdu + mark, "01:80:c2:00:00:00")
        snap = b"\xaa\xaa\x03\x00\x00\x0c"
        yield row("bpdu_per_vlan", 64, lambda mark: snap + b"\x01\x0b" + bytes(35) + mark, "01:00:0c:cc:cc:cd")
        yield row("cdp", 64, lambda mark: snap + b"\x20\0" + bytes(16) + mark, "01:00:0c:cc:cc:cc")
        yield row("snap_ip", 64, lambda mark: b"\xaa\xaa\x03\0\0\0\x08\0" + ipv4(self.gateway, you.ip, 17, udp(1, 2, mark)))
        yield row("pppoe_discovery", 0x8863, lambda mark: b"\x11\x09\0\0\0\x18" + mark)
        yield row("pppoe_session", 0x8864, lambda mark: b"\x11\0\0\x01\0\x1a\0\x21" + mark)
        yield row("mpls", 0x8847, lambda mark: b"\0\x01\x01\x40" + mark)
        yield row("eapol", 0x888e, lambda mark: b"\x01\x01\0\0" + mark)
        yield row("wake_on_lan", 0x0842, lambda mark: b"\xff" * 6 + mac(you.mac) * 16 + mark)
        yield row("experimental_type", 0x88b5, lambda mark: mark)
        yield row("no_type_at_all", 0x0000, lambda mark: mark)

    def management(self):
        me = self.own
        def row(name, destination, port, to_mac=BROADCAST):
            return name, lambda mark: [ethernet(me.mac, to_mac, 0x0800, ipv4(me.ip, destination, 6, tcp_syn(me.ip, destination, port, mark)))]
        yield row("people_port_of_the_controller", self.gateway, 8443)
        yield row("node_port_of_the_controller", self.gateway, 8444)
        yield row("blob_port_of_another_node", self.node, 8445)
        yield row("link_local_metadata", "169.254.169.254", 80)


class Listener:
    """Counts frames with the present mark on an interface of a network namespace."""

    def __init__(self, place):
        netns, interface = place.rsplit("=", 1)
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, open(netns) as away:
            if libc.setns(away.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), f"setns {netns}")
            try:
                self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
                self.socket.bind((interface, ETH_P_ALL))
                self.socket.setblocking(False)
            finally:
                libc.setns(home.fileno(), 0)

    def drain(self, mark):
        count = 0
        while True:
            try:
                data, address = self.socket.recvfrom(65535)
            except BlockingIOError:
                return count
            if mark in data and address[2] != 4:  # PACKET_OUTGOING
                count += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--bystander", action="append", default=[])
    for name in ("mac", "ip", "target-mac", "target-ip", "gateway", "node"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    random.seed(SEED)
    own = Listener(arguments.own)
    target = Listener(arguments.target)
    bystanders = [Listener(place) for place in arguments.bystander]
    attacks = Attacks(Station(arguments.mac, arguments.ip), Station(arguments.target_mac, arguments.target_ip),
                      arguments.gateway, arguments.node)
    everyone = [own, target, *bystanders]
    for number, (name, make) in enumerate(attacks.all()):
        mark = b"!%07d" % (os.getpid() * 100 + number)
        mark = mark[-8:]
        frames = "".join(frame.ljust(60, b"\0").hex() + "\n" for frame in make(mark + mark[::-1]))
        # The attacks before may have taught the bridge that the target is elsewhere.
        target.socket.send(arp(arguments.target_mac, BROADCAST, arguments.target_mac, arguments.target_ip, arguments.target_ip))
        done = subprocess.run(arguments.command, input=frames, text=True, capture_output=True, timeout=30, check=False)
        counts = [0] * len(everyone)
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([one.socket for one in everyone], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                break
            for i, one in enumerate(everyone):
                counts[i] += one.drain(mark)
        if done.returncode != 0:
            print(f"{name} failed: {done.stderr.strip()}", flush=True)
            continue
        print(f"{name} own={counts[0]} target={counts[1]} bystanders={sum(counts[2:])}", flush=True)


if __name__ == "__main__":
    main()
