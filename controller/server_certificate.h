// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/certificate.h"
#include "base/clock.h"
#include "controller/store/paths.h"

#include "absl/status/statusor.h"

namespace bramble::controller {

// What both listeners show: the key stays (nodes pin it), the certificate is made anew when this
// machine's names or addresses change and at two thirds of its life.
struct ServerCertificate {
  std::vector<Certificate> chain;  // the leaf, then the CA
  PrivateKey key;
  bool renewed = false;  // by this call
  std::string why;       // it was made anew in place of another; empty: there was none
};

struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
};

// This machine's host name and "localhost", its addresses, and `more` (names or addresses).
ServerNames LocalServerNames(const std::vector<std::string>& more);

// Reads certificate and key below `paths`, and makes what is missing or no longer right.  Blocks.
absl::StatusOr<ServerCertificate> EnsureServerCertificate(const StatePaths& paths, const Issuer& ca,
                                                          const ServerNames& names, WallTime now);

}  // namespace bramble::controller
