// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a node gets the archive of an image: from the controller (8444), or from a neighbour node
// that has it or is getting it (8445), as the controller says.
//
//   GET  8444 /v1/blobs/{digest}/pieces   BlobPieces: what each piece must be, from the controller
//                                         alone, so that no neighbour is trusted
//   POST 8444 /v1/blobs/{digest}/source   BlobSourceRequest -> BlobSource
//   GET  8444 /v1/blobs/{digest}          the bytes, with Range
//   GET  8445 /v1/blobs/{digest}          the bytes, with Range, against the header kTicketHeader;
//                                         503: it does not have that part yet, or serves as many as
//                                         it can: ask again
//
// A ticket is the controller's signature that one node may have one archive of one other node, for
// a while; both nodes prove their keys to TLS.

#include <vector>

#include "api/json_fields.h"

namespace bramble::api {

inline constexpr uint16_t kNodeBlobPort = 8445;
inline constexpr char kTicketHeader[] = "Bramble-Ticket";
inline constexpr size_t kMaxBlobPieces = 64 * 1024;
inline constexpr size_t kMaxBlobPiecesBytes = 8 << 20;  // of their JSON

struct BlobPieces {
  Bytes size;                       // of the archive
  Bytes piece;                      // of each piece but the last
  std::vector<std::string> sha256;  // of each, 64 lower-case hex digits
};

// What went wrong with the neighbour that was named before.
enum class NeighbourFault { kUnreachable, kSlow, kWrongBytes };
inline constexpr std::string_view kNeighbourFaultNames[] = {"unreachable", "slow", "wrong-bytes"};

struct BlobSourceRequest {
  NodeId failed;  // empty: none did
  NeighbourFault fault = NeighbourFault::kUnreachable;
};

struct BlobNeighbour {
  NodeId node;
  std::string address;     // without a port
  std::string key_sha256;  // hex, of the SPKI that its server must prove
  std::string ticket;
};
struct BlobSource {
  std::optional<BlobNeighbour> neighbour;  // nullopt: the controller itself
};

// What the controller signs.  Times are its signed time.
struct BlobTicket {
  std::string digest;
  std::string fetcher_key_sha256;  // hex
  NodeId server;
  int64_t expires_ms = 0;
};
// The bytes that are signed: every field, each on its line.
std::string TicketText(const BlobTicket& ticket);
// "EXPIRES.SIGNATURE": what travels; the rest is known to both ends.
std::string FormatTicket(int64_t expires_ms, std::string_view signature);
struct ParsedTicket {
  int64_t expires_ms = 0;
  std::string signature;
};
absl::StatusOr<ParsedTicket> ParseTicket(std::string_view text);

json::object ToJson(const BlobPieces& pieces);
// kInvalidArgument also when the pieces do not make up `size`.
absl::StatusOr<BlobPieces> BlobPiecesFromJson(const json::value& value);
json::object ToJson(const BlobSourceRequest& request);
absl::StatusOr<BlobSourceRequest> BlobSourceRequestFromJson(const json::value& value);
json::object ToJson(const BlobSource& source);
absl::StatusOr<BlobSource> BlobSourceFromJson(const json::value& value);

}  // namespace bramble::api
