// SPDX-License-Identifier: Apache-2.0
// The configuration files of node and controller: what is taken is, printed as --check-config does
// and read again, the same.
#include "base/config.h"
#include "controller/config.h"
#include "node/config/node_config.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

template <typename Read, typename Format>
void RoundTrip(const ConfigFile& file, const Read& read, const Format& format) {
  const auto config = read(file);
  if (!config.ok()) {
    BRAMBLE_CHECK(config.status().message().find("fuzz.toml") != absl::string_view::npos,
                  "an error names the file");
    return;
  }
  const std::string text = format(*config);
  const absl::StatusOr<ConfigFile> again = ConfigFile::Parse(text, "printed");
  BRAMBLE_CHECK(again.ok(), text.c_str());
  const auto same = read(*again);
  BRAMBLE_CHECK(same.ok(), std::string(same.status().message()).c_str());
  BRAMBLE_CHECK(format(*same) == text, "what is printed is what is in effect");
}

}  // namespace

void Try(std::string_view input) {
  const absl::StatusOr<ConfigFile> file = ConfigFile::Parse(input, "fuzz.toml");
  if (!file.ok()) {
    return;
  }
  RoundTrip(*file, node::ParseNodeConfig, node::FormatNodeConfig);
  RoundTrip(*file, controller::ReadConfig, controller::FormatConfig);
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"config/node.toml", "config/controller.toml"}) {
    const std::string shipped = Contents(name);
    seeds.push_back(shipped);
    std::string spelt;  // with every default that is a comment
    for (const std::string& line : Lines(name)) {
      const bool setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
      spelt += (setting ? line.substr(1) : line) + "\n";
    }
    seeds.push_back(spelt);
  }
  seeds.push_back("name = \"pi\"\ncontrollers = [\"172.16.0.1:8444\"]\n[labels]\nclass = \"a\"\n");
  seeds.push_back("heartbeat = 30\nx = [[1, {a = 1}], 1979-05-27T07:32:00Z, inf, '''\nm''']\n");
  return seeds;
}

}  // namespace bramble::fuzz
