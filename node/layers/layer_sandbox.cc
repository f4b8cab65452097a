// SPDX-License-Identifier: Apache-2.0
// What is done around the sandbox: opaque directories, and carrying results out of it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/beneath.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/images/sandbox.h"
#include "node/layers/layer_walk.h"
#include "node/layers/pack_layer.h"

namespace bramble::node {
namespace {

// Source: Linux, Documentation/filesystems/overlayfs.rst, "Whiteouts and opaque directories".
constexpr char kOpaque[] = "trusted.overlay.opaque";
constexpr size_t kMaxOpaqueBytes = 64 << 20;  // of their paths, all together
constexpr int64_t kCpuSeconds = 24 * 3600;

bool IsOpaque(int directory) {
  char value = 0;
  return fgetxattr(directory, kOpaque, &value, 1) == 1 && value == 'y';
}

// The names of the directories in `directory`, which is closed then.
absl::StatusOr<std::vector<std::string>> Directories(Fd directory) {
  DIR* opened = fdopendir(directory.get());
  if (opened == nullptr) {
    return ErrnoStatus(errno, "layer");
  }
  directory.Release();
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opened, closedir);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    struct stat info {};
    if (name != "." && name != ".." &&
        fstatat(dirfd(dir.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode)) {
      names.push_back(name);
    }
  }
  return names;
}

absl::StatusOr<std::set<std::string>> FindOpaque(int upper) {
  std::set<std::string> opaque;
  std::vector<std::string> waiting = {""};
  size_t bytes = 0;
  while (!waiting.empty()) {
    const std::string path = std::move(waiting.back());
    waiting.pop_back();
    BRAMBLE_ASSIGN_OR_RETURN(Fd directory, OpenBeneath(upper, path.empty() ? "." : path,
                                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (IsOpaque(directory.get())) {
      bytes += path.size() + 1;
      opaque.insert(path);
    }
    if (bytes > kMaxOpaqueBytes) {
      return absl::ResourceExhaustedError("layer: too many opaque directories");
    }
    BRAMBLE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                             Directories(std::move(directory)));
    for (const std::string& name : names) {
      waiting.push_back(path.empty() ? name : StrCat(path, "/", name));
    }
  }
  return opaque;
}

absl::Status SetOpaque(int upper, std::string_view paths) {
  while (!paths.empty()) {
    const std::string path(paths.substr(0, paths.find('\0')));
    paths.remove_prefix(std::min(paths.size(), path.size() + 1));
    BRAMBLE_ASSIGN_OR_RETURN(const Fd directory,
                             OpenBeneath(upper, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (fsetxattr(directory.get(), kOpaque, "y", 1, 0) != 0) {
      return ErrnoStatus(errno, StrCat("layer: \"", path, "\": opaque"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int file) {
  struct stat info {};
  if (fstat(file, &info) != 0 || info.st_size > static_cast<off_t>(kMaxOpaqueBytes)) {
    return absl::ResourceExhaustedError("layer: too many opaque directories");
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  if (pread(file, text.data(), text.size(), 0) != info.st_size) {
    return ErrnoStatus(errno, "layer");
  }
  return text;
}

std::string Answer(const absl::StatusOr<LayerTotals>& totals) {
  if (!totals.ok()) {
    return json::serialize(json::object{{"code", static_cast<int>(totals.status().code())},
                                        {"message", std::string(MessageOf(totals.status()))}});
  }
  return json::serialize(json::object{
      {"entries", totals->entries}, {"bytes", totals->bytes}, {"sha256", totals->sha256}});
}

absl::StatusOr<LayerTotals> Run(const LayerPlace& place,
                                const std::function<absl::StatusOr<LayerTotals>()>& work) {
  SandboxOptions options;
  options.root = place.upper;
  options.first_id = place.first_id;
  options.max_file = place.max_bytes;
  options.cpu_seconds = kCpuSeconds;
  const auto answer = [&work] { return Answer(work()); };
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, RunInSandbox(options, answer));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(text));
  JsonObjectReader reader(value, "layer");
  if (const auto code = reader.OptionalInt("code", {.min = 1, .max = 16})) {
    const std::string message = reader.String("message", {.max = 65536, .allow_control = true});
    return absl::Status(static_cast<absl::StatusCode>(*code), message);
  }
  LayerTotals totals;
  totals.entries = static_cast<uint64_t>(reader.Int("entries", {.min = 0}));
  totals.bytes = static_cast<uint64_t>(reader.Int("bytes", {.min = 0}));
  totals.sha256 = reader.String("sha256");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return totals;
}

}  // namespace

absl::StatusOr<LayerTotals> PackLayer(const LayerPlace& place, int out) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::set<std::string> opaque, FindOpaque(place.upper));
  const auto work = [&] { return PackTree(opaque, place.max_bytes, out); };
  return Run(place, work);
}

absl::StatusOr<LayerTotals> UnpackLayer(const LayerPlace& place, int in) {
  const Fd opaque(memfd_create("opaque", MFD_CLOEXEC));
  if (!opaque.valid()) {
    return ErrnoStatus(errno, "layer");
  }
  const auto work = [&] { return UnpackTree(in, place.max_bytes, opaque.get()); };
  BRAMBLE_ASSIGN_OR_RETURN(const LayerTotals totals, Run(place, work));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string paths, ReadAll(opaque.get()));
  BRAMBLE_RETURN_IF_ERROR(SetOpaque(place.upper, paths));
  // Not by the caller's descriptor, which may be good for nothing but names (O_PATH).
  BRAMBLE_ASSIGN_OR_RETURN(const Fd tree, OpenBeneath(place.upper, ".", O_RDONLY | O_DIRECTORY));
  if (syncfs(tree.get()) != 0) {
    return ErrnoStatus(errno, "layer");
  }
  return totals;
}

}  // namespace bramble::node
