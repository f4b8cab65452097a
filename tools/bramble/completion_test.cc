// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "tools/bramble/elf_architecture.h"
#include "tools/bramble/escape_keys.h"
#include "tools/bramble/session_testing.h"

namespace bramble::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> Complete(const std::vector<std::string>& words, const std::string& typed) {
  return Candidates(AllCommands(), words, typed, [](Completes what) {
    return what == Completes::kContainers ? std::vector<std::string>{"web", "db"}
                                          : std::vector<std::string>{"other"};
  });
}

TEST(CompletionTest, OffersObjectsVerbsFlagsValuesAndNames) {
  EXPECT_THAT(Complete({}, "con"), ElementsAre("container"));
  EXPECT_THAT(Complete({}, ""), Not(Contains("__complete")));
  EXPECT_THAT(Complete({"node"}, "re"),
              ElementsAre("restore", "reboot", "reset", "replace", "remove"));
  EXPECT_THAT(Complete({"container", "show"}, ""), ElementsAre("web", "db"));
  EXPECT_THAT(Complete({"container", "show", "web"}, ""), IsEmpty());
  EXPECT_THAT(Complete({"container", "stop", "web"}, "d"), ElementsAre("db"));
  EXPECT_THAT(Complete({"container", "run", "x"}, "--cl"), ElementsAre("--class"));
  EXPECT_THAT(Complete({"container", "run", "x", "--class"}, "m"), ElementsAre("movable"));
  EXPECT_THAT(Complete({"node", "list", "-o"}, ""), ElementsAre("table", "json", "yaml", "name"));
  EXPECT_THAT(Complete({"node", "list", "--columns"}, "ke"), ElementsAre("kernel"));
  EXPECT_THAT(Complete({"image", "import"}, "./"), ElementsAre(":files"));
  EXPECT_THAT(Complete({"completion"}, ""), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Complete({"-o", "json", "node"}, "sh"), ElementsAre("show"));
  EXPECT_THAT(Complete({"nothing", "here"}, ""), IsEmpty());
}

TEST(CompletionTest, ScriptsParseInTheirShells) {
  FakeTerminal terminal;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string file = (terminal.directory() / shell).string();
    std::ofstream(file) << CompletionScript(shell);
    const std::string found = "command -v " + shell + " >/dev/null 2>&1";
    if (std::system(found.c_str()) == 0) {
      EXPECT_EQ(std::system((shell + " -n " + file).c_str()), 0) << shell;
    } else {
      EXPECT_NE(shell, "bash") << "bash is on every Debian machine";
    }
  }
}

TEST(CompletionTest, TheHiddenCommandAsksTheController) {
  FakeTerminal terminal;
  terminal.controller().Put("images", {{"name", "debian"}, {"tag", "12"}});
  ASSERT_EQ(terminal.Run({"__complete", "--", "container", "run", "x", "--image", "deb"}), 0);
  EXPECT_EQ(terminal.out(), "debian:12\n");
  terminal.controller().FailNext(absl::UnavailableError("away"));
  EXPECT_EQ(terminal.Run({"__complete", "--", "node", "show", ""}), 0);
  EXPECT_EQ(terminal.out(), "");
}

TEST(EscapeKeysTest, CtrlAQLeavesAndTheRestIsTyped) {
  EscapeKeys keys;
  EXPECT_EQ(keys.Add("ab").send, "ab");
  EXPECT_EQ(keys.Add("\x01").send, "");
  EXPECT_EQ(keys.Add("a").send, "\x01");
  EXPECT_EQ(keys.Add("\x01x").send, "\x01x");
  const EscapeKeys::Typed last = keys.Add("ls\x01qmore");
  EXPECT_EQ(last.send, "ls");
  EXPECT_TRUE(last.leave);
}

TEST(ElfArchitectureTest, ReadsTheMachineOfAnElfHeader) {
  std::string header(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  header.resize(64, '\0');
  header[18] = 62;
  EXPECT_EQ(ElfArchitecture(header), "amd64");
  header[18] = static_cast<char>(183);
  EXPECT_EQ(ElfArchitecture(header), "arm64");
  header[4] = 1;
  header[18] = 40;
  EXPECT_EQ(ElfArchitecture(header), "armhf");
  header[18] = 3;
  EXPECT_EQ(ElfArchitecture(header), "") << "i386";
  EXPECT_EQ(ElfArchitecture("#!/bin/sh\n           "), "");
  EXPECT_EQ(ElfArchitecture(""), "");
}

TEST(ElfArchitectureTest, LooksIntoAnArchive) {
  FakeTerminal terminal;
  const std::string dir = terminal.directory().string();
  std::string elf(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  elf.resize(128, '\0');
  elf[18] = static_cast<char>(183);
  std::ofstream(dir + "/a-text") << std::string(200, 'x');
  std::ofstream(dir + "/program", std::ios::binary) << elf;
  ASSERT_EQ(std::system(("tar -C " + dir + " -czf " + dir + "/i.tar.gz a-text program").c_str()),
            0);
  const absl::StatusOr<Fd> fd = OpenFile(dir + "/i.tar.gz", 0);
  ASSERT_TRUE(fd.ok());
  const absl::StatusOr<std::string> found = ArchitectureOfArchive(fd->get());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, "arm64");
}

}  // namespace
}  // namespace bramble::cli
