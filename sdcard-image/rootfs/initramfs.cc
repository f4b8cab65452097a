// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/initramfs.h"

#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/status.h"

#include "absl/strings/str_format.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxModuleBytes = 64 << 20;
constexpr size_t kMaxListBytes = 16 << 20;
constexpr int kZstdLevel = 15;
constexpr unsigned kDirectoryMode = 0040755;
constexpr unsigned kLinkMode = 0120777;

// "kernel/fs/ext4/ext4.ko.xz" -> "ext4"; '-' becomes '_'.
std::string ModuleName(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  name = name.substr(0, name.find(".ko"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// "ext4.ko.xz" -> "ext4.ko".
std::string WithoutPacking(std::string_view path) {
  const size_t end = path.rfind(".ko");
  return std::string(path.substr(0, end == std::string_view::npos ? end : end + 3));
}

absl::StatusOr<std::string> Unpacked(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxModuleBytes));
  if (path.extension() != ".xz") {
    return bytes;
  }
  std::string out(kMaxModuleBytes, '\0');
  uint64_t memory = UINT64_MAX;
  size_t in = 0;
  size_t made = 0;
  const lzma_ret result = lzma_stream_buffer_decode(
      &memory, 0, nullptr, reinterpret_cast<const uint8_t*>(bytes.data()), &in, bytes.size(),
      reinterpret_cast<uint8_t*>(out.data()), &made, out.size());
  if (result != LZMA_OK) {
    return absl::DataLossError(StrCat(path.string(), ": does not unpack"));
  }
  out.resize(made);
  return out;
}

absl::StatusOr<std::string> Compressed(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) {
    return absl::InternalError(StrCat("zstd: ", ZSTD_getErrorName(size)));
  }
  out.resize(size);
  return out;
}

}  // namespace

void CpioArchive::Add(std::string_view path, std::string_view bytes, unsigned mode) {
  const auto pad = [this] { bytes_.resize((bytes_.size() + 3) / 4 * 4, '\0'); };
  bytes_ += absl::StrFormat("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++inode_,
                            mode, 0, 0, 1, 0, bytes.size(), 0, 0, 0, 0, path.size() + 1, 0);
  bytes_ += path;
  bytes_ += '\0';
  pad();
  bytes_ += bytes;
  pad();
}

void CpioArchive::AddDirectory(std::string_view path) { Add(path, "", kDirectoryMode); }
void CpioArchive::AddFile(std::string_view path, std::string_view bytes, unsigned mode) {
  Add(path, bytes, 0100000 | mode);
}
void CpioArchive::AddLink(std::string_view path, std::string_view target) {
  Add(path, target, kLinkMode);
}
std::string CpioArchive::Finish() && {
  Add("TRAILER!!!", "", 0);
  return std::move(bytes_);
}

std::vector<std::string> ModuleFiles(std::string_view modules_dep,
                                     const std::vector<std::string>& modules) {
  std::map<std::string, std::vector<std::string>> lines;  // name -> its file, then what it needs
  std::istringstream text{std::string(modules_dep)};
  std::string line;
  while (std::getline(text, line)) {
    std::istringstream words(line);
    std::string word;
    std::vector<std::string> files;
    while (words >> word) {
      if (word.back() == ':') {
        word.pop_back();
      }
      files.push_back(word);
    }
    if (!files.empty()) {
      lines[ModuleName(files.front())] = files;
    }
  }
  std::vector<std::string> ordered;
  std::set<std::string> seen;
  for (std::string module : modules) {
    std::replace(module.begin(), module.end(), '-', '_');
    const auto found = lines.find(module);
    if (found == lines.end()) {
      continue;
    }
    // modules.dep names what is needed with the first to load last.
    for (auto file = found->second.rbegin(); file != found->second.rend(); ++file) {
      if (seen.insert(*file).second) {
        ordered.push_back(*file);
      }
    }
  }
  return ordered;
}

absl::StatusOr<std::string> MakeInitramfs(const InitramfsOptions& options) {
  const std::filesystem::path from = options.tree / "usr/lib/modules" / options.kernel_version;
  BRAMBLE_ASSIGN_OR_RETURN(const std::string dep, ReadFile(from / "modules.dep", kMaxListBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string init, ReadFile(options.init, kMaxListBytes));
  const absl::StatusOr<std::string> busybox =
      ReadFile(options.tree / "usr/bin/busybox", kMaxModuleBytes);
  if (!busybox.ok()) {
    return absl::NotFoundError("the root tree has no /usr/bin/busybox: install busybox-static");
  }
  CpioArchive archive;
  for (const char* directory :
       {"bin", "dev", "etc", "lib", "lib/modules", "proc", "root", "run", "sys"}) {
    archive.AddDirectory(directory);
  }
  const std::string to = StrCat("lib/modules/", options.kernel_version);
  archive.AddDirectory(to);
  archive.AddFile("init", init, 0755);
  archive.AddFile("bin/busybox", *busybox, 0755);
  archive.AddLink("bin/sh", "busybox");
  std::set<std::string> directories;
  std::string new_dep;
  std::string names;
  for (const std::string& file : ModuleFiles(dep, options.modules)) {
    std::filesystem::path parents;
    for (const auto& part : std::filesystem::path(file).parent_path()) {
      parents /= part;
      if (directories.insert(parents.string()).second) {
        archive.AddDirectory(StrCat(to, "/", parents.string()));
      }
    }
    BRAMBLE_ASSIGN_OR_RETURN(const std::string module, Unpacked(from / file));
    archive.AddFile(StrCat(to, "/", WithoutPacking(file)), module, 0644);
    names += ModuleName(file) + "\n";
    // They are listed in the order of loading: each finds what it needs.
    new_dep += WithoutPacking(file) + ":\n";
  }
  archive.AddFile(to + "/modules.dep", new_dep, 0644);
  archive.AddFile("etc/modules", names, 0644);
  return Compressed(std::move(archive).Finish());
}

}  // namespace bramble::sdcard
