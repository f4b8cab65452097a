// SPDX-License-Identifier: Apache-2.0

// The real runtime keeps what every runtime keeps.
#include "node/runtime/container_runtime_contract.h"
#include "node/runtime/lxc_machine_testing.h"

namespace bramble::node {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(Lxc, ContainerRuntimeContract, LxcMachine);

}  // namespace
}  // namespace bramble::node
