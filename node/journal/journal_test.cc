// SPDX-License-Identifier: Apache-2.0
#include "node/journal/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fake_disk.h"
#include "base/long_tests.h"
#include "node/journal/notes.h"

namespace bramble::node {
namespace {

using testing::Optional;

const NodePaths kPaths = {.state = "/state", .run = "/run"};

DesiredRecord Desired(uint64_t generation) {
  DesiredRecord desired{.version = {1, generation}};
  for (uint64_t i = 0; i < generation; ++i) {
    api::NodeContainer container;
    container.id = ContainerId::Trusted("c" + std::to_string(i));
    container.name = ContainerName::Trusted("web" + std::to_string(i));
    container.project = ProjectName::Trusted("default");
    container.spec.image = "busybox";
    container.image_digest = std::string(64, 'a');
    container.architecture = "amd64";
    desired.containers.push_back(container);
  }
  desired.tombstones.push_back(ContainerId::Trusted("gone"));
  return desired;
}

// The generation that a node finds after a start; 0: none.
uint64_t Found(Disk& disk) {
  Journal journal(disk, kPaths);
  absl::StatusOr<std::optional<DesiredRecord>> desired = journal.LoadDesired();
  return desired.ok() && desired->has_value() ? (*desired)->version.generation : 0;
}

TEST(JournalTest, GivesBackWhatWasSaved) {
  FakeDisk disk;
  Journal journal(disk, kPaths);
  ASSERT_TRUE(journal.Open().ok());
  EXPECT_FALSE(journal.LoadDesired()->has_value());
  const DesiredRecord saved = Desired(3);
  ASSERT_TRUE(journal.SaveDesired(saved).ok());
  Identity identity;
  identity.node_id = NodeId::Trusted("n1");
  identity.certificate_pem = "-----BEGIN\nx\n";
  identity.controllers = {"172.16.0.1:8444"};
  ASSERT_TRUE(journal.SaveIdentity(identity).ok());

  Journal again(disk, kPaths);
  const absl::StatusOr<std::optional<DesiredRecord>> loaded = again.LoadDesired();
  ASSERT_TRUE(loaded.ok() && loaded->has_value()) << loaded.status();
  EXPECT_EQ((*loaded)->version, saved.version);
  EXPECT_EQ((*loaded)->containers, saved.containers);
  EXPECT_EQ((*loaded)->tombstones, saved.tombstones);
  EXPECT_THAT(*again.LoadIdentity(), Optional(identity));
}

TEST(JournalTest, WhatWasSavedOutlivesAPowerCutAtAnyStep) {
  FakeDisk measure;
  Journal calm(measure, kPaths);
  ASSERT_TRUE(calm.Open().ok());
  for (uint64_t generation = 1; generation <= 5; ++generation) {
    ASSERT_TRUE(calm.SaveDesired(Desired(generation)).ok());
  }
  const uint64_t steps = measure.changes();

  for (uint64_t seed = 0; seed < Rounds(50, 200); ++seed) {
    for (uint64_t step = 1; step <= steps; ++step) {
      SeededRandom random(seed * 1000 + step);
      FakeDisk disk;
      disk.FailFrom(step);
      uint64_t saved = 0;
      uint64_t tried = 0;
      Journal journal(disk, kPaths);
      if (journal.Open().ok()) {
        for (uint64_t generation = 1; generation <= 5; ++generation) {
          tried = generation;
          if (!journal.SaveDesired(Desired(generation)).ok()) {
            break;
          }
          saved = generation;
        }
      }
      disk.LosePower(&random);
      const uint64_t found = Found(disk);
      EXPECT_GE(found, saved) << "step " << step << " seed " << seed;
      EXPECT_LE(found, tried) << "step " << step << " seed " << seed;

      Journal after(disk, kPaths);
      ASSERT_TRUE(after.Open().ok());
      ASSERT_TRUE(after.SaveDesired(Desired(9)).ok());
      disk.LosePower(&random);
      EXPECT_EQ(Found(disk), 9u) << "step " << step << " seed " << seed;
    }
  }
}

TEST(JournalTest, AFailedSaveLeavesThePreviousAndTheNextOneWorks) {
  for (uint64_t step = 1; step <= 3; ++step) {
    FakeDisk disk;
    Journal journal(disk, kPaths);
    ASSERT_TRUE(journal.Open().ok());
    ASSERT_TRUE(journal.SaveDesired(Desired(1)).ok());
    disk.FailOnce(step, absl::ResourceExhaustedError("/state: No space left on device"));
    const bool saved = journal.SaveDesired(Desired(2)).ok();
    EXPECT_EQ(Found(disk) >= (saved ? 2u : 1u), true);
    ASSERT_TRUE(journal.SaveDesired(Desired(3)).ok());
    EXPECT_EQ(Found(disk), 3u);
  }
}

TEST(JournalTest, AFlippedBitCostsOneVersionAndTwoCostTheRecord) {
  FakeDisk disk;
  Journal journal(disk, kPaths);
  ASSERT_TRUE(journal.Open().ok());
  ASSERT_TRUE(journal.SaveDesired(Desired(1)).ok());
  ASSERT_TRUE(journal.SaveDesired(Desired(2)).ok());
  const auto flip = [&disk](int slot, size_t at) {
    std::string bytes = *disk.Read(kPaths.Record("desired", slot), kMaxRecordBytes);
    bytes[std::min(at, bytes.size() - 1)] ^= 4;
    ASSERT_TRUE(disk.Write(kPaths.Record("desired", slot), bytes).ok());
  };

  for (const size_t at : {0u, 18u, 20u, 40u, 400u, 100000u}) {
    flip(1, at);
    EXPECT_EQ(Found(disk), 1u) << at;
    flip(1, at);
    EXPECT_EQ(Found(disk), 2u) << at;
  }
  flip(0, 50);
  flip(1, 50);
  Journal again(disk, kPaths);
  EXPECT_EQ(again.LoadDesired().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(again.SaveDesired(Desired(4)).ok());
  EXPECT_EQ(Found(disk), 4u);
}

TEST(JournalTest, WhatIsSavedAlreadyIsNotWrittenAgain) {
  FakeDisk disk;
  Journal journal(disk, kPaths);
  ASSERT_TRUE(journal.Open().ok());
  ASSERT_TRUE(journal.SaveDesired(Desired(50)).ok());
  ASSERT_TRUE(journal.SaveSession({"a", "b"}).ok());
  const uint64_t bytes = disk.bytes_written();
  const uint64_t syncs = disk.syncs();

  for (int heartbeat = 0; heartbeat < 500; ++heartbeat) {
    ASSERT_TRUE(journal.SaveDesired(Desired(50)).ok());
    ASSERT_TRUE(journal.SaveSession({"a", "b"}).ok());
  }

  EXPECT_EQ(disk.bytes_written(), bytes);
  EXPECT_EQ(disk.syncs(), syncs);
}

TEST(JournalTest, TheChecksumIsTheOneOfGzip) { EXPECT_EQ(Crc32("123456789"), 0xcbf43926u); }

TEST(NotesTest, HoldForOneBoot) {
  ContainerNotes note{.exit_code = 3, .restarts = 2, .failures = 1, .reason = "its init ended"};
  note.retry_at = BootTime(std::chrono::seconds(5));
  note.gave_up = true;
  note.started = true;
  note.generation = 9;
  const std::map<ContainerId, ContainerNotes> notes = {{ContainerId::Trusted("c1"), note}};

  EXPECT_EQ(DecodeNotes(EncodeNotes(notes, "boot-1"), "boot-1"), notes);
  EXPECT_TRUE(DecodeNotes(EncodeNotes(notes, "boot-1"), "boot-2").empty());
  EXPECT_TRUE(DecodeNotes("{", "boot-1").empty());
  EXPECT_TRUE(DecodeNotes("[]", "boot-1").empty());
}

}  // namespace
}  // namespace bramble::node
