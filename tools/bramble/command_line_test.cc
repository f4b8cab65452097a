// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/strings.h"
#include "tools/bramble/help.h"

namespace bramble::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Invocation> Parse(const std::vector<std::string>& words) {
  return ParseCommandLine(words, AllCommands());
}

std::string MisuseOf(const std::vector<std::string>& words) {
  const absl::StatusOr<Invocation> parsed = Parse(words);
  EXPECT_TRUE(IsMisuse(parsed.status())) << parsed.status();
  return std::string(parsed.status().message());
}

// Splits an example of a help text as a shell would where nothing is quoted or piped.
std::vector<std::string> WordsOf(const std::string& example) {
  std::istringstream stream(example);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  return words;
}

TEST(CommandLineTest, FindsObjectVerbNameAndFlagsInAnyOrder) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"container", "show", "web", "-o", "json"},
        {"-o", "json", "container", "show", "web"},
        {"container", "show", "-o", "json", "web"},
        {"container", "-o", "json", "show", "web"},
        {"container", "show", "web", "--output=json"},
        {"container", "show", "web", "-ojson"}}) {
    const absl::StatusOr<Invocation> parsed = Parse(words);
    ASSERT_TRUE(parsed.ok()) << parsed.status() << words[0];
    EXPECT_EQ(parsed->command->path, "container show");
    EXPECT_THAT(parsed->args.positionals(), ElementsAre("web"));
    EXPECT_EQ(parsed->args.Text("output"), "json");
  }
}

TEST(CommandLineTest, WhatFollowsTwoDashesIsNotRead) {
  const absl::StatusOr<Invocation> parsed =
      Parse({"container", "exec", "-t", "web", "-i", "--", "ls", "-l", "--help", "--", "x y"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->help.empty());
  EXPECT_TRUE(parsed->args.Has("tty"));
  EXPECT_TRUE(parsed->args.Has("interactive"));
  EXPECT_THAT(parsed->args.positionals(), ElementsAre("web", "ls", "-l", "--help", "--", "x y"));
}

TEST(CommandLineTest, ShortSwitchesJoin) {
  const absl::StatusOr<Invocation> parsed =
      Parse({"container", "exec", "-ti", "web", "--", "bash"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->args.Has("tty") && parsed->args.Has("interactive"));
}

TEST(CommandLineTest, RepeatedFlagsKeepTheirOrderAndTheirCommas) {
  const absl::StatusOr<Invocation> parsed =
      Parse({"container", "run", "web", "--image", "a", "-e", "A=1,2", "-e", "B=x y",
             "--env=C=", "-l", "k=v"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->args.Texts("env"), ElementsAre("A=1,2", "B=x y", "C="));
  EXPECT_THAT(parsed->args.Texts("label"), ElementsAre("k=v"));
}

TEST(CommandLineTest, ValuesMayBeNegativeEmptyOrStartWithADash) {
  const absl::StatusOr<Invocation> parsed =
      Parse({"container", "run", "web", "--image", "a", "--autostart-order=-5", "--env", "A=-1"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->args.Text("autostart-order"), "-5");
}

TEST(CommandLineTest, MisuseSaysWhatToWriteInstead) {
  EXPECT_THAT(MisuseOf({}), HasSubstr("Usage: bramble OBJECT VERB"));
  EXPECT_THAT(MisuseOf({"nodes", "list"}), HasSubstr("did you mean \"node\""));
  EXPECT_THAT(MisuseOf({"node"}), HasSubstr("needs a verb: list, show"));
  EXPECT_THAT(MisuseOf({"node", "lst"}), HasSubstr("did you mean \"node list\""));
  EXPECT_THAT(MisuseOf({"frobnicate"}), HasSubstr("no object \"frobnicate\""));
  EXPECT_THAT(MisuseOf({"container", "run", "web"}), HasSubstr("needs --image IMAGE"));
  EXPECT_THAT(MisuseOf({"container", "run", "--image", "x"}), HasSubstr("needs NAME"));
  EXPECT_THAT(MisuseOf({"container", "run", "web", "--imge", "x"}),
              HasSubstr("did you mean --image"));
  EXPECT_THAT(MisuseOf({"container", "run", "web", "--image"}), HasSubstr("--image"));
  EXPECT_THAT(MisuseOf({"container", "show", "web", "db"}), HasSubstr("does not take \"db\""));
  EXPECT_THAT(MisuseOf({"node", "list", "-o", "xml"}),
              HasSubstr("--output \"xml\": choose one of table, json, yaml, name"));
  EXPECT_THAT(MisuseOf({"container", "run", "web", "--image", "x", "--class", "loose"}),
              HasSubstr("choose one of pinned, movable"));
  EXPECT_THAT(MisuseOf({"completion", "tcsh"}), HasSubstr("choose one of bash, zsh, fish"));
  EXPECT_THAT(MisuseOf({"container", "exec", "web", "ls", "-l"}), HasSubstr("-l"));
}

TEST(CommandLineTest, HelpIsThereForEverything) {
  EXPECT_THAT(Parse({"--help"})->help, HasSubstr("Objects and their verbs"));
  EXPECT_THAT(Parse({"node", "--help"})->help, HasSubstr("drain"));
  EXPECT_THAT(Parse({"-h", "node", "drain"})->help, HasSubstr("--deadline"));
  EXPECT_THAT(Parse({"container", "run", "--help"})->help, HasSubstr("bramble container run web"));
}

TEST(CommandLineTest, EveryCommandHasASummaryAndExamplesThatParse) {
  for (const Command& command : AllCommands()) {
    SCOPED_TRACE(std::string(command.path));
    EXPECT_FALSE(command.summary.empty());
    ASSERT_NE(command.run, nullptr);
    const std::string help = CommandHelp(command);
    EXPECT_THAT(help, HasSubstr("Example"));
    std::istringstream examples{std::string(command.examples)};
    int count = 0;
    for (std::string line; std::getline(examples, line); ++count) {
      EXPECT_THAT(help, HasSubstr(line));
      EXPECT_THAT(line, HasSubstr(StrCat("bramble ", command.path)));
      if (line.find_first_of("|<$'") == std::string::npos) {
        std::vector<std::string> words = WordsOf(line);
        words.erase(words.begin());
        const absl::StatusOr<Invocation> parsed = Parse(words);
        EXPECT_TRUE(parsed.ok()) << line << ": " << parsed.status();
      }
    }
    EXPECT_GT(count, 0) << "no example";
  }
}

TEST(CommandLineTest, HelpFitsATerminal) {
  for (const Command& command : AllCommands()) {
    std::istringstream help(CommandHelp(command));
    for (std::string line; std::getline(help, line);) {
      EXPECT_LE(line.size(), 110u) << command.path << ": " << line;
    }
  }
}

}  // namespace
}  // namespace bramble::cli
