// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/apparmor.h"

#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxProfilesBytes = 1 << 20;
constexpr std::chrono::milliseconds kParserLimit{60'000};
constexpr const char* kParsers[] = {"/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"};

std::string Parser() {
  std::error_code ignored;
  for (const char* path : kParsers) {
    if (std::filesystem::exists(path, ignored)) {
      return path;
    }
  }
  return "";
}

}  // namespace

bool HasAppArmor(const std::filesystem::path& sys) {
  const auto enabled = ReadFile(sys / "module/apparmor/parameters/enabled", 16);
  return enabled.ok() && enabled->starts_with("Y");
}

bool IsApparmorProfileLoaded(const std::filesystem::path& sys) {
  const auto profiles = ReadFile(sys / "kernel/security/apparmor/profiles", kMaxProfilesBytes);
  if (!profiles.ok()) {
    return false;
  }
  const std::string wanted = StrCat(kApparmorProfile, " (enforce)");
  for (const absl::string_view line : absl::StrSplit(*profiles, '\n')) {
    if (line == ToAbsl(wanted)) {
      return true;
    }
  }
  return false;
}

std::string ApparmorProfileToUse(const std::filesystem::path& sys) {
  if (!HasAppArmor(sys)) {
    return "";
  }
  return IsApparmorProfileLoaded(sys) ? kApparmorProfile : "unconfined";
}

absl::Status LoadApparmorProfile(const std::filesystem::path& file,
                                 const std::filesystem::path& sys) {
  if (!HasAppArmor(sys)) {
    return absl::OkStatus();
  }
  const std::string parser = Parser();
  if (parser.empty()) {
    return absl::FailedPreconditionError(
        "the kernel has AppArmor, but there is no apparmor_parser: install the package apparmor");
  }
  Command command;
  command.argv = {parser, "--replace", "--write-cache", file.string()};
  command.deadline = kParserLimit;
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  const absl::Status done = CheckOk(command, result);
  return done.ok() ? done
                   : absl::FailedPreconditionError(StrCat(file.string(), ": ", MessageOf(done)));
}

}  // namespace bramble::node
