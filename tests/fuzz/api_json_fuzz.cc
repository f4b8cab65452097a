// SPDX-License-Identifier: Apache-2.0
// The bodies of people's requests, and what the CLI reads of answers: whatever is taken is written
// as it was taken.
#include "api/address.h"
#include "api/cluster.h"
#include "api/container.h"
#include "api/context.h"
#include "api/flavor.h"
#include "api/floating_ip.h"
#include "api/image.h"
#include "api/key.h"
#include "api/network.h"
#include "api/node.h"
#include "api/node_protocol.h"
#include "api/operation.h"
#include "api/port_forward.h"
#include "api/problem.h"
#include "api/project.h"
#include "api/security_group.h"
#include "api/token.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

// What `read` makes of `value` is, written and read again, the same.
template <typename Read>
void RoundTrip(const json::value& value, const Read& read) {
  const auto object = read(value);
  if (!object.ok()) {
    BRAMBLE_CHECK(!object.status().message().empty(), "a refusal says why");
    return;
  }
  const json::value written = ToJson(*object);
  const auto again = read(written);
  BRAMBLE_CHECK(again.ok(), std::string(again.status().message()).c_str());
  BRAMBLE_CHECK(ToJson(*again) == written.get_object(), "what was written is read as it was");
}

}  // namespace

void Try(std::string_view input) {
  const absl::StatusOr<json::value> value = ParseJson(input);
  if (!value.ok()) {
    return;
  }
  const auto refuse = UnknownKeys::kRefuse;
  RoundTrip(*value,
            [&](const json::value& v) { return api::ContainerSpecFromJson(v, "", refuse); });
  RoundTrip(*value, [](const json::value& v) { return api::ContainerFromJson(v); });
  RoundTrip(*value, [&](const json::value& v) { return api::FlavorFromJson(v, "", refuse); });
  RoundTrip(*value, [](const json::value& v) { return api::FloatingIpFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::ReservationFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::NetworkFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::NodeFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::ImageFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::ClusterFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::OperationFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::EventFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::ProblemFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::ProjectFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::TokenFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::JoinRequestFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::JoinReplyFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::SecurityGroupFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::PortForwardFromJson(v); });
  RoundTrip(*value, [](const json::value& v) { return api::KeyFromJson(v); });
  RoundTrip(*value, [&](const json::value& v) { return api::ContextFromJson(v, "", refuse); });
  (void)api::NetworkPatchFromJson(*value);
  (void)api::AttachFloatingIpFromJson(*value);
}

std::vector<std::string> Seeds() {
  const api::ContainerSpec spec{.image = "busybox:latest",
                                .flavor = "nano",
                                .placement = {.required = {{.key = "disk", .values = {"ssd"}}},
                                              .avoid = {"db"},
                                              .spread = {{"app", "web"}}},
                                .labels = {{"app", "web"}},
                                .environment = {{"A", "b"}},
                                .groups = {"web"},
                                .bandwidth = {.in_bps = 8000}};
  const api::Container container{
      .id = ContainerId::Trusted("c1"),
      .name = ContainerName::Trusted("web"),
      .project = ProjectName::Trusted("default"),
      .spec = spec,
      .status = {.state = api::ContainerState::kRunning, .conditions = {{"swap", "warning", "m"}}}};
  const api::Node node{.id = NodeId::Trusted("n1"), .name = NodeName::Trusted("pi-1")};
  std::vector<std::string> seeds;
  for (const json::object& object :
       {api::ToJson(spec), api::ToJson(container), api::ToJson(node), api::ToJson(api::Problem()),
        api::ToJson(api::JoinRequest()), api::ToJson(api::JoinReply()), api::ToJson(api::Network()),
        api::ToJson(api::Cluster())}) {
    seeds.push_back(json::serialize(object));
  }
  seeds.insert(
      seeds.end(),
      {R"({"parts":[{"type":"text/x-shellscript","name":"a","content_base64":"IyE="}],"user":"a","keys":["a"]})",
       R"({"secrets_base64":{"a":"AA=="},"variables":{"A":"b\n"},"vendor_data_base64":"IyE="})",
       R"({"name":"tiny","resources":{"cpu_milli":100,"memory_bytes":8388608}})",
       R"({"address":"172.16.0.225","container":"web"})",
       R"({"protocol":"tcp","port":8080,"container":"web","target_port":80})",
       R"({"name":"web","rules":[{"direction":"ingress","protocol":"tcp","ports":"80-443","peer":"0.0.0.0/0"}]})",
       R"({"prefix":"172.16.0.0/24","ranges":{"containers":"172.16.0.64-172.16.0.199"}})",
       R"({"a":[[[[[[[[[[[[]]]]]]]]]]]],"b":"\ud83d\ude00\u0000","c":1e308,"d":-0})"});
  return seeds;
}

}  // namespace bramble::fuzz
