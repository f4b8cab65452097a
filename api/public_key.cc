// SPDX-License-Identifier: Apache-2.0
#include "api/public_key.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/encoding.h"
#include "base/status.h"
#include "base/strings.h"

namespace bramble::api {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 16384;
constexpr size_t kEd25519Bytes = 32;
constexpr unsigned char kUncompressedPoint = 4;  // SEC 1, 2.3.3
constexpr size_t kMaxApplicationBytes = 256;

enum class Kind { kRsa, kEd25519, kEcdsa };

struct Type {
  std::string_view name;
  Kind kind;
  std::string_view curve;  // of kEcdsa
  int bits = 0;
  bool hardware = false;  // of a security key: an application follows
};
constexpr Type kTypes[] = {
    {"ssh-ed25519", Kind::kEd25519, "", 256},
    {"ssh-rsa", Kind::kRsa, ""},
    {"ecdsa-sha2-nistp256", Kind::kEcdsa, "nistp256", 256},
    {"ecdsa-sha2-nistp384", Kind::kEcdsa, "nistp384", 384},
    {"ecdsa-sha2-nistp521", Kind::kEcdsa, "nistp521", 521},
    {"sk-ssh-ed25519@openssh.com", Kind::kEd25519, "", 256, true},
    {"sk-ecdsa-sha2-nistp256@openssh.com", Kind::kEcdsa, "nistp256", 256, true},
};

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(StrCat("not a public key of OpenSSH: ", why));
}

const Type* FindType(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [name](const Type& type) { return type.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

// Reads a `string` of RFC 4251, 5.
std::optional<std::string_view> TakeString(std::string_view& rest) {
  if (rest.size() < 4) {
    return std::nullopt;
  }
  size_t length = 0;
  for (int i = 0; i < 4; ++i) {
    length = length << 8 | static_cast<unsigned char>(rest[i]);
  }
  if (length > rest.size() - 4) {
    return std::nullopt;
  }
  const std::string_view text = rest.substr(4, length);
  rest.remove_prefix(4 + length);
  return text;
}

// The bits of a positive mpint; nullopt: it is none, or not in its shortest form.
std::optional<int> BitsOf(std::string_view mpint) {
  if (mpint.empty() || static_cast<unsigned char>(mpint[0]) >= 0x80) {
    return std::nullopt;
  }
  if (mpint[0] == 0) {
    mpint.remove_prefix(1);
    if (mpint.empty() || static_cast<unsigned char>(mpint[0]) < 0x80) {
      return std::nullopt;
    }
  }
  int top = 0;
  for (auto byte = static_cast<unsigned char>(mpint[0]); byte != 0; byte >>= 1) {
    ++top;
  }
  return static_cast<int>(mpint.size() - 1) * 8 + top;
}

absl::Status CheckRsa(std::string_view& rest, int& bits) {
  const auto exponent = TakeString(rest);
  const auto modulus = TakeString(rest);
  const auto exponent_bits = exponent.has_value() ? BitsOf(*exponent) : std::nullopt;
  const auto modulus_bits = modulus.has_value() ? BitsOf(*modulus) : std::nullopt;
  if (!exponent_bits.has_value() || !modulus_bits.has_value() || *exponent_bits < 2 ||
      (exponent->back() & 1) == 0 || (modulus->back() & 1) == 0) {
    return Refuse("its RSA numbers are none");
  }
  bits = *modulus_bits;
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return Refuse(StrCat("RSA of ", bits, " bits; at least ", kMinRsaBits, ", at most ",
                         kMaxRsaBits, "; make one by `ssh-keygen -t ed25519`"));
  }
  return absl::OkStatus();
}

absl::Status CheckEcdsa(std::string_view& rest, const Type& type) {
  const auto curve = TakeString(rest);
  const auto point = TakeString(rest);
  const size_t length = 1 + 2 * static_cast<size_t>((type.bits + 7) / 8);
  if (curve != type.curve || !point.has_value() || point->size() != length ||
      static_cast<unsigned char>((*point)[0]) != kUncompressedPoint) {
    return Refuse(StrCat("it holds no point of ", type.curve));
  }
  return absl::OkStatus();
}

absl::Status CheckBlob(const Type& type, std::string_view blob, int& bits) {
  if (TakeString(blob) != type.name) {
    return Refuse(StrCat("its data is not of type ", type.name, "; a part may be missing"));
  }
  bits = type.bits;
  if (type.kind == Kind::kRsa) {
    BRAMBLE_RETURN_IF_ERROR(CheckRsa(blob, bits));
  } else if (type.kind == Kind::kEcdsa) {
    BRAMBLE_RETURN_IF_ERROR(CheckEcdsa(blob, type));
  } else if (const auto key = TakeString(blob); !key.has_value() || key->size() != kEd25519Bytes) {
    return Refuse("it does not hold 32 bytes; a part may be missing");
  }
  if (type.hardware) {
    const auto application = TakeString(blob);
    if (!application.has_value() || application->size() > kMaxApplicationBytes) {
      return Refuse("its application is missing");
    }
  }
  return blob.empty() ? absl::OkStatus() : Refuse("something follows the key in its data");
}

// What a text without a known type in front looks like.
std::string_view WhatElse(std::string_view text) {
  if (text.starts_with("-----BEGIN") || text.starts_with("PuTTY-User-Key-File")) {
    return "this is a private key, which must not leave its owner; give the file that ends in .pub";
  }
  if (text.starts_with("---- BEGIN SSH2")) {
    return "convert it by `ssh-keygen -i -f FILE`";
  }
  if (text.starts_with("ssh-dss")) {
    return "DSA keys are not taken any more; make one by `ssh-keygen -t ed25519`";
  }
  if (text.substr(0, text.find(' ')).find("-cert-v01@") != std::string_view::npos) {
    return "this is a certificate; give the key itself";
  }
  if (text.find(" ssh-") != std::string_view::npos ||
      text.find(" ecdsa-") != std::string_view::npos) {
    return "options before the key are not taken; give TYPE, BASE64 and COMMENT alone";
  }
  return "it must begin with ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 or another type";
}

}  // namespace

