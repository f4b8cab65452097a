// SPDX-License-Identifier: Apache-2.0
// Archives from node to node.
#include "node/uplink/blob_transfer_fixture.h"

namespace bramble::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(BlobTransferTest, AChainOfNodesTakesOneCopyFromTheController) {
  for (const int number : {2, 3, 4}) {
    AddPeer(number);
  }
  neighbours_ = {{3, {2}}, {4, {3}}};
  // All at once: each serves what it is still getting.
  Scope scope(loop_, Logger());
  std::map<int, absl::Status> ended;
  for (const int number : {4, 3, 2}) {
    Spawn(scope, "fetch",
          Keep(peers_.at(number)->source.Fetch(digest_, {static_cast<int64_t>(bytes_.size())},
                                               FileOf(number)),
               &ended[number]));
  }
  RunOnLoop(loop_, scope.Drain());
  for (const int number : {2, 3, 4}) {
    EXPECT_TRUE(ended[number].ok()) << ended[number];
    EXPECT_EQ(Fetched(number), bytes_) << number;
  }
  EXPECT_THAT(from_controller_, ElementsAre(bytes_.size()));
  EXPECT_EQ(peers_.at(2)->board.counters.to_neighbours, bytes_.size());
  EXPECT_EQ(peers_.at(3)->board.counters.from_neighbours, bytes_.size());
  EXPECT_EQ(peers_.at(4)->board.counters.from_neighbours, bytes_.size());
  EXPECT_THAT(faults_, IsEmpty());
}

TEST_F(BlobTransferTest, ANeighbourThatHasItWholeServesItsArchive) {
  AddPeer(2);
  AddPeer(3);
  std::ofstream(FileOf(2), std::ios::binary) << bytes_;
  ASSERT_TRUE(RunOnLoop(loop_, peers_.at(2)->cache.Add(digest_)).ok());
  neighbours_ = {{3, {2}}};
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_THAT(from_controller_, IsEmpty());
}

TEST_F(BlobTransferTest, ANeighbourThatLiesIsFoundOutAtTheFirstWrongPieceAndToldOf) {
  AddPeer(2);
  AddPeer(3);
  std::string wrong = bytes_;
  wrong[3 * kPiece + 7] ^= 1;
  Has(2, wrong, wrong.size());
  neighbours_ = {{3, {2}}};
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_THAT(faults_, ElementsAre("n2 wrong-bytes"));
  EXPECT_THAT(from_controller_, ElementsAre(bytes_.size() - 3 * kPiece)) << "what was right stays";
}

TEST_F(BlobTransferTest, ANeighbourThatEndsInTheMiddleIsReplacedAndWhatCameStays) {
  AddPeer(2);
  AddPeer(3);
  AddPeer(4);
  Has(2, bytes_, 4 * kPiece);
  Has(4, bytes_, bytes_.size());
  neighbours_ = {{3, {2, 4}}};
  Scope scope(loop_, Logger());
  absl::Status ended = absl::UnknownError("not yet");
  Spawn(scope, "fetch",
        Keep(peers_.at(3)->source.Fetch(digest_, {static_cast<int64_t>(bytes_.size())}, FileOf(3)),
             &ended));
  while (peers_.at(3)->board.counters.from_neighbours < 4 * kPiece) {
    RunOnLoop(loop_, Pause(5ms));
  }
  RunOnLoop(loop_, peers_.at(2)->server.Stop());
  RunOnLoop(loop_, scope.Drain());
  EXPECT_TRUE(ended.ok()) << ended;
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_THAT(faults_, ElementsAre("n2 unreachable"));
  EXPECT_EQ(peers_.at(4)->board.counters.to_neighbours, bytes_.size() - 4 * kPiece);
  EXPECT_THAT(from_controller_, IsEmpty());
}

TEST_F(BlobTransferTest, ANeighbourThatGetsNothingNewIsLeftAfterAWhile) {
  patience_ = 300ms;
  AddPeer(2);
  AddPeer(3);
  Has(2, bytes_, kPiece);
  neighbours_ = {{3, {2}}};
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_THAT(faults_, ElementsAre("n2 slow"));
}

TEST_F(BlobTransferTest, AfterThreeNeighboursThatFailTheControllerGivesIt) {
  for (const int number : {3, 5, 6, 7, 8}) {
    AddPeer(number, /*serves=*/number == 3);
  }
  neighbours_ = {{3, {5, 6, 7, 8}}};
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_EQ(neighbours_[3].size(), 1u) << "a fourth was not asked for";
  EXPECT_THAT(from_controller_, ElementsAre(bytes_.size()));
}

TEST_F(BlobTransferTest, WhatAnEarlierTryLeftCountsAsFarAsItIsRight) {
  AddPeer(3);
  std::ofstream(FileOf(3), std::ios::binary)
      << bytes_.substr(0, 2 * kPiece) << std::string(3 * kPiece, 'x');
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_EQ(Fetched(3), bytes_);
  EXPECT_THAT(from_controller_, ElementsAre(bytes_.size() - 2 * kPiece));
  from_controller_.clear();
  ASSERT_TRUE(Fetch(3).ok());
  EXPECT_THAT(from_controller_, IsEmpty()) << "it is all there";
}

TEST_F(BlobTransferTest, OnlyWhoTheControllerNamedIsServedAndOnlyThat) {
  Peer& server = AddPeer(2);
  Peer& client = AddPeer(3);
  Peer& other = AddPeer(4);
  Has(2, bytes_, bytes_.size());
  const NodeId& id = server.identity_of.node;
  const Sha256Digest key = client.identity_of.key.Spki();
  const std::string good = TicketFor(id, key, digest_);
  EXPECT_EQ(Ask(3, 2, good), 206);
  EXPECT_EQ(Ask(4, 2, good), 403) << "another node's ticket";
  EXPECT_EQ(Ask(3, 2, TicketFor(id, other.identity_of.key.Spki(), digest_)), 403);
  EXPECT_EQ(Ask(3, 2, TicketFor(other.identity_of.node, key, digest_)), 403) << "for another node";
  EXPECT_EQ(Ask(3, 2, TicketFor(id, key, std::string(64, 'a'))), 403) << "for another image";
  EXPECT_EQ(Ask(3, 2, TicketFor(id, key, digest_, std::chrono::hours(-1))), 403) << "too old";
  EXPECT_EQ(Ask(3, 2, "1.AAAA"), 403);
  EXPECT_EQ(Ask(3, 2, ""), 400);
  EXPECT_EQ(Ask(3, 2, good, "bytes=0-9", /*with_certificate=*/false), 401);
}

TEST_F(BlobTransferTest, WhatIsNotCheckedYetIsNotServed) {
  AddPeer(2);
  Peer& client = AddPeer(3);
  Has(2, bytes_, kPiece);
  const std::string ticket =
      TicketFor(peers_.at(2)->identity_of.node, client.identity_of.key.Spki(), digest_);
  EXPECT_EQ(Ask(3, 2, ticket, StrCat("bytes=0-", kPiece - 1)), 206);
  EXPECT_EQ(Ask(3, 2, ticket, StrCat("bytes=0-", kPiece)), 503);
  EXPECT_EQ(Ask(3, 2, ticket, ""), 400) << "nor the whole";
  peers_.at(2)->board.End(digest_);
  EXPECT_EQ(Ask(3, 2, ticket), 404);
}

}  // namespace
}  // namespace bramble::node
