// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"

namespace bramble {
namespace {

using ::testing::ElementsAre;

TEST(LogTest, LineIsEventAndFields) {
  MemoryLogSink sink;
  const Logger log(sink);

  log.Warn("node_lost", {{"node", NodeId::Trusted("pi4")},
                         {"silent_s", 61},
                         {"ratio", 0.5},
                         {"movable", true},
                         {"error", absl::NotFoundError("gone")},
                         {"text", "two words"}});

  EXPECT_THAT(sink.lines(),
              ElementsAre("warn node_lost node=pi4 silent_s=61 ratio=0.5 movable=true "
                          "error=\"NOT_FOUND: gone\" text=\"two words\""));
}

TEST(LogTest, WhatComesFromOutsideCannotForgeALine) {
  MemoryLogSink sink;
  const Logger log(sink);

  log.Info("e", {{"a", "x\nerror forged"},
                 {"b", "q\"=\\"},
                 {"c", std::string("\x1b[31m\0", 6)},
                 {"d", "\xff\xfe"},
                 {"e", ""},
                 {"f", "grün"}});

  EXPECT_THAT(sink.lines(), ElementsAre(R"(info e a="x\nerror forged" b="q\"=\\" c="\x1b[31m\x00" )"
                                        R"(d="\xff\xfe" e="" f=grün)"));
}

TEST(LogTest, LevelsBelowTheLimitAreNotWritten) {
  MemoryLogSink sink;
  const Logger log(sink, LogLevel::kWarn);

  log.Debug("a");
  log.Info("b");
  log.Warn("c");
  log.Error("d");
  Logger().Error("nobody hears this");

  EXPECT_THAT(sink.lines(), ElementsAre("warn c", "error d"));
}

TEST(LogTest, LevelsAreParsedByName) {
  LogLevel level = LogLevel::kInfo;

  EXPECT_TRUE(ParseLogLevel("error", level).ok());
  EXPECT_EQ(level, LogLevel::kError);
  EXPECT_FALSE(ParseLogLevel("loud", level).ok());
}

TEST(LogTest, JournalGetsAPriority) {
  const auto written = [](bool journal) {
    testing::internal::CaptureStderr();
    StderrLogSink sink(journal);
    Logger(sink).Warn("e", {{"n", 1}});
    return testing::internal::GetCapturedStderr();
  };

  EXPECT_EQ(written(true), "<4>e n=1\n");
  EXPECT_EQ(written(false), "warn e n=1\n");
}

}  // namespace
}  // namespace bramble
