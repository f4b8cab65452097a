// SPDX-License-Identifier: Apache-2.0
#pragma once

// This node's port 8445: archives of images for neighbour nodes, and nothing else.
//
// Whoever asks proves the key of a node of this cluster to TLS, and shows the controller's word
// that it may have that archive of this node (api/blob_transfer.h).  What this node is still
// getting is served as far as it was checked; a part that is not there yet is waited for a little,
// then 503.

#include <functional>
#include <memory>
#include <optional>

#include "api/blob_transfer.h"
#include "base/http_server.h"
#include "base/ip.h"
#include "base/lane.h"
#include "base/log.h"
#include "node/images/image_cache.h"
#include "node/uplink/blob_board.h"
#include "node/uplink/controller_access.h"

namespace bramble::node {

inline constexpr size_t kMaxBlobConnections = 8;
inline constexpr size_t kMaxBlobConnectionsPerPeer = 2;

class BlobServer {
 public:
  struct Parts {
    asio::io_context& loop;
    BlobBoard& board;
    const ImageCache& images;
    Lane& disk;                     // reads what is served
    std::function<WallTime()> now;  // the controller's time
    Logger log;
  };
  struct Options {
    uint16_t port = api::kNodeBlobPort;
    std::chrono::milliseconds wait{5'000};       // for a part that is not there yet
    std::chrono::milliseconds try_again{5'000};  // to listen, where that failed
  };

  BlobServer(Parts parts, Options options);

  // Both are needed before it listens.
  void SetIdentity(PeerIdentity identity);
  void SetAddress(Ipv4 address);  // on the cluster network; 0.0.0.0: none

  // Listens where it is told to, from now on, until its scope is cancelled.
  asio::awaitable<void> Run();
  asio::awaitable<void> Stop();

 private:
  absl::Status Listen();
  absl::Status CheckTicket(const Request& request, const std::string& digest) const;
  asio::awaitable<Response> Serve(Request& request);
  asio::awaitable<absl::StatusOr<FileBody>> Find(std::string digest, std::string range);

  const Parts parts_;
  const Options options_;
  std::optional<PeerIdentity> identity_;
  Ipv4 address_;
  Ipv4 listening_;  // 0.0.0.0: nowhere
  std::unique_ptr<HttpServer> server_;
  std::shared_ptr<TlsServerContext> tls_;
  Event changed_;
};

}  // namespace bramble::node
