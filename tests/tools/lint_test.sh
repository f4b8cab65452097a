#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/dev/lint refuses each fragment that breaks a rule, and takes the one beside it that does not.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"

tree=
readonly distribution=debian  # so that this file names no host itself

# Begins a new tree.
new_tree() {
  tree=$scratch/tree
  rm -rf "$tree"
  mkdir -p "$tree"
}

# Writes a C++ file of the tree: the SPDX line, then what is on stdin.
file() { # path
  mkdir -p "$tree/$(dirname "$1")"
  {
    echo '// SPDX-License-Identifier: Apache-2.0'
    [[ $1 != *.h ]] || echo '#pragma once'
    cat
  } >"$tree/$1"
}

cmake_file() { # path
  mkdir -p "$tree/$(dirname "$1")"
  { echo '# SPDX-License-Identifier: Apache-2.0'; cat; } >"$tree/$1"
}

lint() { "$BRAMBLE_SOURCE/tools/dev/lint" --root "$tree" --rules-only; }

# One .cc file with this text is refused by the rule.
refused() { # rule path text
  new_tree
  file "$2" <<<"$3"
  expect_failure "$1 refuses: $3" "^$2:[0-9]+: \[$1\]" lint
}

# It is not refused by the rule, whatever else is said of it.
taken() { # rule path text
  local output
  new_tree
  file "$2" <<<"$3"
  output=$(lint 2>&1) || true
  if grep -Fq "[$1]" <<<"$output" || ! grep -Eq '^lint: .* complaints$' <<<"$output"; then
    fail "$1 refuses what is right: $3: $output"
  else
    pass
  fi
}

test_directions() {
  refused include-direction node/agent/a.cc '#include "controller/model/records.h"'
  refused include-direction controller/rest/a.cc '#include "node/agent/agent.h"'
  refused include-direction base/a.cc '#include "api/node.h"'
  refused include-direction api/a.cc '#include "controller/seams.h"'
  refused include-direction tools/bramble/a.cc '#include "controller/seams.h"'
  taken include-direction node/agent/a.cc '#include "api/node.h"'
  taken include-direction tests/integration/a.cc '#include "controller/seams.h"'
  taken include-direction tools/bench/a.cc '#include "controller/seams.h"'
}

test_purity() {
  local effect
  for effect in '<thread>' '<fstream>' '<boost/asio/io_context.hpp>' '<sqlite3.h>' '"base/asio.h"' '<lxc/lxccontainer.h>' \
    '<gpiod.h>' '<systemd/sd-daemon.h>'; do
    refused include-pure controller/scheduler/a.cc "#include $effect"
    taken include-pure controller/rest/a.cc "#include $effect"
  done
  refused include-pure node/health/fan_state.h '#include <fstream>'
  refused clock controller/reconcile/a.cc 'auto now = std::chrono::steady_clock::now();'
  taken clock controller/main.cc 'auto now = std::chrono::steady_clock::now();'

  new_tree
  file base/inner.h <<<'#include <boost/asio/io_context.hpp>'
  file controller/model/a.cc <<<'#include "base/inner.h"'
  expect_failure "by way of another header" 'controller/model/a.cc:2: \[include-pure\].*by way of base/inner.h' lint
}

test_vendors() {
  refused include-vendor node/agent/a.cc '#include <lxc/lxccontainer.h>'
  refused include-vendor controller/rest/a.cc '#include <sqlite3.h>'
  refused include-vendor node/agent/a.cc '#include <gpiod.h>'
  taken include-vendor node/runtime/lxc_container.cc '#include <lxc/lxccontainer.h>'
  taken include-vendor controller/store/sqlite_store.cc '#include <sqlite3.h>'
}

test_co_await() {
  refused co-await node/a.cc 'void F() { co_await Call(Options{.a = 1}); }'
  refused co-await node/a.cc 'void F() { co_await lane.Run([x] { return x; }); }'
  refused co-await node/a.cc 'void F() { Use(co_await Call(), Options{1}); }'
  refused co-await node/a.cc $'void F() {\n  if (!(co_await Call(\n    {1})).ok()) {\n  }\n}'
  refused co-await base/a.cc 'void F() { BRAMBLE_CO_ASSIGN_OR_RETURN(auto x, co_await Call(std::string{})); }'
  taken co-await node/a.cc 'void F() { if (co_await Call()) { return; } }'
  taken co-await node/a.cc 'void F() { while ((co_await Call()).ok()) { int x[2] = {1, 2}; } }'
  taken co-await node/a.cc 'void F() { auto [a, b] = co_await Call("[{"); int c{1}; }  // co_await {'
}

test_co_await_arm() {
  refused co-await-arm node/a.cc 'void F() { auto x = ok ? co_await Call() : none; }'
  refused co-await-arm node/a.cc $'void F() {\n  auto x = ok ? none\n : co_await Call(); }'
  taken co-await-arm node/a.cc 'void F() { auto x = (co_await Call()) ? 1 : 2; auto y = ok ? 1 : 2; co_await Call(); }'
}

