# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Part of `tools/bench network`: the controller's DNS and DHCP, as bramble-controller runs them, on a /22, against dnsmasq

# shellcheck source=tools/bench.d/cluster.sh
. "$top/tools/bench.d/cluster.sh"

readonly network_clients=250

# The seconds until all clients have an address: dhcp_seconds HOST.
dhcp_seconds() {
  in_host "$1" "$top/tools/bench.d/dhcp_clients.py" eth0 "$network_clients" 30 | awk -v all="$network_clients" '
    { print ($2 == all ? $1 : 99) }'
}

# Queries answered in a second, from another host: dns_rate HOST SERVER QUERIES.
dns_rate() {
  in_host "$1" dnsperf -s "$2" -d "$3" -l 5 -c 4 2>/dev/null | awk '/Queries per second/ { printf "%.0f\n", $4 }'
}

# dnsmasq with the same names, known to nobody but itself.
plain_dnsmasq() {
  local directory=$CLUSTER_STATE/plain
  mkdir -p "$directory"
  cp "$CLUSTER_STATE/controller/run/dnsmasq/names" "$directory/names"
  network_host plain 172.16.3.250/22
  in_host plain dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-hosts --no-resolv \
    --interface=eth0 --bind-interfaces --except-interface=lo --cache-size=10000 --local=/bramble.internal/ \
    --addn-hosts="$directory/names" >/dev/null 2>&1 &
  plain_pid=$!
  sleep 1
}

services_measure() {
  local number ours plain turn
  command -v dnsperf >/dev/null || die "dnsperf is not installed: tools/setup --test"
  bench_cluster_prepare
  network_switch
  network_host controller 172.16.0.1/22
  network_host laptop
  host_boot controller
  mkdir -p "$CLUSTER_STATE/controller"
  cat >"$CLUSTER_STATE/controller/controller.toml" <<END
state_dir = "$CLUSTER_STATE/controller/state"
run_dir = "$CLUSTER_STATE/controller/run"
[network]
prefix = "172.16.0.0/22"
interface = "eth0"
END
  controller_start || die "the controller did not start: $(tail -n 5 "$CLUSTER_STATE"/log/controller-*.log)"
  cluster_cli cluster init --controller https://172.16.0.1:8443 --state "$CLUSTER_STATE/controller/state" >&2
  cluster_cli network change --guests on --guest-range 172.16.2.0-172.16.2.255 --containers 172.16.1.0-172.16.1.255 \
    --floating 172.16.3.1-172.16.3.99 >&2
  wait_for 10 bench_serves_guests || die "dnsmasq does not serve guests"
  row "network.dhcp_${network_clients}_served" s "$(dhcp_seconds laptop)" "" "" "ours <= 10"

  for number in $(seq 2 9); do
    cluster_cli address reserve "host$number" --address "172.16.0.$number" >/dev/null
  done
  seq 2 9 | sed 's/.*/host&.bramble.internal A/' >"$CLUSTER_STATE/queries"
  in_host laptop ip address add 172.16.3.200/22 dev eth0
  plain_dnsmasq
  ours=0 plain=0
  for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; turn++)); do
    ours=$(printf '%s\n%s\n' "$ours" "$(dns_rate laptop 172.16.0.1 "$CLUSTER_STATE/queries")" | sort -g | tail -n 1)
    plain=$(printf '%s\n%s\n' "$plain" "$(dns_rate laptop 172.16.3.250 "$CLUSTER_STATE/queries")" | sort -g | tail -n 1)
  done
  kill "$plain_pid" 2>/dev/null || true
  row network.dns 1/s "$ours" "dnsmasq by itself" "$plain" "ratio >= 0.8"
  services_down
}

bench_serves_guests() { grep -q '172.16.2.255' "$CLUSTER_STATE/controller/run/dnsmasq/dnsmasq.conf"; }

services_down() {
  bench_cluster_down
}
