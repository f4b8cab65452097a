// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/root_tree.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "base/undo.h"
#include "sdcard-image/rootfs/kept_files.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxFileBytes = 256 << 20;
constexpr std::chrono::minutes kBootstrapLimit{60};
constexpr std::chrono::minutes kComposeLimit{20};
constexpr size_t kMaxTalkBytes = 64 << 20;
constexpr uint64_t kMaxDownloadBytes = uint64_t{2} << 30;

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
  hash.Update(StrCat(options.board.architecture, "\n", SuiteOf(options), "\n", options.mirror, "\n",
                     KernelSuiteOf(options), "\n", Joined(options.board.components, ','), "\n",
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
  if (const std::string line = line_with("was not found"); !line.empty()) {
    return absl::NotFoundError(StrCat(line, ": see --kernel-suite"));
  }
  for (const char* sign : {"No space left on device", "have enough free space"}) {
    if (const std::string line = line_with(sign); !line.empty()) {
      return absl::ResourceExhaustedError(StrCat("the disk is full: ", line));
    }
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

// Runs a program whose mounts are its own, and all of whose descendants end when it does: also
// when this program is killed, which ends it.
std::vector<std::string> Contained(std::vector<std::string> argv) {
  std::vector<std::string> all = {"unshare", "--mount", "--pid", "--fork", "--kill-child", "--"};
  all.insert(all.end(), std::make_move_iterator(argv.begin()), std::make_move_iterator(argv.end()));
  return all;
}

// Ours, with a directory of the build's own for what is temporary.
std::vector<std::string> EnvironmentWith(const std::filesystem::path& work) {
  std::vector<std::string> all = {"TMPDIR=" + work.string()};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("TMPDIR=")) {
      all.emplace_back(*entry);
    }
  }
  return all;
}

std::string ShellQuoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::string SourceLine(const BuildOptions& options, const std::string& suite) {
  return StrCat("deb ", options.mirror, " ", suite, " ", Joined(options.board.components, ' '));
}

std::vector<std::string> BootstrapCommand(const BuildOptions& options,
                                          const std::vector<std::string>& packages,
                                          const std::filesystem::path& downloads,
                                          const std::filesystem::path& apt_conf,
                                          const std::filesystem::path& out) {
  // The kernel, and what it depends on, from its own suite; all else from the image's.
  const std::string kernel_suite = KernelSuiteOf(options);
  std::vector<std::string> wanted = packages;
  for (std::string& name : wanted) {
    if (name == options.board.kernel_package && !kernel_suite.empty()) {
      name += "/" + kernel_suite;
    }
  }
  const std::string hook = ShellQuoted((options.data / "bootstrap").string());
  std::vector<std::string> argv = {
      "mmdebstrap",
      "--variant=extract",
      StrCat("--architectures=", options.board.architecture),
      StrCat("--aptopt=", apt_conf.string()),
      "--include=?essential",
      StrCat("--include=", Joined(wanted, ',')),
      StrCat("--setup-hook=", hook, " setup \"$1\""),
      StrCat("--setup-hook=sync-in ", ShellQuoted(downloads.string()), " /var/cache/apt/archives"),
      StrCat("--extract-hook=sync-out /var/cache/apt/archives ", ShellQuoted(downloads.string())),
      StrCat("--extract-hook=", hook, " extract \"$1\" ", Joined(wanted, ' ')),
      "--format=tar",
      SuiteOf(options),
      out.string(),
      SourceLine(options, SuiteOf(options))};
  if (!kernel_suite.empty() && kernel_suite != SuiteOf(options)) {
    argv.push_back(SourceLine(options, kernel_suite));
  }
  return argv;
}

absl::StatusOr<std::filesystem::path> MakeBase(const BuildOptions& options,
                                               const std::filesystem::path& work) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string digest, DigestOfBase(options));
  const std::filesystem::path base = options.cache / StrCat("base-", digest, ".tar.zst");
  if (std::filesystem::exists(base) && !options.refresh) {
    return base;
  }
  options.say(StrCat("installing Debian ", SuiteOf(options), " for ", options.board.architecture,
                     " (minutes the first time; then it is kept)"));
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<std::string> packages, PackagesOf(options));
  const std::filesystem::path downloads =
      options.cache / StrCat("debs-", SuiteOf(options), "-", options.board.architecture);
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(downloads));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string apt_conf, AptOptions(work / "apt.conf"));
  const std::filesystem::path plain = work / "base.tar";
  Command command;
  command.argv = Contained(BootstrapCommand(options, packages, downloads, apt_conf, plain));
  command.environment = EnvironmentWith(work);
  command.deadline = kBootstrapLimit;
  command.max_output_bytes = kMaxTalkBytes;
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  const std::filesystem::path log = options.cache / "bootstrap.log";
  (void)WriteFileAtomically(log, result.err);
  KeepNewest(downloads, kMaxDownloadBytes);
  if (absl::Status good = CheckOk(command, result); !good.ok()) {
    return BootstrapFailure(good, result.err, log);
  }
  const std::filesystem::path packed = work / "base.tar.zst";
  Command pack{
      .argv = {"zstd", "-q", "-3", "-T0", "-f", "--rm", plain.string(), "-o", packed.string()}};
  pack.deadline = kComposeLimit;
  BRAMBLE_RETURN_IF_ERROR(RunCommandForOutput(pack).status());
  std::error_code error;
  std::filesystem::rename(packed, base, error);
  return error ? absl::StatusOr<std::filesystem::path>(absl::InternalError(error.message()))
               : absl::StatusOr<std::filesystem::path>(base);
}

