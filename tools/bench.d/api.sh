# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench api: reads against nginx serving the same bytes, writes against SQLite.  Sourced by tools/bench.
#
# The controller, nginx (one worker) and wrk (one thread) share the machine; each is measured alone, in turns.

readonly api_rounds=${BRAMBLE_BENCH_TURNS:-3} api_seconds=5 api_clients=32

# What wrk reaches a second, all answers being good: api_wrk URL [WRK-ARGUMENT...].
api_wrk() {
  local url=$1 out
  shift
  out=$(in_host controller wrk -t 1 -c "$api_clients" -d "${api_seconds}s" -H "Authorization: Bearer $api_token" \
    "$url" "$@")
  if grep -q 'Non-2xx\|Socket errors' <<<"$out"; then
    die "wrk $url: $(grep 'Non-2xx\|Socket errors' <<<"$out")"
  fi
  awk '/^Requests\/sec:/ { print $2 }' <<<"$out"
}

# An nginx that serves the files in $api_pages under the paths of the API, with the controller's certificate.
api_nginx() {
  local directory=$CLUSTER_STATE/nginx
  mkdir -p "$directory/pages"
  api_pages=$directory/pages
  cat >"$directory/nginx.conf" <<END
user root;
worker_processes 1;
pid $directory/pid;
error_log $directory/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  sendfile on;
  server {
    listen 172.16.0.1:9443 ssl;
    ssl_certificate $CLUSTER_STATE/controller/state/server.crt;
    ssl_certificate_key $CLUSTER_STATE/controller/state/server.key;
    ssl_protocols TLSv1.3;
    default_type application/json;
    location = /one { alias $api_pages/one; }
    location = /many { alias $api_pages/many; }
  }
}
END
  (host_run controller nginx -c "$directory/nginx.conf") || die "nginx did not start"
}

api_get() {
  in_host controller curl -skf -H "Authorization: Bearer $api_token" "https://172.16.0.1:8443$1"
}

# Reads of one path in turns with nginx: api_reads NAME PATH PAGE.
api_reads() {
  local name=$1 path=$2 page=$3 round
  api_get "$path" >"$api_pages/$page"
  talk "$path: $(stat -c %s "$api_pages/$page") bytes"
  for ((round = 0; round < api_rounds; round++)); do
    api_wrk "https://172.16.0.1:8443$path" >>"$CLUSTER_STATE/$page.ours"
    api_wrk "https://172.16.0.1:9443/$page" >>"$CLUSTER_STATE/$page.nginx"
  done
  row "$name" 1/s "$(median <"$CLUSTER_STATE/$page.ours")" 'nginx, 1 worker, same bytes over TLS' \
    "$(median <"$CLUSTER_STATE/$page.nginx")" 'ratio >= 0.5'
}

api_writes() {
  local round script=$CLUSTER_STATE/post.lua
  cat >"$script" <<'END'
local round, count = "0", 0
function init(args) round = args[1] end
function request()
  count = count + 1
  local body = '{"name": "f' .. round .. '-' .. count ..
    '", "resources": {"cpu_milli": 250, "memory_bytes": 67108864, "disk_bytes": 0, "pids": 100}}'
  return wrk.format("POST", "/v1/flavors", {["Content-Type"] = "application/json",
    ["Authorization"] = wrk.headers["Authorization"]}, body)
end
END
  for ((round = 0; round < api_rounds; round++)); do
    rm -f "$CLUSTER_STATE"/floor.db*
    "$bench_build/bench/bench-sqlite-commit" "$top/controller/store/sql/schema.sql" "$CLUSTER_STATE/floor.db" \
      "$api_seconds" "$api_clients" >"$CLUSTER_STATE/floor.out"
    value writes_per_s "$CLUSTER_STATE/floor.out" >>"$CLUSTER_STATE/floor.writes"
    api_wrk https://172.16.0.1:8443/v1/flavors -s "$script" -- "$round" >>"$CLUSTER_STATE/ours.writes"
  done
  row api.writes 1/s "$(median <"$CLUSTER_STATE/ours.writes")" 'SQLite, 32 such writes a commit' \
    "$(median <"$CLUSTER_STATE/floor.writes")" 'ratio >= 0.5'
}

bench_api() {
  # shellcheck source=tools/bench.d/cluster.sh
  . "$top/tools/bench.d/cluster.sh"
  bench_cluster_up 0
  bench_import_busybox
  api_token=$(bench_token)
  talk 'creating 1,000 containers'
  BRAMBLE_TOKEN=$api_token in_host controller "$top/tools/bench.d/deploy_client.py" 172.16.0.1 8443 fill busybox 1000
  api_nginx
  api_reads api.get_one /v1/containers/fill-0 one
  api_reads api.get_1000 '/v1/containers?limit=1000' many
  api_writes
  bench_cluster_down
}
