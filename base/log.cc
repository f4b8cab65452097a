// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/encoding.h"
#include "base/strings.h"

namespace bramble {
namespace {

// Syslog priorities (sd-daemon(3)): debug 7, info 6, warning 4, error 3.
char PriorityOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return '7';
    case LogLevel::kInfo:
      return '6';
    case LogLevel::kWarn:
      return '4';
    case LogLevel::kError:
      break;
  }
  return '3';
}

void AppendEscaped(std::string& line, std::string_view text, bool utf8) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      line += "\\x";
      line += kHex[byte >> 4];
      line += kHex[byte & 15];
    } else {
      line += c;
    }
  }
}

void AppendValue(std::string& line, std::string_view text) {
  bool plain = !text.empty();
  bool ascii = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    plain = plain && byte > 0x20 && byte != 0x7f && c != '"' && c != '=' && c != '\\';
    ascii = ascii && byte < 0x80;
  }
  const bool utf8 = ascii || IsUtf8(text);
  if (plain && utf8) {
    line += text;
    return;
  }
  line += '"';
  AppendEscaped(line, text, utf8);
  line += '"';
}

}  // namespace

std::string_view ToString(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      break;
  }
  return "error";
}

absl::Status ParseLogLevel(std::string_view text, LogLevel& level) {
  for (const LogLevel each :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (text == ToString(each)) {
      level = each;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError("expected a log level: debug, info, warn or error");
}

std::string LogField::DoubleText(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.6g", value);
  return buffer;
}

std::string FormatLogLine(const LogRecord& record) {
  std::string line(record.event);
  for (size_t i = 0; i < record.field_count; ++i) {
    line += ' ';
    line += record.fields[i].key();
    line += '=';
    AppendValue(line, record.fields[i].text());
  }
  return line;
}

bool StderrLogSink::JournalReadsStderr() { return std::getenv("JOURNAL_STREAM") != nullptr; }

void StderrLogSink::Write(const LogRecord& record) {
  std::string line;
  if (journal_) {
    line = {'<', PriorityOf(record.level), '>'};
  } else {
    line = StrCat(ToString(record.level), " ");
  }
  line += FormatLogLine(record);
  line += '\n';
  // Nobody can be told when the log cannot be written.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void MemoryLogSink::Write(const LogRecord& record) {
  std::string line = StrCat(ToString(record.level), " ", FormatLogLine(record));
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
}

std::vector<std::string> MemoryLogSink::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

bool MemoryLogSink::Contains(std::string_view text) const {
  const std::lock_guard lock(mutex_);
  for (const std::string& line : lines_) {
    if (line.find(text) != std::string::npos) {
      return true;
    }
  }
  return false;
}

void Logger::Write(LogLevel level, std::string_view event, Fields fields) const {
  if (sink_ != nullptr && level >= at_least_) {
    sink_->Write({level, event, fields.begin(), fields.size()});
  }
}

}  // namespace bramble
