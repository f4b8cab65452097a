#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the API that measures how long a container takes from the POST to running.

usage: deploy_client.py HOST PORT one IMAGE ROUNDS         prints "run_ms VALUE" per round
       deploy_client.py HOST PORT many IMAGE COUNT CLIENTS  prints "per_s VALUE"
       deploy_client.py HOST PORT keep IMAGE COUNT CLIENTS  the same, and leaves them running
       deploy_client.py HOST PORT fill IMAGE COUNT          creates stopped containers "fill-N", and waits for nothing

The bearer token is in the environment, BRAMBLE_TOKEN.
"""
import concurrent.futures
import http.client
import json
import os
import ssl
import sys
import threading
import time

WAIT_S = 60
NANO = {"flavor": "nano"}
# So that 50 fit on a node of two cores, of which each may be given out four times.
SMALLEST = {"flavor": "nano", "limits": {"cpu_milli": 50}}


class Client:
    """One keep-alive connection.  The certificate is not checked: this measures on one machine."""

    def __init__(self, host, port):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(host, port, timeout=2 * WAIT_S, context=context)
        self.connection.connect()

    def call(self, method, path, body=None):
        headers = {"Authorization": "Bearer " + os.environ["BRAMBLE_TOKEN"]}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            sys.exit(f"deploy_client: {method} {path}: {response.status} {text.decode()}")
        return json.loads(text) if text else None

    def finish(self, operation):
        """Waits until an operation is over."""
        while operation["state"] in ("pending", "running"):
            operation = self.call("GET", f"/v1/operations/{operation['id']}?wait={WAIT_S}")
        if operation["state"] != "succeeded":
            sys.exit(f"deploy_client: {json.dumps(operation)}")

    def run(self, name, image, size):
        self.finish(self.call("POST", "/v1/containers", {"name": name, "image": image, **size}))

    def delete(self, name):
        self.finish(self.call("DELETE", "/v1/containers/" + name))


def one(client, image, rounds):
    for number in range(rounds):
        name = f"one-{number}"
        start = time.monotonic()
        client.run(name, image, NANO)
        print(f"run_ms {(time.monotonic() - start) * 1000:.3f}")
        client.delete(name)


def fill(client, image, count):
    for number in range(count):
        body = {"name": f"fill-{number}", "image": image, "flavor": "nano", "desired": "stopped"}
        client.call("POST", "/v1/containers", body)


def many(host, port, image, count, clients, keep):
    local = threading.local()

    def mine():
        if not hasattr(local, "client"):
            local.client = Client(host, port)
        return local.client

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        ready = threading.Barrier(clients)
        list(pool.map(lambda _: (mine(), ready.wait()), range(clients)))
        names = [f"many-{number}" for number in range(count)]
        start = time.monotonic()
        size = SMALLEST if keep else NANO
        list(pool.map(lambda name: mine().run(name, image, size), names))
        print(f"per_s {count / (time.monotonic() - start):.2f}")
        if not keep:
            list(pool.map(lambda name: mine().delete(name), names))


def main():
    host, port, verb, image = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    if verb == "one":
        one(Client(host, port), image, int(sys.argv[5]))
    elif verb == "fill":
        fill(Client(host, port), image, int(sys.argv[5]))
    else:
        many(host, port, image, int(sys.argv[5]), int(sys.argv[6]), verb == "keep")


if __name__ == "__main__":
    main()
