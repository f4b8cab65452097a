// SPDX-License-Identifier: Apache-2.0
// Messages between node and controller: whatever is taken is, written and read again, the same.
#include "api/node_protocol.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

template <typename Decode>
void RoundTrip(std::string_view input, const Decode& decode) {
  const auto message = decode(input);
  if (!message.ok()) {
    return;
  }
  const std::string written = api::Encode(*message);
  const auto again = decode(written);
  BRAMBLE_CHECK(again.ok(), std::string(again.status().message()).c_str());
  BRAMBLE_CHECK(api::Encode(*again) == written, "what was written is read as it was");
}

}  // namespace

void Try(std::string_view input) {
  RoundTrip(input, [](std::string_view text) { return api::DecodeNodeMessage(text); });
  RoundTrip(input, [](std::string_view text) { return api::DecodeControllerMessage(text); });
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = Lines("tests/data/api/node_protocol_v1.jsonl");
  for (const std::string& line : Lines("tests/data/api/node_protocol_network_v1.jsonl")) {
    seeds.push_back(line);
  }
  return seeds;
}

}  // namespace bramble::fuzz
