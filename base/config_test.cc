// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace bramble {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

ConfigFile Parsed(std::string_view text) {
  auto file = ConfigFile::Parse(text, "node.toml");
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

// What reading `text` with `read` says is wrong.
template <typename Read>
std::string ErrorOf(std::string_view text, Read read) {
  const ConfigFile file = Parsed(text);
  ConfigReader reader = file.Root();
  read(reader);
  return std::string(MessageOf(reader.Finish()));
}

TEST(ConfigTest, ReadsEveryKindOfValue) {
  const ConfigFile file = Parsed(R"(
name = "pi4"
count = 3
on = true
ratio = 1.5
silent = "1h30m"
size = "64MiB"
list = ["a", "b"]
[network]
prefix = "172.16.0.0/24"
gateway = "172.16.0.1"
[[disk]]
path = "/a"
[[disk]]
path = "/b"
)");
  ConfigReader reader = file.Root();

  EXPECT_EQ(reader.String("name"), "pi4");
  EXPECT_EQ(reader.Int("count", 1, {.min = 1, .max = 9}), 3);
  EXPECT_EQ(reader.Int("other", 7, {.min = 1, .max = 9}), 7);
  EXPECT_TRUE(reader.Bool("on", false));
  EXPECT_EQ(reader.Double("ratio", 0), 1.5);
  EXPECT_EQ(reader.Duration("silent", 1s), 90min);
  EXPECT_EQ(reader.Duration("other_s", 5s), 5s);
  EXPECT_EQ(reader.Size("size", {}).count, 64 * kMiB);
  EXPECT_THAT(reader.Strings("list"), ElementsAre("a", "b"));
  ConfigReader network = reader.Table("network");
  EXPECT_EQ(network.Prefix("prefix").str(), "172.16.0.0/24");
  EXPECT_EQ(network.Address("gateway").str(), "172.16.0.1");
  EXPECT_TRUE(network.Finish().ok());
  std::vector<std::string> paths;
  for (ConfigReader& disk : reader.Tables("disk")) {
    paths.push_back(disk.String("path"));
    EXPECT_TRUE(disk.Finish().ok());
  }
  EXPECT_THAT(paths, ElementsAre("/a", "/b"));
  EXPECT_TRUE(reader.Table("absent").Finish().ok());
  EXPECT_TRUE(reader.Finish().ok()) << reader.Finish();
}

TEST(ConfigTest, MalformedTomlNamesLineAndColumn) {
  const absl::Status status = ConfigFile::Parse("a = 1\nb = = 2\n", "node.toml").status();

  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(MessageOf(status)), StartsWith("node.toml:2:5: not valid TOML: "));
  EXPECT_FALSE(ConfigFile::Parse("a = 1\na = 2\n", "x").ok()) << "a key twice";
  EXPECT_TRUE(absl::IsNotFound(ConfigFile::Load("/no/such.toml").status()));
}

// Found by tests/fuzz/config_fuzz.cc: what the parser asserts and assumes does not hold.
TEST(ConfigTest, ATextThatItsParserDidNotReckonWithIsMalformed) {
  for (const char* text : {"\uFCF3a = 1\n", "a =\u1000 1\n", "[", "[\n", "a = 1\n[ \nb = 1\n",
                           "[[\n", "[#c\n", "[=]\n", "[\x01]\n"}) {
    const absl::Status status = ConfigFile::Parse(text, "node.toml").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("not valid TOML: ")) << text;
  }
}

TEST(ConfigTest, UnknownKeyIsRefusedWithItsLineAndTheLikelyOne) {
  EXPECT_EQ(ErrorOf("state_dir = \"/x\"\nhartbeat = \"1s\"\n",
                    [](ConfigReader& reader) {
                      reader.String("state_dir");
                      reader.Duration("heartbeat", 1s);
                    }),
            "node.toml:2: unknown key \"hartbeat\"; did you mean \"heartbeat\"?");
  EXPECT_EQ(ErrorOf("[network]\nx = 1\n",
                    [](ConfigReader& reader) {
                      ConfigReader network = reader.Table("network");
                      reader.Merge(network.Finish());
                    }),
            "node.toml:2: unknown key \"network.x\"");
}

TEST(ConfigTest, WrongValueSaysWhatToWrite) {
  const auto duration = [](ConfigReader& reader) { reader.Duration("d", 1s); };
  EXPECT_EQ(ErrorOf("d = 30", duration),
            "node.toml:1: key \"d\": expected a duration such as \"30s\", in quotes, got a whole "
            "number");
  EXPECT_THAT(ErrorOf("d = \"30\"", duration), HasSubstr("got \"30\""));
  EXPECT_THAT(ErrorOf("d = \"0s\"", duration), HasSubstr("at least"));
  EXPECT_EQ(ErrorOf("\nn = 12",
                    [](ConfigReader& reader) {
                      reader.Int("n", 1, {1, 9});
                    }),
            "node.toml:2: key \"n\": expected 1 to 9, got 12");
  EXPECT_THAT(ErrorOf("s = 1", [](ConfigReader& reader) { reader.String("s"); }),
              HasSubstr("expected a string in quotes, got a whole number"));
  EXPECT_THAT(ErrorOf("s = \"a\\nb\"", [](ConfigReader& reader) { reader.String("s"); }),
              HasSubstr("control characters"));
  EXPECT_THAT(ErrorOf("b = \"true\"", [](ConfigReader& reader) { reader.Bool("b", false); }),
              HasSubstr("without quotes"));
  EXPECT_THAT(ErrorOf("p = \"172.16.0.5/24\"", [](ConfigReader& reader) { reader.Prefix("p"); }),
              HasSubstr("the network is \"172.16.0.0/24\""));
  EXPECT_THAT(ErrorOf("t = 1", [](ConfigReader& reader) { reader.Table("t"); }),
              HasSubstr("expected a table, [t]"));
  EXPECT_THAT(ErrorOf("l = [1]", [](ConfigReader& reader) { reader.Strings("l"); }),
              HasSubstr("list of strings"));
}

TEST(ConfigTest, DurationsAreReadWholeAndWrittenBack) {
  EXPECT_EQ(ParseDuration("500ms").value(), 500ms);
  EXPECT_EQ(ParseDuration("7d").value(), 7 * 24h);
  EXPECT_EQ(ParseDuration("0s").value(), 0ms);
  EXPECT_EQ(FormatDuration(90min), "1h30m");
  EXPECT_EQ(FormatDuration(0ms), "0s");
  for (const char* text : {"", "30", "s", "-1s", "1s2h", "1s1s", "1 s", "1.5s", "99999999999d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

}  // namespace
}  // namespace bramble
