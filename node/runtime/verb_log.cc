// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "node/runtime/lxc_config.h"
#include "node/runtime/runtime_verbs.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxLogBytes = 2 * kConsoleLogBytes + (1 << 20);
constexpr int64_t kMaxTailLines = 1'000'000;
constexpr int kCheckMs = 500;  // for a log that is not there yet

std::string LastLines(const std::string& text, int64_t lines) {
  if (lines == 0) {
    return text;
  }
  size_t position = text.size();
  if (position > 0 && text[position - 1] == '\n') {
    --position;
  }
  while (lines > 0 && position > 0) {
    position = text.rfind('\n', position - 1);
    if (position == std::string::npos) {
      return text;
    }
    --lines;
  }
  return position == 0 ? text : text.substr(position + 1);
}

std::string ReadOrEmpty(const std::string& path) {
  auto text = ReadFile(path, kMaxLogBytes);
  return text.ok() ? *std::move(text) : std::string();
}

// Whether the reader of standard output has gone.
bool ReaderGone() {
  pollfd out = {1, 0, 0};
  return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

// Prints what is added to `path` behind `offset`, through rotations, until nobody reads.
absl::Status Follow(const std::string& path, off_t offset, ino_t inode) {
  const Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = path.substr(0, path.rfind('/'));
  inotify_add_watch(watch.get(), directory.c_str(),
                    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF);
  while (!ReaderGone()) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info = {};
    if (file.valid() && fstat(file.get(), &info) == 0) {
      if (info.st_ino != inode || info.st_size < offset) {
        offset = 0;
        inode = info.st_ino;
      }
      char buffer[16384];
      for (ssize_t n; (n = pread(file.get(), buffer, sizeof(buffer), offset)) > 0; offset += n) {
        BRAMBLE_RETURN_IF_ERROR(WriteAll(1, {buffer, static_cast<size_t>(n)}, "log"));
      }
    } else if (access(directory.c_str(), F_OK) != 0) {
      return absl::OkStatus();  // the container was deleted
    }
    pollfd ready = {watch.get(), POLLIN, 0};
    if (poll(&ready, 1, kCheckMs) > 0) {
      char events[4096];
      while (read(watch.get(), events, sizeof(events)) > 0) {
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

VerbResult LogVerb(const RuntimeSettings& settings, const json::value& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerId id, IdOf(request));
  JsonObjectReader reader(request, "request");
  const int64_t lines =
      reader.OptionalInt("tail_lines", {.min = 0, .max = kMaxTailLines}).value_or(0);
  const bool follow = reader.OptionalBool("follow").value_or(false);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  BRAMBLE_RETURN_IF_ERROR(ReadRecord(settings.paths, id).status());
  const std::string path = settings.paths.ConsoleLog(id).string();
  struct stat info = {};
  const bool exists = lstat(path.c_str(), &info) == 0;
  const std::string newest = exists ? ReadOrEmpty(path) : "";
  const std::string text = LastLines(ReadOrEmpty(path + ".1") + newest, lines);
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  absl::Status status = WriteAll(1, text, "log");
  if (status.ok() && follow) {
    status = Follow(path, static_cast<off_t>(newest.size()), exists ? info.st_ino : 0);
  }
  BRAMBLE_RETURN_IF_ERROR(status);
  return json::object();
}

}  // namespace bramble::node
