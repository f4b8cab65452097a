// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/fake_runtime.h"

#include "node/runtime/container_runtime_contract.h"

namespace bramble::node {
namespace {

class FakeFixture {
 public:
  static const char* Unfit() { return nullptr; }
  FakeFixture() { RestartAgent(); }

  asio::io_context& loop() { return loop_; }
  ContainerRuntime& runtime() { return *runtime_; }
  ContainerAccess& access() { return *runtime_; }
  RuntimeSpec Spec(const std::string& id) {
    RuntimeSpec spec;
    spec.id = ContainerId::Parse(id).value();
    spec.hostname = id;
    spec.image_digest = std::string(64, 'a');
    return spec;
  }
  void RestartAgent() { runtime_ = std::make_unique<FakeRuntime>(loop_, machine_); }

 private:
  asio::io_context loop_;
  std::shared_ptr<FakeMachine> machine_ = std::make_shared<FakeMachine>();
  std::unique_ptr<FakeRuntime> runtime_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, ContainerRuntimeContract, FakeFixture);

}  // namespace
}  // namespace bramble::node
