// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/bramble/terminal_text.h"
#include "tools/bramble/yaml.h"

namespace bramble::cli {
namespace {

using std::chrono::seconds;

TEST(TerminalTextTest, NothingThatAContainerSaysReachesTheTerminal) {
  EXPECT_EQ(Printable("plain Zürich 日本"), "plain Zürich 日本");
  EXPECT_EQ(Printable("\x1b[2Jgone"), "\\x1b[2Jgone");
  EXPECT_EQ(Printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(Printable(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\x9b31m")
      << "C1 control sequence introducer";
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3") << "not UTF-8";
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "txt.exe"),
            "\\u202etxt.exe");
}

TEST(TerminalTextTest, WidthCountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("Zürich"), 6u);
  EXPECT_EQ(DisplayWidth("日本"), 4u);
}

TEST(YamlTest, QuotesWhatAReaderWouldTakeForSomethingElse) {
  EXPECT_EQ(YamlScalar("debian"), "debian");
  EXPECT_EQ(YamlScalar("not-in use"), "not-in use");
  for (const char* trap :
       {"",    "yes", "No",   "on",   "OFF", "y",     "true",       "null",
        "~",   "1",   "1.0",  "0x1f", "1e3", "12:30", "2026-01-01", ".inf",
        "-",   "- a", "a: b", "a #b", "# a", "&a",    "*a",         "!a",
        "%a",  "@a",  "`a",   "{a}",  "[a]", "a,b",   "'a'",        "? a",
        "| a", "> a", " a",   "a ",   "<<",  "=",     "a\\b",       "172.16.0.1"}) {
    EXPECT_EQ(YamlScalar(trap).front(), '"') << trap;
  }
  EXPECT_EQ(YamlScalar("a \"b\" \\ c\n\x01"), "\"a \\\"b\\\" \\\\ c\\n\\x01\"");
  EXPECT_EQ(YamlScalar("\xc2\x85\xe2\x80\xa8"), "\"\\x85\\u2028\"") << "line ends to YAML 1.1";
}

TEST(YamlTest, WritesNumbersThatEveryReaderTakesForNumbers) {
  EXPECT_EQ(ToYaml(json::value(103.2)), "103.2\n");
  EXPECT_EQ(ToYaml(json::value(1e30)), "1.0e+30\n");
  EXPECT_EQ(ToYaml(json::value(2.0)), "2.0\n");
  EXPECT_EQ(ToYaml(json::value(-7)), "-7\n");
}

TEST(YamlTest, NestsObjectsAndLists) {
  const json::value value = json::parse(
      R"({"name":"web","empty":{},"none":[],"n":null,"on":true,"list":[1,{"a":"x","b":[2]},[3,4]],"deep":{"k":"v"}})");
  EXPECT_EQ(
      ToYaml(value),
      "name: web\nempty: {}\nnone: []\n\"n\": null\n\"on\": true\nlist:\n  - 1\n  - a: x\n    "
      "b:\n      - 2\n  - - 3\n    - 4\ndeep:\n  k: v\n");
}

TEST(OutputTest, PathsReachIntoObjectsAndLabelsWithDots) {
  const json::value value = json::parse(
      R"({"spec":{"labels":{"example.org/app":"web"},"limits":{"pids":5}},"list":["a","b"],"on":true,"score":103.2})");
  EXPECT_EQ(TextAt(value, "score"), "103.2");
  EXPECT_EQ(TextAt(value, "spec.limits.pids"), "5");
  EXPECT_EQ(TextAt(value, "spec.labels.example.org/app"), "web");
  EXPECT_EQ(TextAt(value, "spec.labels"), "example.org/app=web");
  EXPECT_EQ(TextAt(value, "list"), "a,b");
  EXPECT_EQ(TextAt(value, "on"), "yes");
  EXPECT_EQ(TextAt(value, "spec.missing.deeper"), "");
}

TEST(OutputTest, AgesAreShortAndNeverNegative) {
  const WallTime now{seconds(1'000'000)};
  EXPECT_EQ(AgeText(now + seconds(50), now), "0s") << "the clocks differ";
  EXPECT_EQ(AgeText(now - seconds(119), now), "119s");
  EXPECT_EQ(AgeText(now - seconds(600), now), "10m");
  EXPECT_EQ(AgeText(now - seconds(7300), now), "2h");
  EXPECT_EQ(AgeText(now - seconds(3 * 86400), now), "3d");
}

TEST(OutputTest, TablesAlignAndColourOnlyWhenAsked) {
  const std::vector<Column> columns = {{.name = "name", .path = "name"},
                                       {.name = "state", .path = "state", .as = As::kState},
                                       {.name = "reason", .path = "reason"}};
  const json::value one = json::parse(R"({"name":"web","state":"running"})");
  const json::value two =
      json::parse(R"({"name":"a-long-name","state":"failed","reason":"ended\nwith 1"})");

  EXPECT_EQ(RenderTable(columns, {&one, &two}, WallTime{}, /*colours=*/false),
            "NAME         STATE    REASON\n"
            "web          running  -\n"
            "a-long-name  failed   ended\\nwith 1\n");
  EXPECT_EQ(RenderTable(columns, {&one}, WallTime{}, /*colours=*/true),
            "NAME  STATE    REASON\n"
            "web   \x1b[32mrunning\x1b[0m  -\n");
  EXPECT_EQ(RenderDetails(columns, two, WallTime{}, /*colours=*/false),
            "name:    a-long-name\nstate:   failed\nreason:  ended\\nwith 1\n");
}

TEST(OutputTest, ColumnsAreChosenByNameOrPath) {
  const Resource resource = {
      .kind = "thing",
      .collection = "things",
      .columns = {{.name = "name", .path = "name"}, {.name = "id", .path = "id", .wide = true}}};
  Args args;
  EXPECT_EQ(ChosenColumns(resource, args)->size(), 1u);
  args.AddFlag("columns", "id,spec.image");
  EXPECT_EQ((*ChosenColumns(resource, args))[1].path, "spec.image");
  args.AddFlag("columns", "colour");
  EXPECT_TRUE(IsMisuse(ChosenColumns(resource, args).status()));
  EXPECT_THAT(std::string(ChosenColumns(resource, args).status().message()),
              ::testing::HasSubstr("name, id, all"));
}

}  // namespace
}  // namespace bramble::cli
