// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/root_tree.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/subprocess.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxFileBytes = 256 << 20;
constexpr std::chrono::minutes kBootstrapLimit{60};
constexpr std::chrono::minutes kComposeLimit{20};
constexpr size_t kMaxTalkBytes = 64 << 20;

// "libc6 (>= 2.36), systemd | runit" -> libc6, systemd.
std::vector<std::string> DependencyNames(std::string_view depends) {
  std::vector<std::string> names;
  while (!depends.empty()) {
    const size_t comma = depends.find(',');
    std::string_view one = depends.substr(0, comma);
    depends = comma == std::string_view::npos ? "" : depends.substr(comma + 1);
    one = one.substr(std::min(one.find_first_not_of(" \n"), one.size()));
    one = one.substr(0, one.find_first_of(" (|:\n"));
    if (!one.empty()) {
      names.emplace_back(one);
    }
  }
  return names;
}

absl::Status AddFileDigest(const std::filesystem::path& path, Sha256Stream& hash) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxFileBytes));
  hash.Update(StrCat(path.filename().string(), " ", Sha256(bytes).Hex(), "\n"));
  return absl::OkStatus();
}

absl::Status AddDirectoryDigest(const std::filesystem::path& directory, Sha256Stream& hash) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (auto at = std::filesystem::recursive_directory_iterator(directory, error);
       at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    paths.push_back(at->path());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::filesystem::path& path : paths) {
    struct stat info;
    if (::lstat(path.c_str(), &info) != 0) {
      return ErrnoStatus(errno, path.string());
    }
    hash.Update(StrCat(path.lexically_relative(directory).string(), " ", info.st_mode, "\n"));
    if (S_ISLNK(info.st_mode)) {
      hash.Update(std::filesystem::read_symlink(path, error).string());
    } else if (S_ISREG(info.st_mode)) {
      BRAMBLE_RETURN_IF_ERROR(AddFileDigest(path, hash));
    }
  }
  return absl::OkStatus();
}

std::string Suite(const BuildOptions& options) {
  return options.suite.empty() ? options.board.suites.front() : options.suite;
}

// This machine's own mirror of Debian, of whatever release, as apt knows it.
absl::StatusOr<std::string> Mirror(const BuildOptions& options) {
  if (!options.mirror.empty()) {
    return options.mirror;
  }
  const Command ask{.argv = {"apt-get", "indextargets", "--format", "$(REPO_URI)",
                             "Created-By: Packages", "Component: main", "Origin: Debian"}};
  const absl::StatusOr<std::string> text = RunCommandForOutput(ask);
  const std::string first = text.ok() ? text->substr(0, text->find('\n')) : "";
  if (first.empty()) {
    return absl::FailedPreconditionError(
        "apt here names no mirror of Debian: give one by --mirror");
  }
  return first;
}

std::string Joined(const std::vector<std::string>& words, char separator) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : std::string(1, separator)) + word;
  }
  return text;
}

absl::StatusOr<std::string> DigestOfBase(const BuildOptions& options) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<std::string> packages, PackagesOf(options));
  Sha256Stream hash;
  hash.Update(StrCat(options.board.architecture, "\n", Suite(options), "\n", options.mirror, "\n",
                     options.board.kernel_suite, "\n", Joined(options.board.components, ','), "\n",
                     Joined(packages, ','), "\n"));
  BRAMBLE_RETURN_IF_ERROR(AddFileDigest(options.data / "bootstrap", hash));
  return hash.Finish().Hex().substr(0, 24);
}

// What mmdebstrap's talk says of its failure, in our words.
absl::Status BootstrapFailure(const absl::Status& status, const std::string& talk,
                              const std::filesystem::path& log) {
  const auto line_with = [&talk](std::string_view what) {
    const size_t at = talk.find(what);
    const size_t begin = at == std::string::npos ? at : talk.rfind('\n', at) + 1;
    return at == std::string::npos ? "" : talk.substr(begin, talk.find('\n', at) - begin);
  };
  if (const std::string line = line_with("Unable to locate package"); !line.empty()) {
    return absl::NotFoundError(StrCat(line, ": see --packages, and the layers' lists"));
  }
  for (const char* sign : {"Could not resolve", "Could not connect", "Connection refused",
                           "Connection timed out", "Failed to fetch", "Temporary failure"}) {
    if (const std::string line = line_with(sign); !line.empty()) {
      return absl::UnavailableError(StrCat("the mirror does not answer: ", line));
    }
  }
  return Annotate(status, StrCat("mmdebstrap failed; all it said is in ", log.string()));
}

