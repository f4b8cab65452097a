// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/blob_transfer.h"
#include "base/http_client.h"
#include "base/lane.h"
#include "base/log.h"
#include "node/agent/agent.h"
#include "node/uplink/blob_board.h"
#include "node/uplink/controller_access.h"

namespace bramble::node {

// Of one fetch, before the controller itself is asked.
inline constexpr int kMaxNeighbours = 3;

// Fetches archives: the controller says what each piece of one must be and which neighbour has it
// (api/blob_transfer.h); each piece is checked before it counts, is written, and is there for the
// next neighbour.  Goes on where an earlier try left off.  A neighbour that is away, slow, or gives
// other bytes is told of and left; the controller is asked for the rest.  Contexts come from the
// controller alone.
class BlobSource : public ImageSource {
 public:
  struct Options {
    uint16_t port = api::kNodeBlobPort;  // of neighbours
    std::chrono::milliseconds connect_limit{5'000};
    std::chrono::milliseconds reply_limit{15'000};  // above BlobServer's own wait
    std::chrono::milliseconds stall_limit{10'000};
    std::chrono::milliseconds piece_limit{60'000};  // for one piece, from one neighbour
    // Without a piece, from a neighbour that says that it has none yet.
    std::chrono::milliseconds patience{40'000};
  };

  // The bytes are written on `disk`.
  BlobSource(ControllerAccess& access, BlobBoard& board, Lane& disk, Options options, Logger log)
      : access_(access), board_(board), disk_(disk), options_(options), log_(log) {}

  asio::awaitable<absl::Status> Fetch(std::string digest, Bytes size,
                                      std::filesystem::path path) override;
  void Release(const std::string& digest) override { board_.End(digest); }

  asio::awaitable<absl::StatusOr<std::string>> FetchContext(std::string id) override;

  // As which neighbours know this node; before, the controller alone is asked.
  void SetIdentity(PeerIdentity identity) { identity_ = std::move(identity); }

 private:
  struct Job;

  asio::awaitable<absl::Status> FetchWhole(std::string digest, Bytes size,
                                           std::filesystem::path path);
  asio::awaitable<absl::StatusOr<api::BlobPieces>> AskPieces(std::string digest);
  asio::awaitable<absl::StatusOr<api::BlobSource>> AskSource(std::string digest,
                                                             api::BlobSourceRequest request);
  asio::awaitable<absl::StatusOr<HttpReply>> AskController(HttpRequest request);
  asio::awaitable<absl::Status> FetchPieces(std::shared_ptr<Job> job);
  asio::awaitable<absl::Status> FromController(std::shared_ptr<Job> job);
  asio::awaitable<absl::Status> FromNeighbour(std::shared_ptr<Job> job,
                                              api::BlobNeighbour neighbour);
  asio::awaitable<absl::StatusOr<std::string>> AskPiece(std::shared_ptr<Job> job,
                                                        std::shared_ptr<HttpClient> client,
                                                        std::string ticket);
  asio::awaitable<absl::Status> Take(std::shared_ptr<Job> job, std::string bytes);
  asio::awaitable<absl::Status> TakePiece(std::shared_ptr<Job> job, std::string piece);

  ControllerAccess& access_;
  BlobBoard& board_;
  Lane& disk_;
  const Options options_;
  const Logger log_;
  std::optional<PeerIdentity> identity_;
};

}  // namespace bramble::node
