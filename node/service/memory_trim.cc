// SPDX-License-Identifier: Apache-2.0
#include "node/service/memory_trim.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"

#include "absl/strings/str_split.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxSmapsBytes = 1 << 20;

struct Mapping {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  bool of_file = false;
  bool writable = true;
  uint64_t resident_kib = 0;
  uint64_t anonymous_kib = 0;
};

// Source: Linux, Documentation/filesystems/proc.rst, /proc/PID/smaps.
std::vector<Mapping> ReadMappings() {
  std::vector<Mapping> mappings;
  const auto smaps = ReadFile("/proc/self/smaps", kMaxSmapsBytes);
  if (!smaps.ok()) {
    return mappings;
  }
  for (const absl::string_view text : absl::StrSplit(*smaps, '\n')) {
    const std::string line(text);
    Mapping mapping;
    char access[5] = {};
    uint64_t begin = 0, end = 0, inode = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64, &begin, &end,
                    access, &inode) == 4) {
      if (end > UINTPTR_MAX) {
        return {};  // another's address space: an emulator of 32 bits shows its own (qemu-user)
      }
      mapping.begin = static_cast<uintptr_t>(begin);
      mapping.end = static_cast<uintptr_t>(end);
      mapping.of_file = inode != 0;
      mapping.writable = access[1] != '-';
      mappings.push_back(mapping);
    } else if (mappings.empty()) {
      continue;
    } else if (std::sscanf(line.c_str(), "Rss: %" SCNu64, &kib) == 1) {
      mappings.back().resident_kib = kib;
    } else if (std::sscanf(line.c_str(), "Anonymous: %" SCNu64, &kib) == 1) {
      mappings.back().anonymous_kib = kib;
    }
  }
  return mappings;
}

}  // namespace

void TrimMemory() {
  malloc_trim(0);
  for (const Mapping& mapping : ReadMappings()) {
    // What is read-only now and was relocated before has pages of its own, and would lose them.
    if (mapping.of_file && !mapping.writable && mapping.resident_kib > 0 &&
        mapping.anonymous_kib == 0) {
      madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
    }
  }
}

}  // namespace bramble::node
