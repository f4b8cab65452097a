// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "base/strings.h"
#include "tools/bramble/args.h"

#include "absl/strings/ascii.h"

namespace bramble::cli {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxControllers = 1000;
constexpr size_t kMaxPemBytes = 64 << 10;
constexpr std::string_view kDefaultPort = "8443";

absl::StatusOr<Credential> ReadOne(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path), UnknownKeys::kRefuse);
  Credential credential;
  credential.url = reader.String("url");
  credential.token = reader.String("token");
  credential.spki_sha256 = reader.OptionalString("spki_sha256").value_or("");
  credential.ca_pem =
      reader.OptionalString("ca_pem", {.max = kMaxPemBytes, .allow_control = true}).value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return credential;
}

}  // namespace

std::filesystem::path CredentialStore::DirectoryOf(std::string_view bramble_config,
                                                   std::string_view xdg_config_home,
                                                   std::string_view home) {
  if (!bramble_config.empty()) {
    return bramble_config;
  }
  if (!xdg_config_home.empty()) {
    return std::filesystem::path(xdg_config_home) / "bramble";
  }
  return std::filesystem::path(home.empty() ? "/root" : home) / ".config" / "bramble";
}

absl::StatusOr<Credentials> CredentialStore::Load() const {
  Credentials credentials;
  struct stat info = {};
  if (::stat(file().c_str(), &info) != 0) {
    return errno == ENOENT ? absl::StatusOr<Credentials>(credentials)
                           : ErrnoStatus(errno, file().string());
  }
  if ((info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        StrCat(file().string(), ": others may read it; run `chmod 600 ", file().string(), "`"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(file(), kMaxFileBytes));
  const std::string next = "; correct it, or move it away and run `bramble cluster init` again";
  const absl::StatusOr<json::value> value = ParseJson(text);
  if (!value.ok()) {
    return absl::DataLossError(StrCat(file().string(), ": ", value.status().message(), next));
  }
  JsonObjectReader reader(*value, "credentials", UnknownKeys::kRefuse);
  credentials.current = reader.OptionalString("current").value_or("");
  const json::value* controllers = reader.Find("controllers");
  if (controllers != nullptr && controllers->is_object() &&
      controllers->get_object().size() <= kMaxControllers) {
    for (const auto& [key, entry] : controllers->get_object()) {
      const std::string name(key.data(), key.size());
      absl::StatusOr<Credential> one = ReadOne(entry, StrCat("credentials.controllers.", name));
      reader.Merge(one.status());
      if (one.ok()) {
        credentials.controllers[name] = *std::move(one);
      }
    }
  } else {
    reader.Fail("controllers", "expected an object");
  }
  if (const absl::Status read = reader.Finish(); !read.ok()) {
    return absl::DataLossError(StrCat(file().string(), ": ", read.message(), next));
  }
  return credentials;
}

absl::Status CredentialStore::Save(const Credentials& credentials) const {
  json::object controllers;
  for (const auto& [name, credential] : credentials.controllers) {
    json::object one = {{"url", credential.url}, {"token", credential.token}};
    if (!credential.spki_sha256.empty()) {
      one["spki_sha256"] = credential.spki_sha256;
    }
    if (!credential.ca_pem.empty()) {
      one["ca_pem"] = credential.ca_pem;
    }
    controllers[name] = std::move(one);
  }
  const json::object all = {{"current", credentials.current},
                            {"controllers", std::move(controllers)}};
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  return WriteFileAtomically(file(), json::serialize(all) + "\n", 0600);
}

absl::Status CredentialStore::CheckWritable() const {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  return ::access(directory_.c_str(), W_OK | X_OK) == 0 ? absl::OkStatus()
                                                        : ErrnoStatus(errno, directory_.string());
}

absl::Status CredentialStore::Add(const std::string& name, const Credential& credential) const {
  BRAMBLE_ASSIGN_OR_RETURN(Credentials credentials, Load());
  credentials.controllers[name] = credential;
  credentials.current = name;
  return Save(credentials);
}

absl::StatusOr<Credential> CredentialStore::Choose(std::string_view name_or_url) const {
  BRAMBLE_ASSIGN_OR_RETURN(const Credentials credentials, Load());
  if (credentials.controllers.empty()) {
    return absl::UnauthenticatedError(
        StrCat("no controller is known here (", file().string(),
               "); run `bramble cluster init` as root on the controller's machine, or with "
               "--controller, --code and --fingerprint from here"));
  }
  const std::string wanted(name_or_url.empty() ? credentials.current : name_or_url);
  if (const auto found = credentials.controllers.find(wanted);
      found != credentials.controllers.end()) {
    return found->second;
  }
  const absl::StatusOr<std::string> url = NormalUrl(wanted);
  std::string all;
  for (const auto& [name, credential] : credentials.controllers) {
    if (url.ok() && credential.url == *url) {
      return credential;
    }
    all = StrCat(all, all.empty() ? "" : ", ", name, " (", credential.url, ")");
  }
  return absl::NotFoundError(StrCat("controller \"", wanted, "\" is not known here; known: ", all));
}

absl::StatusOr<std::string> NormalUrl(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  const auto wrong = [text] {
    return Misuse(StrCat("controller \"", text, "\": write https://HOST:8443"));
  };
  std::string_view host = text;
  if (host.substr(0, kScheme.size()) == kScheme) {
    host.remove_prefix(kScheme.size());
  } else if (host.find("://") != std::string_view::npos) {
    return wrong();
  }
  while (!host.empty() && host.back() == '/') {
    host.remove_suffix(1);
  }
  const bool clean = std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':' || c == '[' || c == ']';
  });
  if (host.empty() || !clean) {
    return wrong();
  }
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  if (!has_port) {
    return StrCat(kScheme, host, ":", kDefaultPort);
  }
  const std::string_view port = host.substr(colon + 1);
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || colon == 0) {
    return wrong();
  }
  return StrCat(kScheme, host);
}

absl::StatusOr<std::string> ParseFingerprint(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  std::string_view digits = text;
  if (digits.substr(0, kPrefix.size()) == kPrefix) {
    digits.remove_prefix(kPrefix.size());
  }
  std::string hex = absl::AsciiStrToLower(ToAbsl(digits));
  std::erase(hex, ':');
  const bool is_hex = hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_hex && hex.size() == 64
             ? absl::StatusOr<std::string>(hex)
             : Misuse(StrCat("fingerprint \"", text,
                             "\": write sha256: and 64 hexadecimal digits, as the controller's log "
                             "shows them"));
}

}  // namespace bramble::cli
