// SPDX-License-Identifier: Apache-2.0
// What people write in one word: conditions on labels, tokens, addresses, rules, sizes.  Whatever
// is taken is written in a form that is taken for the same.
#include "api/address.h"
#include "api/container.h"
#include "api/image.h"
#include "api/network.h"
#include "api/public_key.h"
#include "api/security_group.h"
#include "api/token.h"
#include "base/ip.h"
#include "base/units.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

template <typename Parse>
void SameAgain(std::string_view input, const Parse& parse) {
  if (const auto value = parse(input); value.ok()) {
    const auto again = parse(value->str());
    BRAMBLE_CHECK(again.ok() && again->str() == value->str(), "what is written is taken");
  }
}

}  // namespace

void Try(std::string_view input) {
  SameAgain(input, [](std::string_view text) { return Ipv4::Parse(text); });
  SameAgain(input, [](std::string_view text) { return Ipv4Prefix::Parse(text); });
  SameAgain(input, [](std::string_view text) { return Ipv4Interface::Parse(text); });
  SameAgain(input, [](std::string_view text) { return HostPort::Parse(text, 8444); });
  SameAgain(input, [](std::string_view text) { return api::ParsePublicKey(text); });
  if (const auto term = api::ParseLabelTerm(input); term.ok()) {
    const auto again = api::ParseLabelTerm(api::ToString(*term));
    BRAMBLE_CHECK(again.ok() && api::ToString(*again) == api::ToString(*term),
                  "a condition is read as it is written");
  }
  if (const auto token = api::ParseJoinToken(input); token.ok()) {
    BRAMBLE_CHECK(api::ParseJoinToken(api::FormatJoinToken(*token)).ok(), "a token is one");
  }
  if (const auto size = ParseBytes(input); size.ok()) {
    BRAMBLE_CHECK(size->count >= 0, "no size is negative");
  }
  if (const auto cpu = ParseCpu(input); cpu.ok()) {
    BRAMBLE_CHECK(cpu->count >= 0, "no share is negative");
  }
  (void)api::ParseImageReference(input);
  (void)api::ParseIpRange(input);
  (void)api::ParseSecurityRule(input);
  (void)api::ParsePortsLabel(input);
  (void)api::ParseMac(input);
  (void)ParseTime(input);
}

std::vector<std::string> Seeds() {
  return {"disk=ssd",
          "disk in ssd|nvme",
          "disk not in a|b",
          "!disk",
          "rack!=a",
          api::FormatJoinToken({.controller_key_sha256 = std::string(32, 'k'),
                                .id = TokenId::Trusted("t1"),
                                .secret = std::string(16, 's'),
                                .addresses = {"172.16.0.1:8444"}}),
          "172.16.0.1",
          "172.16.0.0/24",
          "172.16.0.64-172.16.0.199",
          "pi.local:8443",
          "[::1]:8443",
          "64MiB",
          "1.5GiB",
          "250m",
          "0.5",
          "busybox:latest",
          "in tcp 80-443 from 10.0.0.0/8",
          "80,443/tcp,53/udp",
          "02:42:ac:10:00:40",
          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFehgrrWBv7nn74gfCImceREzxN1bo4x1Ew3NdtWKAWQ"
          " ada@lab",
          "ecdsa-sha2-nistp256 "
          "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBF5BqkNKypeqDIWaohiHC82lynQEsCavsoF2"
          "l7udrnvqp"
          "O7yEXMVliFWuhq5aUlDPbi1XT2fhRNoS+NX8NeQR8E=",
          "2026-11-21T18:00:00.000Z"};
}

}  // namespace bramble::fuzz
