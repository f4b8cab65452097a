// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::cli {

// How to reach one controller and how to know that it is the right one.
struct Credential {
  std::string url;  // "https://172.16.0.1:8443"
  std::string token;
  std::string spki_sha256;  // hex, of the server's key; or:
  std::string ca_pem;       // the authority that signs the server's certificate

  friend bool operator==(const Credential&, const Credential&) = default;
};

struct Credentials {
  std::string current;  // the name of the one that is used when none is chosen
  std::map<std::string, Credential> controllers;
};

// The credentials of one person:
//
//   DIRECTORY/credentials.json   0600
class CredentialStore {
 public:
  explicit CredentialStore(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // BRAMBLE_CONFIG, XDG_CONFIG_HOME/bramble or HOME/.config/bramble, of `environment`.
  static std::filesystem::path DirectoryOf(std::string_view bramble_config,
                                           std::string_view xdg_config_home, std::string_view home);

  std::filesystem::path file() const { return directory_ / "credentials.json"; }

  // Empty when there is no file.  kPermissionDenied: others than the owner may read it.
  absl::StatusOr<Credentials> Load() const;
  // Whether Add would find the directory and could write there.
  absl::Status CheckWritable() const;
  // Adds or replaces, and makes it the current one.
  absl::Status Add(const std::string& name, const Credential& credential) const;
  // The one of this name or URL; "": the current one.  The error says how to get one.
  absl::StatusOr<Credential> Choose(std::string_view name_or_url) const;

 private:
  absl::Status Save(const Credentials& credentials) const;
  std::filesystem::path directory_;
};

// "https://HOST:PORT" of what a person writes: the scheme and the port 8443 may be left out.
absl::StatusOr<std::string> NormalUrl(std::string_view text);
// 64 hexadecimal digits of "sha256:…", with or without colons between the bytes.
absl::StatusOr<std::string> ParseFingerprint(std::string_view text);

}  // namespace bramble::cli
