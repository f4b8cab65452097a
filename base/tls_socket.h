// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/bio.h>

#include <cstdint>

namespace bramble {

// The socket under OpenSSL: like OpenSSL's own BIO for sockets, but without SIGPIPE and with a
// count. For .cc files of base/ only.
struct TlsSocket {
  int fd = -1;
  uint64_t received = 0;
};

// A BIO over `socket`, which must outlive it.
BIO* NewSocketBio(TlsSocket& socket);

}  // namespace bramble
