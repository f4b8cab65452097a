// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <utility>

#include "base/check.h"
#include "base/encoding.h"
#include "base/status.h"

namespace bramble {
namespace {

const unsigned char* Data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::string Sha256Digest::Hex() const { return HexEncode(view()); }

absl::StatusOr<Sha256Digest> Sha256Digest::FromBytes(std::string_view bytes) {
  Sha256Digest digest;
  if (bytes.size() != digest.bytes.size()) {
    return absl::InvalidArgumentError("a SHA-256 has 32 bytes");
  }
  std::copy(bytes.begin(), bytes.end(), digest.bytes.begin());
  return digest;
}

absl::StatusOr<Sha256Digest> Sha256Digest::FromHex(std::string_view text) {
  absl::StatusOr<std::string> bytes = HexDecode(text);
  if (!bytes.ok() || bytes->size() != 32) {
    return absl::InvalidArgumentError("a SHA-256 is 64 hexadecimal digits");
  }
  return FromBytes(*bytes);
}

Sha256Digest Sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.Update(bytes);
  return stream.Finish();
}

Sha256Digest HmacSha256(std::string_view key, std::string_view message) {
  Sha256Digest digest;
  unsigned int size = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   Data(message), message.size(), digest.bytes.data(), &size);
  BRAMBLE_CHECK(done != nullptr && size == digest.bytes.size(), "HMAC fails for no input");
  return digest;
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  // EVP_sha256() is looked up among the providers at each use, which takes longer than to hash a
  // token: crypto(7), "Performance".
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  const bool ready = context_ != nullptr && sha256 != nullptr &&
                     EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), sha256, nullptr) == 1;
  BRAMBLE_CHECK(ready, "SHA-256 is always there");
}

Sha256Stream::Sha256Stream(Sha256Stream&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)) {}

Sha256Stream& Sha256Stream::operator=(Sha256Stream&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256Stream::Update(std::string_view bytes) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size());
}

Sha256Digest Sha256Stream::Finish() {
  Sha256Digest digest;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.bytes.data(), nullptr);
  return digest;
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bramble
