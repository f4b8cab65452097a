// SPDX-License-Identifier: Apache-2.0
#pragma once

// Public keys of OpenSSH, as in a file id_ed25519.pub: "TYPE BASE64 COMMENT".

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble::api {

inline constexpr size_t kMaxPublicKeyBytes = 16 << 10;  // RSA of 16384 bits is 2.8 kB

struct PublicKey {
  std::string type;     // "ssh-ed25519"
  std::string blob;     // what the base64 encodes; its SHA-256 is the fingerprint
  std::string comment;  // may be empty
  int bits = 0;         // 256, 3072 …

  // One line, without its end.
  std::string str() const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

// One key, alone, with or without the line's end.  Whole: the type of the text is that of the blob,
// and the blob holds a key of that type and nothing else.
// kInvalidArgument: anything else, with what it looks like: a private key, a line of
// authorized_keys with options, a certificate, an RSA key under 2048 bits.
// Source: RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4; OpenSSH's PROTOCOL.u2f.
absl::StatusOr<PublicKey> ParsePublicKey(std::string_view text);

}  // namespace bramble::api
