// SPDX-License-Identifier: Apache-2.0
// What a damaged card gives back: records of two slots each, and the notes.  Whatever was there,
// what is saved next is what is read after it.
#include "base/fake_disk.h"
#include "node/journal/journal.h"
#include "node/journal/notes.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

constexpr const char* kRecords[] = {"identity", "desired", "session", "network", "names"};

const node::NodePaths kPaths{.state = "/state", .run = "/run"};

// Gives what it could load, as the agent would use it.
void LoadAll(node::Journal& journal) {
  (void)journal.LoadIdentity();
  (void)journal.LoadDesired();
  (void)journal.LoadNetwork();
  (void)journal.LoadNames();
  (void)journal.LoadSession();
}

std::string Slot(uint64_t sequence, std::string_view text) {
  return "bramble-record 1 " + std::to_string(sequence) + " " + std::to_string(text.size()) + " " +
         std::to_string(node::Crc32(text)) + "\n" + std::string(text);
}

}  // namespace

// The first byte says how the rest is used: as a whole file, as both, or as the text of a good
// record.
void Try(std::string_view input) {
  const uint8_t how = TakeByte(input);
  FakeDisk disk;
  BRAMBLE_CHECK(disk.MakeDirectory("/state").ok(), "the disk is whole");
  const size_t half = how % 4 == 1 ? input.size() / 2 : input.size();
  const bool framed = how % 4 >= 2;
  for (const char* name : kRecords) {
    const std::string first = framed ? Slot(7, input) : std::string(input.substr(0, half));
    BRAMBLE_CHECK(disk.Write(kPaths.Record(name, 0), first).ok(), "the disk is whole");
    if (half < input.size()) {
      BRAMBLE_CHECK(disk.Write(kPaths.Record(name, 1), input.substr(half)).ok(), "the same");
    }
  }
  node::Journal journal(disk, kPaths);
  LoadAll(journal);
  const node::SessionRecord session{.value = "v", .previous = "p"};
  BRAMBLE_CHECK(journal.SaveSession(session).ok(), "the disk takes writes");
  node::Journal again(disk, kPaths);
  const auto loaded = again.LoadSession();
  BRAMBLE_CHECK(loaded.ok() && loaded->has_value() && (*loaded)->value == "v",
                "what was saved last is read");

  for (const auto& [id, notes] : node::DecodeNotes(input, "boot")) {
    BRAMBLE_CHECK(!id.empty(), "notes are of a container");
  }
}

std::vector<std::string> Seeds() {
  FakeDisk disk;
  node::Journal journal(disk, kPaths);
  api::NodeContainer container;
  container.id = ContainerId::Trusted("c1");
  container.name = ContainerName::Trusted("web");
  container.project = ProjectName::Trusted("default");
  container.spec.image = "busybox";
  container.image_digest = std::string(64, 'd');
  BRAMBLE_CHECK(journal.Open().ok(), "the disk is whole");
  BRAMBLE_CHECK(journal
                    .SaveDesired({.version = {3, 9},
                                  .containers = {container},
                                  .tombstones = {ContainerId::Trusted("c2")},
                                  .id_ranges = {{container.id, 0x20000000}}})
                    .ok(),
                "the same");
  BRAMBLE_CHECK(journal.SaveSession({.value = "s2", .previous = "s1"}).ok(), "the same");
  BRAMBLE_CHECK(journal
                    .SaveIdentity({.node_id = NodeId::Trusted("n1"),
                                   .name = NodeName::Trusted("pi-1"),
                                   .cluster_id = ClusterId::Trusted("k1"),
                                   .controller_key_sha256 = std::string(64, 'a'),
                                   .controllers = {"172.16.0.1:8444"}})
                    .ok(),
                "the same");
  std::vector<std::string> seeds;
  for (const char* name : {"desired", "session", "identity"}) {
    for (const int slot : {0, 1}) {
      const auto bytes = disk.Read(kPaths.Record(name, slot), 1 << 20);
      if (bytes.ok()) {
        seeds.push_back(std::string(1, '\0') + *bytes);
        seeds.push_back("\x01" + *bytes + *bytes);
        seeds.push_back("\x02" + bytes->substr(bytes->find('\n') + 1));
      }
    }
  }
  seeds.push_back("\x02" + node::EncodeNotes({{ContainerId::Trusted("c1"),
                                               {.exit_code = 3, .restarts = 2, .reason = "r"}}},
                                             "boot"));
  return seeds;
}

}  // namespace bramble::fuzz
