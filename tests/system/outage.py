#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tells for how long a TCP port did not take connections: outage.py ADDRESS PORT DIRECTORY.

Tries every 20 ms.  Makes DIRECTORY/watching once the port has been reached, ends when DIRECTORY/stop is there (or after a
minute), and prints the longest time between two connections that were taken, in milliseconds."""

import os
import socket
import sys
import time

INTERVAL_S = 0.02
ATTEMPT_S = 0.2
LIMIT_S = 60


def reached(address, port):
    try:
        with socket.create_connection((address, port), timeout=ATTEMPT_S):
            return True
    except OSError:
        return False


def main():
    address, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    end = time.monotonic() + LIMIT_S
    last = None
    longest = 0
    while not os.path.exists(f"{directory}/stop") and time.monotonic() < end:
        if reached(address, port):
            now = time.monotonic()
            if last is None:
                open(f"{directory}/watching", "w", encoding="ascii").close()
            else:
                longest = max(longest, now - last)
            last = now
        time.sleep(INTERVAL_S)
    if last is None:
        sys.exit(f"{address}:{port} was never reached")
    print(round(max(longest, time.monotonic() - last) * 1000))


if __name__ == "__main__":
    main()
