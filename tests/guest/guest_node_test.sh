#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A controller and a node, installed from the packages, in a guest: see node/cases.
set -euo pipefail
exec "$(dirname "$(readlink -f "$0")")/guest" run node
