// SPDX-License-Identifier: Apache-2.0
// cluster backup, restore.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/status.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/spooled_file.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::Status Backup(const Args& args, Session& session) {
  const std::string path = args.Positional(0);
  if (path == "-" && session.screen.out_is_terminal) {
    return Misuse("a backup is binary and secret: redirect stdout, or name a file");
  }
  ApiRequest request = Get(ApiPath({"cluster", "backup"}));
  if (args.Has("images")) {
    request.query = {{"images", "true"}};
  }
  ProgressLine progress(session);
  progress.Show("the controller makes a consistent copy");
  DownloadedFile file(path, session.out);
  BRAMBLE_RETURN_IF_ERROR(file.Open(0600));
  BRAMBLE_RETURN_IF_ERROR(
      session.controller
          .SendForBytes(std::move(request),
                        [&file, &progress](std::string_view bytes) {
                          progress.Show(StrCat(
                              "received ", ToString(Bytes{static_cast<int64_t>(file.bytes())})));
                          return file.Write(bytes);
                        })
          .status());
  BRAMBLE_RETURN_IF_ERROR(file.Finish());
  progress.Clear();
  session.err << "It holds the cluster's authority and keys: keep it like a private key.\n";
  if (path != "-") {
    session.out << Printable(path) << ": " << ToString(Bytes{static_cast<int64_t>(file.bytes())})
                << '\n';
  }
  return absl::OkStatus();
}

// The program beside ours, or the one in the PATH.
std::string ControllerProgram() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const std::filesystem::path& candidate :
       {self.parent_path() / "bramble-controller",
        std::filesystem::path("/usr/sbin/bramble-controller")}) {
    if (!error && std::filesystem::exists(candidate, error)) {
      return candidate.string();
    }
  }
  return "bramble-controller";
}

absl::Status Restore(const Args& args, Session& session) {
  std::vector<std::string> words = {ControllerProgram(), "--restore", args.Positional(0)};
  for (const std::string_view flag : {"config", "state"}) {
    if (args.Has(flag)) {
      words.push_back(StrCat("--", flag));
      words.push_back(args.Text(flag));
    }
  }
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  session.out.flush();
  pid_t child = 0;
  if (const int error = ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ);
      error != 0) {
    return Annotate(ErrnoStatus(error, words[0]),
                    "restoring is done by the controller's own program, on its machine; install "
                    "bramble-controller there and run this there");
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::FailedPreconditionError(
        StrCat(args.Positional(0), ": not restored; bramble-controller said why above"));
  }
  session.out << "restored; start the controller (`systemctl start bramble-controller`)\n";
  session.err << "It opens a new epoch and adopts what the nodes run; nothing is destroyed because "
                 "the backup did not know it.\n";
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ClusterBackupCommands() {
  return {
      {.path = "cluster backup",
       .summary = "Write an online backup of the whole state, with --images of the images too.",
       .positionals = {{.name = "FILE",
                        .help = "a new file (mode 0600), or - for stdout",
                        .completes = Completes::kFiles}},
       .flags = {{.name = "images", .value = "", .help = "with the bytes of every image"}},
       .details =
           "Without --images the restored cluster knows its images and lacks their bytes: import\n"
           "them again (`bramble cluster status` and `bramble image list` name them).",
       .examples = "bramble cluster backup bramble-$(date +%F).tar\n"
                   "bramble cluster backup --images bramble-full.tar",
       .run = Backup},
      {.path = "cluster restore",
       .summary = "Unpack a backup into the empty state directory of a stopped controller.",
       .positionals = {{.name = "FILE", .help = "a backup", .completes = Completes::kFiles}},
       .flags = {{.name = "state", .value = "DIR", .help = "instead of the configured one"},
                 {.name = "config", .value = "FILE", .help = "the controller's configuration"}},
       .details = "Run it as root on the controller's machine, with the controller stopped.",
       .examples = "bramble cluster restore bramble-2026-11-21.tar",
       .run = Restore},
  };
}

}  // namespace bramble::cli
