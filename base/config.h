// SPDX-License-Identifier: Apache-2.0
#pragma once

// Configuration files: TOML, read field by field.  What is unknown, misspelt or of the wrong type
// is refused, and the error names file, line and key and says what to write:
//
//   /etc/bramble/node.toml:7: key "heartbeat": expected a duration such as "30s", got 30

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/units.h"

#include "absl/status/statusor.h"

namespace bramble {

inline constexpr size_t kMaxConfigBytes = 1 << 20;

// With what a service exits that its configuration keeps from starting: its unit does not start it
// again, since that would end alike until somebody mends the file.  Source: EX_CONFIG of
// sysexits.h, which systemd knows as CONFIG (systemd.exec(5), "Process Exit Codes").
inline constexpr int kConfigurationExit = 78;
// That, or 1 where `why` the configuration was not had may pass by itself: the disk did not answer,
// or no memory was left.
int ExitCodeOf(const absl::Status& why);
// Logs why the service `program` does not start with the configuration `file`, and what to do next.
// Gives ExitCodeOf(why).
int RefuseConfiguration(std::string_view program, const std::filesystem::path& file,
                        const absl::Status& why);

class ConfigReader;

// One parsed file.  Its readers must not outlive it.
class ConfigFile {
 public:
  // kNotFound; kInvalidArgument: malformed, with line and column.
  static absl::StatusOr<ConfigFile> Load(const std::filesystem::path& path);
  // `name` stands for the path in errors.
  static absl::StatusOr<ConfigFile> Parse(std::string_view text, std::string name);

  ConfigFile(ConfigFile&&) noexcept;
  ConfigFile& operator=(ConfigFile&&) noexcept;
  ~ConfigFile();

  // Reads the top level.
  ConfigReader Root() const;

 private:
  friend class ConfigReader;
  struct Tree;
  explicit ConfigFile(std::unique_ptr<Tree> tree);
  std::unique_ptr<Tree> tree_;
};

// "30s", "500ms", "5m", "2h", "7d", also in a row: "1h30m".
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::milliseconds duration);

// For those who write such files: a TOML string, and an array of them.  Without control characters.
std::string TomlText(std::string_view text);
std::string TomlText(const std::vector<std::string>& texts);

// Reads one table.  Each call gives the value below `key`, or `otherwise` where the file has none.
// The first failure is kept and later calls give `otherwise`; Finish() returns it, or an error for
// the first key that nobody asked for.
//
//   ConfigReader reader = file.Root();
//   config.state_dir = reader.String("state_dir", config.state_dir);
//   ConfigReader network = reader.Table("network");
//   config.prefix = network.Prefix("prefix", config.prefix);
//   reader.Merge(network.Finish());
//   BRAMBLE_RETURN_IF_ERROR(reader.Finish());
class ConfigReader {
 public:
  struct IntRange {
    int64_t min = INT64_MIN;
    int64_t max = INT64_MAX;
  };

  bool Has(std::string_view key);
  std::string String(std::string_view key, std::string_view otherwise = "");
  int64_t Int(std::string_view key, int64_t otherwise, IntRange range);
  bool Bool(std::string_view key, bool otherwise);
  double Double(std::string_view key, double otherwise);
  // At least 1 ms.
  std::chrono::milliseconds Duration(std::string_view key, std::chrono::milliseconds otherwise);
  // "64MiB".
  Bytes Size(std::string_view key, Bytes otherwise);
  // "172.16.0.1", "172.16.0.0/24", "172.16.0.1/24", "host:8443".
  Ipv4 Address(std::string_view key, Ipv4 otherwise = {});
  Ipv4Prefix Prefix(std::string_view key, Ipv4Prefix otherwise = {});
  std::vector<std::string> Strings(std::string_view key, std::vector<std::string> otherwise = {});

  // The table below `key`; empty when missing.
  ConfigReader Table(std::string_view key);
  // The tables of `[[key]]`; none when missing.
  std::vector<ConfigReader> Tables(std::string_view key);
  // Every key of this table, in the file's order; counts as asked for.
  std::vector<std::string> Keys();

  // Records that the value below `key` is wrong; `message` says what to write instead.
  void Fail(std::string_view key, std::string_view message);
  void Merge(const absl::Status& status);
  bool ok() const { return status_.ok(); }
  absl::Status Finish();

 private:
  friend class ConfigFile;
  // `table` is a toml::table, or nullptr for a table that the file does not have.
  ConfigReader(const ConfigFile::Tree* file, const void* table, std::string path)
      : file_(file), table_(table), path_(std::move(path)) {}
  template <typename T, typename Parse>
  T ParsedText(std::string_view key, T otherwise, std::string_view example, Parse parse);
  const void* Find(std::string_view key);

  const ConfigFile::Tree* file_;
  const void* table_;
  std::string path_;  // "network." in front of keys in errors
  std::vector<std::string> asked_;
  absl::Status status_;
};

}  // namespace bramble
