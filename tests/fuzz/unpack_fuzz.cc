// SPDX-License-Identifier: Apache-2.0
// An image's archive, unpacked as bramble-unpack does it, but for the sandbox: what is beside the
// tree stays as it is.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "node/images/archive_testing.h"
#include "node/images/unpack.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {
namespace {

namespace fs = std::filesystem;

// A tree of its own for this process, in memory.
const fs::path& Base() {
  static const fs::path base = [] {
    char name[] = "/dev/shm/bramble-fuzz-XXXXXX";
    BRAMBLE_CHECK(::mkdtemp(name) != nullptr, "there is memory");
    std::ofstream(fs::path(name) / "secret") << "untouched";
    std::atexit([] {
      fs::current_path("/");
      std::error_code ignored;
      fs::remove_all(Base(), ignored);
    });
    return fs::path(name);
  }();
  return base;
}

}  // namespace

void Try(std::string_view input) {
  const fs::path before = fs::current_path();
  const fs::path tree = Base() / "tree";
  std::error_code error;
  fs::remove_all(tree, error);
  BRAMBLE_CHECK(!error && fs::create_directory(tree, error), "what was unpacked can be removed");
  fs::current_path(tree);

  const Fd file(::memfd_create("archive", MFD_CLOEXEC));
  BRAMBLE_CHECK(
      ::write(file.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()),
      "there is memory");
  ::lseek(file.get(), 0, SEEK_SET);
  const node::UnpackLimits limits{
      .entries = 50, .unpacked = {256 * 1024}, .ratio = 100, .path_bytes = 512, .depth = 8};
  const absl::StatusOr<node::UnpackResult> unpacked = node::Unpack(file.get(), limits);
  if (unpacked.ok()) {
    BRAMBLE_CHECK(unpacked->entries <= limits.entries, "the limit holds");
    BRAMBLE_CHECK(unpacked->unpacked.count <= limits.unpacked.count, "the limit holds");
  }
  fs::current_path(before);
  size_t beside = 0;
  for (const auto& entry : fs::directory_iterator(Base())) {
    ++beside;
    BRAMBLE_CHECK(entry.path().filename() == "tree" || entry.path().filename() == "secret",
                  "nothing is written beside the tree");
  }
  BRAMBLE_CHECK(beside == 2 && Contents((Base() / "secret").string()) == "untouched",
                "what is beside the tree stays as it is");
}

std::vector<std::string> Seeds() {
  const std::vector<node::TestEntry> good = {
      {.path = "bin", .type = 'd', .content = "", .mode = 0755},
      {.path = "bin/sh", .content = "#!x"},
      {.path = "etc/motd", .content = "hello"},
      {.path = "etc/link", .type = 'l', .content = "motd"},
      {.path = "etc/hard", .type = 'h', .content = "etc/motd"},
      {.path = "dev/null", .type = 'c', .content = ""},
      {.path = "run/pipe", .type = 'p', .content = ""}};
  return {node::MakeArchive(good),
          node::MakeArchive(good, /*packed=*/true),
          node::MakeArchive({{.path = "../secret", .content = "evil"}}),
          node::MakeArchive({{.path = "/etc/x", .content = "evil"}}),
          node::MakeArchive({{.path = "l", .type = 'l', .content = ".."},
                             {.path = "l/secret", .content = "evil"}}),
          node::MakeArchive({{.path = "h", .type = 'h', .content = "../secret"}})};
}

}  // namespace bramble::fuzz
