// SPDX-License-Identifier: Apache-2.0
#include "node/images/archive_testing.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/check.h"

namespace bramble::node {
namespace {

unsigned FileType(char type) {
  switch (type) {
    case 'd':
      return AE_IFDIR;
    case 'l':
      return AE_IFLNK;
    case 'c':
      return AE_IFCHR;
    case 'p':
      return AE_IFIFO;
    default:
      return AE_IFREG;
  }
}

}  // namespace

std::string MakeArchive(const std::vector<TestEntry>& entries, bool packed) {
  size_t room = 1 << 20;
  for (const TestEntry& entry : entries) {
    room += entry.content.size() + entry.path.size() + 4096;
  }
  std::string bytes(room, '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_pax_restricted(writer);
  if (packed) {
    archive_write_add_filter_zstd(writer);
  }
  BRAMBLE_CHECK(archive_write_open_memory(writer, bytes.data(), bytes.size(), &used) == ARCHIVE_OK,
                "memory can be opened");
  for (const TestEntry& entry : entries) {
    archive_entry* made = archive_entry_new();
    archive_entry_set_pathname(made, entry.path.c_str());
    archive_entry_set_perm(made, entry.mode);
    archive_entry_set_uid(made, entry.uid);
    archive_entry_set_gid(made, entry.gid);
    archive_entry_set_filetype(made, FileType(entry.type));
    if (entry.type == 'l') {
      archive_entry_set_symlink(made, entry.content.c_str());
    } else if (entry.type == 'h') {
      archive_entry_set_hardlink(made, entry.content.c_str());
    } else if (entry.type == 'f') {
      archive_entry_set_size(made, static_cast<la_int64_t>(entry.content.size()));
    }
    BRAMBLE_CHECK(archive_write_header(writer, made) == ARCHIVE_OK, "the test's entry is writable");
    if (entry.type == 'f' && !entry.content.empty()) {
      archive_write_data(writer, entry.content.data(), entry.content.size());
    }
    archive_entry_free(made);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  bytes.resize(used);
  return bytes;
}

}  // namespace bramble::node
