// SPDX-License-Identifier: Apache-2.0
#pragma once

// TLS by OpenSSL, straight on a non-blocking socket: no second copy of what is sent, and no buffer
// where nothing is under way.
//
// Session resumption is off: a peer is always what it proved in this handshake.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/asio.h"
#include "base/certificate.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/ip.h"

#include "absl/status/statusor.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace bramble {

enum class TlsVersion { kTls12, kTls13 };

// What a client showed of itself.
enum class PeerCertificate {
  kNone,
  kValid,
  kExpired,  // in order but for its dates (also: not yet valid)
  kInvalid,  // another CA's, another use's, or broken
};

struct TlsPeer {
  PeerCertificate state = PeerCertificate::kNone;
  Certificate certificate;  // unless kNone.  The peer has proved that it holds the key.
  Sha256Digest spki;        // of `certificate`
};

// How a server's certificate is checked.  All refuse a server without one.
struct PinnedKey {  // the key is this one, whatever the dates and names
  Sha256Digest spki;
};
struct IssuedByCa {  // by this CA, for servers, valid now; whatever the name
  Certificate ca;
};
struct IssuedByCaForName {  // and for this DNS name or IP address
  Certificate ca;
  std::string name;
};
struct IssuedBySystemCaForName {  // any CA that this machine trusts
  std::string name;
};
// Any key: a first meeting, which a person then confirms by comparing a code made of both keys. The
// caller sends no secret, and pins TlsPeer::spki from then on.
struct FirstUse {};
using ServerCheck =
    std::variant<PinnedKey, IssuedByCa, IssuedByCaForName, IssuedBySystemCaForName, FirstUse>;

struct TlsServerOptions {
  std::vector<Certificate> chain;  // the leaf first
  PrivateKey key;
  TlsVersion at_least = TlsVersion::kTls13;
  // Set: clients are asked for a certificate and it is checked against this CA.  None, or a bad
  // one, does not fail the handshake: TlsStream::peer() tells.
  std::optional<Certificate> client_ca;
  const Clock* clock = nullptr;  // for dates; nullptr: the system's
};

// Shared by connections; loop only.
class TlsServerContext {
 public:
  static absl::StatusOr<std::shared_ptr<TlsServerContext>> Make(TlsServerOptions options);
  ~TlsServerContext();

  // For connections from now on.
  absl::Status SetCertificate(const std::vector<Certificate>& chain, const PrivateKey& key);
  SSL_CTX* native() const { return context_; }

 private:
  friend class TlsStream;
  TlsServerContext() = default;
  SSL_CTX* context_ = nullptr;
  TlsServerOptions options_;
};

struct TlsClientOptions {
  ServerCheck check;
  TlsVersion at_least = TlsVersion::kTls13;
  // Shown to the server when it asks; empty: none.
  std::vector<Certificate> chain;
  PrivateKey key;
  const Clock* clock = nullptr;  // for dates; nullptr: the system's
};

class TlsClientContext {
 public:
  static absl::StatusOr<std::shared_ptr<TlsClientContext>> Make(TlsClientOptions options);
  ~TlsClientContext();
  SSL_CTX* native() const { return context_; }

 private:
  friend class TlsStream;
  TlsClientContext() = default;
  SSL_CTX* context_ = nullptr;
  TlsClientOptions options_;
};

// A TLS connection.  One reader and one writer at a time.  Loop only.
class TlsStream {
 public:
  // Dials `target` (a name is resolved by the system) and shakes hands, within `limit`.
  // kUnavailable: not reached; kPermissionDenied: the server's certificate failed the check (the
  // message says how); kDeadlineExceeded.
  static asio::awaitable<absl::StatusOr<std::unique_ptr<TlsStream>>> Connect(
      std::shared_ptr<TlsClientContext> context, HostPort target, std::chrono::milliseconds limit);

  // The server's side of a connection that was accepted.  Owns `fd`.
  static absl::StatusOr<std::unique_ptr<TlsStream>> Accepted(
      asio::io_context& loop, std::shared_ptr<TlsServerContext> context, int fd,
      std::string peer_address);

  ~TlsStream();

  // The server's side.  Abort() ends it.
  asio::awaitable<absl::Status> Handshake();

  // What is there now: the number of bytes, 0 at the end (close_notify); nullopt: nothing yet,
  // await Readable().  Does not suspend.
  absl::StatusOr<std::optional<size_t>> TryRead(char* out, size_t size);
  // Likewise: how many bytes of `bytes` were taken; nullopt: await Writable(), then give the same
  // bytes again.
  absl::StatusOr<std::optional<size_t>> TryWrite(std::string_view bytes);
  asio::awaitable<absl::Status> Readable();
  asio::awaitable<absl::Status> Writable();

  // At least one byte, or 0 at the end.
  asio::awaitable<absl::StatusOr<size_t>> Read(char* out, size_t size);
  // All of `bytes`, which must live until then.
  asio::awaitable<absl::Status> Write(std::string_view bytes);

  // Says goodbye (close_notify) as far as that needs no waiting; reading goes on.
  void CloseWrite();
  // CloseWrite, and closes.
  void Close();
  // Closes at once.  What waits ends with kUnavailable.
  void Abort();
  bool is_open() const;

  // Complete after the handshake.
  const TlsPeer& peer() const;
  const std::string& peer_address() const;  // "192.0.2.1", without the port
  // RFC 5705 / RFC 8446 7.5 exporter without context: the same at both ends of this connection, and
  // nowhere else.
  absl::StatusOr<std::string> ExportKeyingMaterial(std::string_view label, size_t bytes = 32) const;
  // "TLSv1.3".
  std::string version() const;
  // How many bytes the socket has read since the start: to tell that the peer is alive.
  uint64_t bytes_received() const;

 private:
  struct State;
  explicit TlsStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bramble