test_co_await_operand() {
  refused co-await-operand node/a.cc 'void F() { if (ready && (co_await Call()).ok()) { return; } }'
  refused co-await-operand node/a.cc 'void F() { if ((co_await Call()).ok() || done) { return; } }'
  refused co-await-operand node/a.cc $'void F() {\n  const bool x = a ||\n      co_await Call(); }'
  refused co-await-operand node/a.cc 'void F() { while (!(co_await Call()) && more) { Step(); } }'
  taken co-await-operand node/a.cc 'void F() { if (a && b) { co_await Call(); } }'
  taken co-await-operand node/a.cc 'void F() { bool x = a || b; co_await Call(a && b); }'
  taken co-await-operand node/a.cc 'void F() { auto&& x = co_await Call(); if (x && y) { return; } }'
  taken co-await-operand node/a.cc 'void F(T&& t) { co_await Call(); }'
  taken co-await-operand node/a.cc 'void F() { if (a || b) co_await Call(); }'
}

test_coroutines() {
  refused detached node/a.cc 'void F() { asio::co_spawn(loop, Task(), asio::detached); }'
  refused lambda-coroutine node/a.cc 'auto f = [this]() -> asio::awaitable<void> { co_return; };'
  taken lambda-coroutine node/a.cc 'auto f = [this]() -> asio::awaitable<void> { return Run(); };'
  taken lambda-coroutine node/a.cc 'auto f = []() -> asio::awaitable<void> { co_return; };'
  refused coroutine-parameters node/a.cc 'asio::awaitable<absl::Status> Stop(const std::string& name);'
  refused coroutine-parameters node/a.cc 'asio::awaitable<absl::Status> Stop(int a, std::string_view name) { co_return; }'
  taken coroutine-parameters node/a.cc 'asio::awaitable<absl::StatusOr<std::vector<int>>> Stop(std::string name);'
  refused threads node/a.cc 'std::mutex lock;'
  taken threads base/a.cc 'std::mutex lock;'
}

test_words() {
  refused names node/a.cc 'class ContainerManager {};'
  refused names node/a.cc 'struct StoreImpl {};'
  refused names node/a.cc 'class BaseRuntime {};'
  taken names node/a.cc 'class LxcRuntime {};  // no Manager'
  refused file-name node/string_util.cc 'int x;'
  refused throw node/a.cc 'void F() { throw 1; }'
  taken throw node/a.cc 'const char* text = "throw it away";'
  refused sleep node/a_test.cc 'void F() { std::this_thread::sleep_for(1s); }'
  refused todo node/a.cc '// TODO: later'
  taken todo node/a.cc '// TODO(#12): later'
  refused size node/a.cc "$(printf 'int x;\n%.0s' $(seq 601))"
  refused registry node/a.cc "// from deb.${distribution}.org"
  taken throw node/a.cc $'// lint: allow(throw) the library asks for it\nvoid F() { throw 1; }'
}

test_licence() {
  new_tree
  mkdir -p "$tree/node"
  echo 'int x;' >"$tree/node/a.cc"
  expect_failure "no SPDX" 'node/a.cc:1: \[spdx\]' lint
  printf '#!/usr/bin/env bash\necho\n' >"$tree/run"
  expect_failure "no SPDX in a script" 'run:2: \[spdx\]' lint
}

two_targets() { # DEPS of the second
  new_tree
  file base/a.h <<<'int a();'
  file node/b.cc <<<'#include "base/a.h"'
  cmake_file base/CMakeLists.txt <<<'bramble_library(NAME base HDRS a.h DEPS absl::status)'
  cmake_file node/CMakeLists.txt <<<"bramble_library(NAME node SRCS b.cc DEPS $1)"
}

test_targets() {
  two_targets Boost::json
  expect_failure "an include that DEPS does not grant" 'node/b.cc:2: \[deps\] .*bramble::base in the DEPS of node' lint
  two_targets bramble::base
  expect_success "an include that DEPS grants" lint
  two_targets bramble::base
  cmake_file base/CMakeLists.txt <<<'bramble_library(NAME base DEPS absl::status)'
  expect_failure "a header of no target" "\[deps\].*no target's HDRS" lint
  two_targets bramble::base
  file node/orphan.cc <<<'int x;'
  expect_failure "a source of no target" "node/orphan.cc:1: \[deps\] no target's SRCS" lint
}

test_outer_edge() {
  two_targets bramble::base
  mkdir -p "$tree/tools/dev/lint.d"
  echo 'base absl::status' >"$tree/tools/dev/lint.d/outer_edge"
  expect_success "the edge as committed" lint
  cmake_file base/CMakeLists.txt <<<'bramble_library(NAME base HDRS a.h DEPS absl::status Boost::json)'
  expect_failure "a new dependency of base" '\[outer-edge\] .base Boost::json. is new' lint
}

test_directions
test_purity
test_vendors
test_co_await
test_co_await_arm
test_co_await_operand
test_coroutines
test_words
test_licence
test_targets
test_outer_edge
end_of_test