// What a build that was interrupted left: none is under way now.
void ClearWork(const std::filesystem::path& cache, const std::filesystem::path& work) {
  std::error_code ignored;
  std::filesystem::remove_all(work, ignored);
  for (const auto& entry : std::filesystem::directory_iterator(cache, ignored)) {
    if (entry.path().extension() == ".part") {
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
}

// The words for `compose` that say what goes into the tree, in its order.
absl::StatusOr<std::vector<std::string>> ComposeWords(const BuildOptions& options,
                                                      const std::vector<BootFile>& defaults,
                                                      const std::filesystem::path& work) {
  std::vector<std::string> words;
  const auto add = [&words](std::string word, std::string value) {
    words.push_back(std::move(word));
    words.push_back(std::move(value));
  };
  for (const std::filesystem::path& deb : options.debs) {
    add("--deb", deb.string());
  }
  for (const Layer& layer : options.layers) {
    add("--layer", layer.directory.string());
  }
  for (const BootFile& file : defaults) {
    const std::filesystem::path made = work / StrCat("default-", file.path);
    BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(made, file.bytes));
    add("--file", StrCat("/etc/default/", file.path, "=", made.string()));
  }
  for (const Layer& layer : options.layers) {
    for (const std::string& unit : layer.enable) {
      add("--enable", unit);
    }
  }
  return words;
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
  const std::filesystem::path work = options.cache / "work";
  ClearWork(options.cache, work);
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(work));
  Undo undo;
  undo.Add([&] { ClearWork(options.cache, work); });
  BRAMBLE_ASSIGN_OR_RETURN(const std::filesystem::path base, MakeBase(options, work));
  RootTree tree;
  BRAMBLE_ASSIGN_OR_RETURN(const std::string inputs, DigestOfTree(options));
  // A base that was made anew is another one, though it was asked for alike.
  struct stat info;
  if (::stat(base.c_str(), &info) != 0) {
    return ErrnoStatus(errno, base.string());
  }
  std::string all = StrCat(inputs, "\n", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec);
  for (const BootFile& file : defaults) {
    all += StrCat("\n", file.path, "\n", file.bytes);
  }
  tree.digest = inputs;
  const std::string kind = StrCat("tree-", options.board.name, "-", SuiteOf(options), "-");
  tree.path = options.cache / StrCat(kind, Sha256(all).Hex().substr(0, 24));
  std::error_code error;
  if (std::filesystem::exists(tree.path, error)) {
    BRAMBLE_RETURN_IF_ERROR(Measure(tree));
    return tree;
  }
  options.say("adding our packages and layers");
  const std::filesystem::path part = tree.path.string() + ".part";
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<std::string> words,
                           ComposeWords(options, defaults, work));
  std::vector<std::string> argv = {(options.data / "compose").string(), base.string(),
                                   part.string(), options.board.architecture,
                                   StrCat(options.time_s)};
  argv.insert(argv.end(), words.begin(), words.end());
  Command command{.argv = Contained(std::move(argv)), .environment = EnvironmentWith(work)};
  command.deadline = kComposeLimit;
  command.max_output_bytes = kMaxTalkBytes;
  BRAMBLE_ASSIGN_OR_RETURN(const CommandResult result, RunCommand(command));
  if (const absl::Status good = CheckOk(command, result); !good.ok()) {
    return result.err.find("No space left on device") != std::string::npos
               ? absl::ResourceExhaustedError(
                     StrCat(options.cache.string(), ": the disk is full: ", MessageOf(good)))
               : Annotate(good, "composing the root tree");
  }
  // One tree for each board and suite is enough; older ones go.
  for (const auto& entry : std::filesystem::directory_iterator(options.cache, error)) {
    if (entry.path().filename().string().starts_with(kind) && entry.path() != part) {
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

absl::StatusOr<std::string> OwnMirror() {
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

absl::StatusOr<std::string> PackagesDigest(const std::filesystem::path& tree) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text,
                           ReadFile(tree / "var/lib/dpkg/status", kMaxFileBytes));
  std::istringstream lines(text);
  std::string line;
  std::string kept;
  while (std::getline(lines, line)) {
    if (line.starts_with("Package: ") || line.starts_with("Version: ")) {
      kept += line + "\n";
    }
  }
  return Sha256(kept).Hex();
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
