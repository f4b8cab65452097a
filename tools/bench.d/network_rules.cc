// SPDX-License-Identifier: Apache-2.0
// What tools/bench network needs of the node: the rules of a container with N security rules, and
// how long it takes to compile them and have the kernel apply them.
//
//   bench-network-rules print N PORT MAC ADDRESS   the rules, for `nft -f -`
//   bench-network-rules time N TURNS               "compile_ms X" and "total_ms X", each a turn;
//                                                  in this network namespace
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/subprocess.h"
#include "node/network/nft_rules.h"

namespace bramble::node {
namespace {

using Clock = std::chrono::steady_clock;

// The rule that lets the measurement through is the last one of N.
PacketPolicy PolicyOf(uint32_t rules, std::string port, MacAddress mac, Ipv4 address) {
  PacketPolicy policy;
  PacketGroup group{.name = "g/default/bench"};
  for (uint32_t i = 0; i + 1 < rules; ++i) {
    const auto number = static_cast<uint16_t>(1 + i % 60'000);
    group.rules.push_back({.protocol = Protocol::kTcp,
                           .ports = PortRange{number, number},
                           .remote = Ipv4Prefix(Ipv4(0x0a000000u + i * 256), 24)});
  }
  group.rules.push_back({.protocol = Protocol::kTcp, .ports = PortRange{5201, 5201}});
  policy.groups.push_back(std::move(group));
  policy.ports.push_back({.interface = std::move(port),
                          .mac = mac,
                          .addresses = {address},
                          .groups = {"g/default/bench"},
                          .open_in = rules == 0,
                          .open_out = true});
  return policy;
}

int Print(uint32_t rules, char** arguments) {
  const absl::StatusOr<MacAddress> mac = MacAddress::Parse(arguments[1]);
  const absl::StatusOr<Ipv4> address = Ipv4::Parse(arguments[2]);
  if (!mac.ok() || !address.ok()) {
    std::fprintf(stderr, "bench-network-rules: no MAC or no address\n");
    return 2;
  }
  const absl::StatusOr<std::string> text =
      CompileNftRules(PolicyOf(rules, arguments[0], *mac, *address));
  if (!text.ok()) {
    std::fprintf(stderr, "%s\n", text.status().ToString().c_str());
    return 1;
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

int Time(uint32_t rules, int turns) {
  const PacketPolicy policy = PolicyOf(rules, "vb-bench", {{2, 0, 0, 0, 0, 1}}, Ipv4(0xac100040u));
  for (int turn = 0; turn < turns; ++turn) {
    const Clock::time_point begin = Clock::now();
    absl::StatusOr<std::string> text = CompileNftRules(policy);
    const Clock::time_point compiled = Clock::now();
    if (!text.ok()) {
      return 1;
    }
    const absl::StatusOr<std::string> done =
        RunCommandForOutput({.argv = {"nft", "-f", "-"}, .input = *std::move(text)});
    if (!done.ok()) {
      std::fprintf(stderr, "%s\n", done.status().ToString().c_str());
      return 1;
    }
    std::printf("compile_ms %.2f\ntotal_ms %.2f\n", Milliseconds(compiled - begin),
                Milliseconds(Clock::now() - begin));
  }
  return 0;
}

int Main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "print" && argc == 6) {
    return Print(static_cast<uint32_t>(std::atoi(argv[2])), argv + 3);
  }
  if (verb == "time" && argc == 4) {
    return Time(static_cast<uint32_t>(std::atoi(argv[2])), std::atoi(argv[3]));
  }
  std::fprintf(stderr, "usage: bench-network-rules print N PORT MAC ADDRESS | time N TURNS\n");
  return 2;
}

}  // namespace
}  // namespace bramble::node

int main(int argc, char** argv) { return bramble::node::Main(argc, argv); }
