// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/elf_architecture.h"

// lint: allow(include-vendor) `image import` looks for the architecture, in a child process
#include <archive.h>
// lint: allow(include-vendor) likewise
#include <archive_entry.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "base/status.h"

namespace bramble::cli {
namespace {

constexpr size_t kHeaderBytes = 20;
constexpr int kMaxEntries = 200'000;
constexpr rlim_t kMaxCpuSeconds = 120;
constexpr rlim_t kMaxMemoryBytes = rlim_t{512} << 20;
constexpr uid_t kNobody = 65534;

std::string FirstArchitecture(int fd) {
  archive* reader = archive_read_new();
  archive_read_support_filter_all(reader);
  archive_read_support_format_tar(reader);
  std::string found;
  if (archive_read_open_fd(reader, fd, 64 * 1024) == ARCHIVE_OK) {
    archive_entry* entry = nullptr;
    for (int n = 0; n < kMaxEntries && found.empty(); ++n) {
      const int got = archive_read_next_header(reader, &entry);
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
        break;
      }
      if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_size(entry) < 64) {
        continue;
      }
      char header[kHeaderBytes];
      const la_ssize_t bytes = archive_read_data(reader, header, sizeof(header));
      if (bytes == static_cast<la_ssize_t>(sizeof(header))) {
        found = ElfArchitecture({header, sizeof(header)});
      }
    }
  }
  archive_read_free(reader);
  return found;
}

// In the child: gives up what the parser does not need.
bool GiveUpPrivileges() {
  const struct rlimit cpu = {kMaxCpuSeconds, kMaxCpuSeconds};
  [[maybe_unused]] const struct rlimit memory = {kMaxMemoryBytes, kMaxMemoryBytes};
  const struct rlimit no_files = {0, 0};
  bool ok = ::setrlimit(RLIMIT_CPU, &cpu) == 0 && ::setrlimit(RLIMIT_FSIZE, &no_files) == 0;
#if !defined(BRAMBLE_SANITIZED)  // sanitizers reserve terabytes of addresses
  ok = ok && ::setrlimit(RLIMIT_AS, &memory) == 0;
#endif
  if (::geteuid() == 0) {
    ok = ok && ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
  }
  return ok;
}

}  // namespace

std::string ElfArchitecture(std::string_view header) {
  // ELF-64 and ELF-32 object files, System V ABI: e_ident, then e_machine at byte 18.
  if (header.size() < kHeaderBytes ||
      header.substr(0, 4) !=
          "\x7f"
          "ELF" ||
      header[5] != 1) {
    return "";
  }
  const int machine =
      static_cast<unsigned char>(header[18]) | static_cast<unsigned char>(header[19]) << 8;
  const bool wide = header[4] == 2;
  return machine == 62 && wide    ? "amd64"
         : machine == 183 && wide ? "arm64"
         : machine == 40 && !wide ? "armhf"
                                  : "";
}

absl::StatusOr<std::string> ArchitectureOfArchive(int fd) {
  int ends[2];
  if (::pipe(ends) != 0) {
    return ErrnoStatus(errno, "pipe");
  }
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    return ErrnoStatus(errno, "fork");
  }
  if (child == 0) {
    if (GiveUpPrivileges()) {
      const std::string found = FirstArchitecture(fd);
      [[maybe_unused]] const ssize_t written = ::write(write_end.get(), found.data(), found.size());
    }
    ::_exit(0);
  }
  write_end.Reset();
  char text[16] = {};
  ssize_t got = 0;
  do {
    got = ::read(read_end.get(), text, sizeof(text) - 1);
  } while (got < 0 && errno == EINTR);
  ::waitpid(child, nullptr, 0);
  ::lseek(fd, 0, SEEK_SET);
  if (got <= 0) {
    return absl::NotFoundError(
        "no program for amd64, arm64 or armhf was found in it; is it a tar archive of a root file "
        "system? Say --architecture");
  }
  return std::string(text, static_cast<size_t>(got));
}

}  // namespace bramble::cli
