// SPDX-License-Identifier: Apache-2.0
#pragma once

// SHA-256 and HMAC-SHA-256, by OpenSSL.

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bramble {

// 32 bytes.  Ordered, so that it can be a key.
struct Sha256Digest {
  std::array<unsigned char, 32> bytes{};

  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string Hex() const;
  // 64 hexadecimal digits.
  static absl::StatusOr<Sha256Digest> FromHex(std::string_view text);
  static absl::StatusOr<Sha256Digest> FromBytes(std::string_view bytes);
  friend auto operator<=>(const Sha256Digest&, const Sha256Digest&) = default;
};

Sha256Digest Sha256(std::string_view bytes);
Sha256Digest HmacSha256(std::string_view key, std::string_view message);

// SHA-256 of what comes in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  ~Sha256Stream();

  void Update(std::string_view bytes);
  // Once.
  Sha256Digest Finish();

 private:
  void* context_;  // EVP_MD_CTX
};

// Takes the same time wherever they differ; their lengths are no secret.
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace bramble
