// SPDX-License-Identifier: Apache-2.0
#include "api/blob_transfer.h"

#include <gtest/gtest.h>

namespace bramble::api {
namespace {

BlobPieces Pieces(int64_t size, size_t count) {
  return {.size = {size}, .piece = kMiB, .sha256 = std::vector(count, std::string(64, 'a'))};
}

TEST(BlobTransferTest, PiecesGoToJsonAndBackAndMustMakeUpTheWhole) {
  const BlobPieces pieces = Pieces(5 * kMiB / 2, 3);
  const auto back = BlobPiecesFromJson(ToJson(pieces));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->size.count, pieces.size.count);
  EXPECT_EQ(back->piece.count, kMiB);
  EXPECT_EQ(back->sha256, pieces.sha256);

  EXPECT_TRUE(BlobPiecesFromJson(ToJson(Pieces(2 * kMiB, 2))).ok());
  EXPECT_FALSE(BlobPiecesFromJson(ToJson(Pieces(2 * kMiB, 3))).ok());
  EXPECT_FALSE(BlobPiecesFromJson(ToJson(Pieces(2 * kMiB + 1, 2))).ok());
  BlobPieces bad = Pieces(kMiB, 1);
  bad.sha256[0] = "../../etc/passwd";
  EXPECT_FALSE(BlobPiecesFromJson(ToJson(bad)).ok());
}

TEST(BlobTransferTest, WhoServesAndWhoFailedGoToJsonAndBack) {
  const BlobSourceRequest request{.failed = NodeId::Trusted("n1"),
                                  .fault = NeighbourFault::kWrongBytes};
  const auto asked = BlobSourceRequestFromJson(ToJson(request));
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_EQ(asked->failed, request.failed);
  EXPECT_EQ(asked->fault, NeighbourFault::kWrongBytes);
  EXPECT_TRUE(BlobSourceRequestFromJson(json::object())->failed.empty());

  const BlobSource source{.neighbour = BlobNeighbour{.node = NodeId::Trusted("n2"),
                                                     .address = "172.16.0.12",
                                                     .key_sha256 = std::string(64, 'b'),
                                                     .ticket = "1.AA"}};
  const auto named = BlobSourceFromJson(ToJson(source));
  ASSERT_TRUE(named.ok() && named->neighbour.has_value()) << named.status();
  EXPECT_EQ(named->neighbour->address, "172.16.0.12");
  EXPECT_EQ(named->neighbour->ticket, "1.AA");
  EXPECT_FALSE(BlobSourceFromJson(ToJson(BlobSource{}))->neighbour.has_value());
}

TEST(BlobTransferTest, ATicketIsReadBackAndWhatIsNoneIsRefused) {
  const auto ticket = ParseTicket(FormatTicket(1234, "\x01signature"));
  ASSERT_TRUE(ticket.ok()) << ticket.status();
  EXPECT_EQ(ticket->expires_ms, 1234);
  EXPECT_EQ(ticket->signature, "\x01signature");
  for (const char* bad : {"", "1234", "x.AA", "1234.", "1234.!!", "99999999999999999999.AA"}) {
    EXPECT_FALSE(ParseTicket(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseTicket("1." + std::string(1000, 'A')).ok());
}

TEST(BlobTransferTest, EveryFieldOfATicketIsSigned) {
  const BlobTicket ticket{
      .digest = "d", .fetcher_key_sha256 = "k", .server = NodeId::Trusted("n1"), .expires_ms = 5};
  BlobTicket other = ticket;
  other.digest = "e";
  EXPECT_NE(TicketText(other), TicketText(ticket));
  other = ticket;
  other.fetcher_key_sha256 = "l";
  EXPECT_NE(TicketText(other), TicketText(ticket));
  other = ticket;
  other.server = NodeId::Trusted("n2");
  EXPECT_NE(TicketText(other), TicketText(ticket));
  other = ticket;
  other.expires_ms = 6;
  EXPECT_NE(TicketText(other), TicketText(ticket));
}

}  // namespace
}  // namespace bramble::api
