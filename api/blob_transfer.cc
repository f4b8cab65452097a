// SPDX-License-Identifier: Apache-2.0
#include "api/blob_transfer.h"

#include "api/image.h"
#include "base/encoding.h"
#include "base/status.h"

#include "absl/strings/numbers.h"

namespace bramble::api {
namespace {

constexpr size_t kMaxTicketBytes = 400;

}  // namespace

std::string TicketText(const BlobTicket& ticket) {
  return StrCat("bramble-blob-v1\n", ticket.digest, "\n", ticket.fetcher_key_sha256, "\n",
                ticket.server.str(), "\n", ticket.expires_ms);
}

std::string FormatTicket(int64_t expires_ms, std::string_view signature) {
  return StrCat(expires_ms, ".", Base64UrlEncode(signature));
}

absl::StatusOr<ParsedTicket> ParseTicket(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError("ticket: not one of this cluster");
  const size_t dot = text.find('.');
  ParsedTicket ticket;
  if (text.size() > kMaxTicketBytes || dot == std::string_view::npos ||
      !absl::SimpleAtoi(ToAbsl(text.substr(0, dot)), &ticket.expires_ms)) {
    return bad;
  }
  absl::StatusOr<std::string> signature = Base64UrlDecode(text.substr(dot + 1));
  if (!signature.ok() || signature->empty()) {
    return bad;
  }
  ticket.signature = *std::move(signature);
  return ticket;
}

json::object ToJson(const BlobPieces& pieces) {
  return {{"size_bytes", pieces.size.count},
          {"piece_bytes", pieces.piece.count},
          {"sha256", ToJson(pieces.sha256)}};
}

absl::StatusOr<BlobPieces> BlobPiecesFromJson(const json::value& value) {
  JsonObjectReader reader(value, "pieces");
  BlobPieces pieces;
  pieces.size.count = reader.Int("size_bytes", {.min = 0});
  pieces.piece.count = reader.Int("piece_bytes", {.min = 4096, .max = 64 << 20});
  pieces.sha256 = reader.StringList("sha256", kMaxBlobPieces, {.max = 64});
  for (const std::string& digest : pieces.sha256) {
    reader.Merge(CheckDigest(digest));
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  const int64_t wanted = pieces.size.count / pieces.piece.count +
                         (pieces.size.count % pieces.piece.count == 0 ? 0 : 1);
  if (wanted != static_cast<int64_t>(pieces.sha256.size())) {
    return absl::InvalidArgumentError(StrCat(
        "pieces: ", pieces.sha256.size(), " of them do not make up ", pieces.size.count, " bytes"));
  }
  return pieces;
}

json::object ToJson(const BlobSourceRequest& request) {
  json::object object;
  if (!request.failed.empty()) {
    object["failed"] = request.failed.str();
    object["fault"] = kNeighbourFaultNames[static_cast<size_t>(request.fault)];
  }
  return object;
}

absl::StatusOr<BlobSourceRequest> BlobSourceRequestFromJson(const json::value& value) {
  JsonObjectReader reader(value, "source");
  BlobSourceRequest request;
  request.failed = reader.OptionalParsed<NodeId>("failed");
  request.fault = EnumField<NeighbourFault>(reader, "fault", kNeighbourFaultNames,
                                            NeighbourFault::kUnreachable);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return request;
}

json::object ToJson(const BlobSource& source) {
  json::object object;
  if (source.neighbour.has_value()) {
    object["neighbour"] = json::object{{"node", source.neighbour->node.str()},
                                       {"address", source.neighbour->address},
                                       {"key_sha256", source.neighbour->key_sha256},
                                       {"ticket", source.neighbour->ticket}};
  }
  return object;
}

absl::StatusOr<BlobSource> BlobSourceFromJson(const json::value& value) {
  JsonObjectReader reader(value, "source");
  BlobSource source;
  if (const json::value* named = reader.Find("neighbour")) {
    JsonObjectReader neighbour(*named, reader.PathOf("neighbour"));
    BlobNeighbour one;
    one.node = neighbour.Parsed<NodeId>("node");
    one.address = neighbour.String("address", {.max = 64});
    one.key_sha256 = neighbour.String("key_sha256", {.max = 64});
    one.ticket = neighbour.String("ticket", {.max = kMaxTicketBytes});
    neighbour.Merge(CheckDigest(one.key_sha256));
    reader.Merge(neighbour.Finish());
    source.neighbour = std::move(one);
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return source;
}

}  // namespace bramble::api