std::string PublicKey::str() const {
  return StrCat(type, " ", Base64Encode(blob), comment.empty() ? "" : " ", comment);
}

absl::StatusOr<PublicKey> ParsePublicKey(std::string_view text) {
  if (text.size() > kMaxPublicKeyBytes) {
    return Refuse(StrCat("it is longer than ", kMaxPublicKeyBytes, " bytes"));
  }
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
  }
  while (!text.empty() && is_blank(text.front())) {
    text.remove_prefix(1);
  }
  if (text.empty()) {
    return Refuse("it is empty");
  }
  const size_t first = text.find(' ');
  const Type* type = FindType(text.substr(0, first));
  if (type == nullptr || first == std::string_view::npos) {
    return Refuse(type != nullptr ? "nothing follows its type" : WhatElse(text));
  }
  if (text.find('\n') != std::string_view::npos) {
    return Refuse("there is more than one line; add each key under a name of its own");
  }
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
  if (control || !IsUtf8(text)) {
    return Refuse("it holds control characters, or is not UTF-8");
  }
  text.remove_prefix(first + 1);
  const size_t second = text.find(' ');
  PublicKey key;
  key.type = type->name;
  absl::StatusOr<std::string> blob = Base64Decode(text.substr(0, second));
  if (!blob.ok()) {
    return Refuse(StrCat(MessageOf(blob.status()), "; a part may be missing"));
  }
  key.blob = *std::move(blob);
  key.comment = second == std::string_view::npos ? "" : text.substr(second + 1);
  while (key.comment.starts_with(' ')) {
    key.comment.erase(0, 1);
  }
  BRAMBLE_RETURN_IF_ERROR(CheckBlob(*type, key.blob, key.bits));
  return key;
}

}  // namespace bramble::api
