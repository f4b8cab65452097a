// SPDX-License-Identifier: Apache-2.0
#pragma once

// The log: a constant event name and fields.
//
//   log.Warn("node_lost", {{"node", id}, {"silent_s", 61}});   ->   node_lost node=pi4 silent_s=61
//
// `Error` means that an operator must act, and the event has a paragraph in docs/operations.md.
// A Logger is a small value, handed to whoever logs; its sink is made in main and outlives it.

#include <concepts>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"

namespace bramble {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// "debug", "info", "warn", "error".
std::string_view ToString(LogLevel level);
// kInvalidArgument names the four.
absl::Status ParseLogLevel(std::string_view text, LogLevel& level);

// One field of a line.  Takes text, numbers, bools, statuses and whatever has a str().
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), text_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), text_(value) {}
  LogField(std::string_view key, const std::string& value) : key_(key), text_(value) {}
  LogField(std::string_view key, const absl::Status& value) : key_(key), text_(value.ToString()) {}
  template <typename Number>
  requires std::is_arithmetic_v<Number> LogField(std::string_view key, Number value)
      : key_(key), text_(NumberText(value)) {}
  template <typename Id>
  requires requires(const Id& id) {
    { id.str() } -> std::convertible_to<std::string>;
  }
  LogField(std::string_view key, const Id& value) : key_(key), text_(value.str()) {}

  std::string_view key() const { return key_; }
  const std::string& text() const { return text_; }

 private:
  template <typename Number>
  static std::string NumberText(Number value) {
    if constexpr (std::is_same_v<Number, bool>) {
      return value ? "true" : "false";
    } else if constexpr (std::is_floating_point_v<Number>) {
      return DoubleText(static_cast<double>(value));
    } else {
      return std::to_string(value);
    }
  }
  static std::string DoubleText(double value);

  std::string_view key_;
  std::string text_;
};

struct LogRecord {
  LogLevel level;
  std::string_view event;
  const LogField* fields;
  size_t field_count;
};

// "node_lost node=pi4 silent_s=61".  A value with a space, a quote, '=' or nothing in it is quoted;
// control characters and what is not ASCII-printable or UTF-8 are escaped, so that a line is a
// line.
std::string FormatLogLine(const LogRecord& record);

// Where lines go.  Write may be called from any thread.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(const LogRecord& record) = 0;
};

// Lines on standard error, each written with one write(2); with a syslog priority in front ("<4>")
// when systemd's journal is what reads them (JOURNAL_STREAM is set), with the level otherwise.
class StderrLogSink : public LogSink {
 public:
  explicit StderrLogSink(bool journal) : journal_(journal) {}
  // Looks for JOURNAL_STREAM in the environment.
  static bool JournalReadsStderr();
  void Write(const LogRecord& record) override;

 private:
  bool journal_;
};

// Keeps every line, "warn node_lost node=pi4": for tests.
class MemoryLogSink : public LogSink {
 public:
  void Write(const LogRecord& record) override;
  std::vector<std::string> lines() const;
  // Whether some line contains `text`.
  bool Contains(std::string_view text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class Logger {
 public:
  // Says nothing.
  Logger() = default;
  // `sink` outlives the logger and its copies.
  explicit Logger(LogSink& sink, LogLevel at_least = LogLevel::kInfo)
      : sink_(&sink), at_least_(at_least) {}

  using Fields = std::initializer_list<LogField>;
  void Debug(std::string_view event, Fields fields = {}) const {
    Write(LogLevel::kDebug, event, fields);
  }
  void Info(std::string_view event, Fields fields = {}) const {
    Write(LogLevel::kInfo, event, fields);
  }
  void Warn(std::string_view event, Fields fields = {}) const {
    Write(LogLevel::kWarn, event, fields);
  }
  void Error(std::string_view event, Fields fields = {}) const {
    Write(LogLevel::kError, event, fields);
  }

 private:
  void Write(LogLevel level, std::string_view event, Fields fields) const;

  LogSink* sink_ = nullptr;
  LogLevel at_least_ = LogLevel::kInfo;
};

}  // namespace bramble