absl::StatusOr<std::string> AptOptions(const std::filesystem::path& file) {
  // How apt here reaches its mirrors (proxies, checks of dates).
  BRAMBLE_ASSIGN_OR_RETURN(const std::string all,
                           RunCommandForOutput({.argv = {"apt-config", "dump"}}));
  std::string kept;
  std::istringstream lines(all);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.starts_with("Acquire::http") || line.starts_with("Acquire::Check") ||
        line.starts_with("Acquire::Retries")) {
      kept += line + "\n";
    }
  }
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(file, kept));
  return file.string();
}

absl::StatusOr<std::filesystem::path> MakeBase(const BuildOptions& options) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string digest, DigestOfBase(options));
  const std::filesystem::path base = options.cache / StrCat("base-", digest, ".tar.zst");
  if (std::filesystem::exists(base)) {
    return base;
  }
  options.say(StrCat("installing Debian ", Suite(options), " for ", options.board.architecture,
                     " (minutes the first time; then it is kept)"));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string mirror, Mirror(options));
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<std::string> packages, PackagesOf(options));
  const std::string apt_conf = options.cache / StrCat("apt-", digest, ".conf");
  BRAMBLE_RETURN_IF_ERROR(AptOptions(apt_conf).status());
  const std::string part = base.string() + ".part";
  const std::string components = Joined(options.board.components, ' ');
  Command command;
  command.argv = {
      "mmdebstrap",
      "--variant=extract",
      StrCat("--architectures=", options.board.architecture),
      StrCat("--aptopt=", apt_conf),
      "--include=?essential",
      StrCat("--include=", Joined(packages, ',')),
      StrCat("--setup-hook=", (options.data / "bootstrap").string(), " setup \"$1\""),
      StrCat("--extract-hook=", (options.data / "bootstrap").string(), " extract \"$1\""),
      "--format=tar",
      Suite(options),
      part,
      StrCat("deb ", mirror, " ", Suite(options), " ", components)};
  if (!options.board.kernel_suite.empty()) {
    std::string suite = options.board.kernel_suite;
    if (const size_t at = suite.find("SUITE"); at != std::string::npos) {
      suite.replace(at, 5, Suite(options));
    }
    command.argv.push_back(StrCat("deb ", mirror, " ", suite, " ", components));
    // Backports are taken only when asked for.
    command.argv.push_back("--aptopt=APT::Default-Release \"" + suite + "\"");
  }
  if (!part.ends_with(".zst.part")) {
    return absl::InternalError("the base has an odd name");
  }
  command.deadline = kBootstrapLimit;
  command.max_output_bytes = kMaxTalkBytes;
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  const std::filesystem::path log = options.cache / "bootstrap.log";
  (void)WriteFileAtomically(log, result.err);
  if (absl::Status good = CheckOk(command, result); !good.ok()) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    return BootstrapFailure(good, result.err, log);
  }
  Command pack{
      .argv = {"zstd", "-q", "-3", "-T0", "-f", "--rm", part, "-o", base.string() + ".new"}};
  pack.deadline = kComposeLimit;
  BRAMBLE_RETURN_IF_ERROR(RunCommandForOutput(pack).status());
  std::error_code error;
  std::filesystem::rename(base.string() + ".new", base, error);
  return error ? absl::StatusOr<std::filesystem::path>(absl::InternalError(error.message()))
               : absl::StatusOr<std::filesystem::path>(base);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> PackagesOf(const BuildOptions& options) {
  std::set<std::string> names = {options.board.kernel_package};
  names.insert(options.board.packages.begin(), options.board.packages.end());
  names.insert(options.packages.begin(), options.packages.end());
  for (const Layer& layer : options.layers) {
    names.insert(layer.packages.begin(), layer.packages.end());
  }
  for (const std::filesystem::path& deb : options.debs) {
    BRAMBLE_ASSIGN_OR_RETURN(
        const std::string depends,
        RunCommandForOutput({.argv = {"dpkg-deb", "-f", deb.string(), "Depends"}}));
    for (std::string& name : DependencyNames(depends)) {
      names.insert(std::move(name));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<std::string> DigestOfTree(const BuildOptions& options) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string base, DigestOfBase(options));
  Sha256Stream hash;
  hash.Update(StrCat(base, "\n", options.time_s, "\n"));
  BRAMBLE_RETURN_IF_ERROR(AddFileDigest(options.data / "compose", hash));
  for (const std::filesystem::path& deb : options.debs) {
    BRAMBLE_RETURN_IF_ERROR(AddFileDigest(deb, hash));
  }
  for (const Layer& layer : options.layers) {
    BRAMBLE_RETURN_IF_ERROR(AddDirectoryDigest(layer.directory, hash));
  }
  return hash.Finish().Hex().substr(0, 24);
}

absl::StatusOr<RootTree> MakeRootTree(const BuildOptions& options,
                                      const std::vector<BootFile>& defaults) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(options.cache));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd lock, OpenFile(options.cache / "lock", O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(
        StrCat(options.cache.string(), ": another build is under way: wait for its end"));
  }
  RootTree tree;
  BRAMBLE_ASSIGN_OR_RETURN(const std::string inputs, DigestOfTree(options));
  std::string all = inputs;
  for (const BootFile& file : defaults) {
    all += StrCat("\n", file.path, "\n", file.bytes);
  }
  tree.digest = Sha256(all).Hex().substr(0, 24);
  tree.path = options.cache / StrCat("tree-", tree.digest);
  std::error_code error;
  if (std::filesystem::exists(tree.path, error)) {
    BRAMBLE_RETURN_IF_ERROR(Measure(tree));
    return tree;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::filesystem::path base, MakeBase(options));
  options.say("adding our packages and layers");
  const std::filesystem::path part = tree.path.string() + ".part";
  Command command;
  command.argv = {(options.data / "compose").string(), base.string(), part.string(),
                  options.board.architecture, StrCat(options.time_s)};
  const auto add = [&command](std::string word, std::string value) {
    command.argv.push_back(std::move(word));
    command.argv.push_back(std::move(value));
  };
  for (const std::filesystem::path& deb : options.debs) {
    add("--deb", deb.string());
  }
  for (const Layer& layer : options.layers) {
    add("--layer", layer.directory.string());
  }
  for (const BootFile& file : defaults) {
    const std::filesystem::path made = options.cache / StrCat("default-", file.path);
    BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(made, file.bytes));
    add("--file", StrCat("/etc/default/", file.path, "=", made.string()));
  }
  for (const Layer& layer : options.layers) {
    for (const std::string& unit : layer.enable) {
      add("--enable", unit);
    }
  }
  command.deadline = kComposeLimit;
  command.max_output_bytes = kMaxTalkBytes;
  BRAMBLE_RETURN_IF_ERROR(
      Annotate(RunCommandForOutput(command).status(), "composing the root tree"));
  // One tree for each board and suite is enough; older ones go.
  for (const auto& entry : std::filesystem::directory_iterator(options.cache, error)) {
    if (entry.path().filename().string().starts_with("tree-") && entry.path() != part) {
      std::filesystem::remove_all(entry.path(), error);
    }
  }
  std::filesystem::rename(part, tree.path, error);
  if (error) {
    return absl::InternalError(StrCat(part.string(), ": ", error.message()));
  }
  BRAMBLE_RETURN_IF_ERROR(Measure(tree));
  return tree;
}

absl::Status Measure(RootTree& tree) {
  std::error_code error;
  auto at = std::filesystem::recursive_directory_iterator(tree.path, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    struct stat info;
    if (::lstat(at->path().c_str(), &info) != 0) {
      return ErrnoStatus(errno, at->path().string());
    }
    ++tree.files;
    tree.bytes += S_ISREG(info.st_mode) && info.st_nlink == 1
                      ? (static_cast<uint64_t>(info.st_size) + 4095) / 4096 * 4096
                      : 4096;
  }
  return error ? absl::InternalError(StrCat(tree.path.string(), ": ", error.message()))
               : absl::OkStatus();
}

}  // namespace bramble::sdcard
