// SPDX-License-Identifier: Apache-2.0
#pragma once

// The check of a certificate chain, shared by both ends.  For .cc files of base/ only.

#include <optional>
#include <string>

#include <openssl/x509.h>

#include "base/certificate.h"
#include "base/clock.h"

#include "absl/status/status.h"

namespace bramble {

struct ChainCheck {
  const Certificate* ca = nullptr;  // nullptr: what the system trusts
  bool server = true;               // the use that the leaf must allow
  std::optional<WallTime> now;      // nullopt: dates are not looked at
  std::string name;                 // empty: any
};

// kPermissionDenied with OpenSSL's reason.
absl::Status VerifyChain(X509* leaf, STACK_OF(X509) * untrusted, const ChainCheck& check);

}  // namespace bramble
