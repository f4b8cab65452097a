// SPDX-License-Identifier: Apache-2.0
// container push, pull.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/status.h"
#include "base/tree_archive.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/spooled_file.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

absl::Status CheckInside(const std::string& path) {
  return !path.empty() && path[0] == '/'
             ? absl::OkStatus()
             : Misuse(StrCat("\"", path,
                             "\": write the whole path inside the container, such as "
                             "/etc/hostname"));
}

// Names the container where the node's words do not, and says how to make a missing directory.
absl::Status Explained(const absl::Status& status, const std::string& name, std::string_view next) {
  if (status.ok() || MessageOf(status).find(name) != std::string_view::npos) {
    return status;
  }
  return absl::Status(status.code(), StrCat("container \"", name, "\": ", status.message(),
                                            absl::IsNotFound(status) ? next : std::string_view()));
}

std::string OctalText(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(mode & 0777));
  return text;
}

// Sends a body that is a file, with a line of progress.
absl::Status Upload(Session& session, ApiRequest request, const std::string& name) {
  ProgressLine progress(session);
  const auto all = static_cast<int64_t>(request.file_bytes);
  request.progress = [&progress, &name, all](uint64_t sent) {
    progress.Show(StrCat(name, ": ", ToString(Bytes{static_cast<int64_t>(sent)}), " of ",
                         ToString(Bytes{all})));
  };
  const absl::StatusOr<ApiReply> reply = session.controller.Send(std::move(request));
  progress.Clear();
  return reply.status();
}

std::string CountText(const TreeCount& count) {
  return StrCat(count.entries, count.entries == 1 ? " entry, " : " entries, ",
                ToString(Bytes{count.bytes}));
}

void SaySkipped(const TreeCount& count, Session& session) {
  if (count.skipped > 0) {
    session.err << count.skipped << " special files (devices, sockets, pipes) were left out\n";
  }
}

// "site" and "site/" are the directory, "site/." is what is in it: as of cp and rsync.
absl::Status PushTree(const Args& args, Session& session, const std::string& path) {
  const std::string name = args.Positional(0);
  const std::string local = args.Positional(1);
  if (args.Has("mode")) {
    return Misuse("--mode goes with a file; what is in a directory keeps its own");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto uid, args.Int("uid", {.min = 0, .max = 65535}));
  BRAMBLE_ASSIGN_OR_RETURN(const auto gid, args.Int("gid", {.min = 0, .max = 65535}));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenFile(local, O_RDONLY | O_DIRECTORY));
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(local, error);
  const bool contents = std::filesystem::path(local).filename() == ".";
  PackTreeOptions options;
  options.name = contents || whole.filename().empty() ? "." : whole.filename().string();
  options.uid = static_cast<uint32_t>(uid.value_or(0));
  options.gid = static_cast<uint32_t>(gid.value_or(0));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd spool, MakeUnnamedFile());
  uint64_t bytes = 0;
  const auto sink = [&spool, &bytes](std::string_view piece) {
    bytes += piece.size();
    return WriteAll(spool.get(), piece, "a temporary file in /var/tmp");
  };
  BRAMBLE_ASSIGN_OR_RETURN(const TreeCount count, PackTree(directory.get(), options, sink));
  if (::lseek(spool.get(), 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, "a temporary file in /var/tmp");
  }
  ApiRequest request;
  request.method = "PUT";
  request.path = ApiPath({"containers", name, "files"});
  request.query = {{"path", path}, {"format", "tar"}};
  request.content_type = "application/x-tar";
  request.file = spool.get();
  request.file_bytes = bytes;
  BRAMBLE_RETURN_IF_ERROR(Explained(Upload(session, std::move(request), name), name, ""));
  SaySkipped(count, session);
  session.out << Printable(name) << ": wrote " << Printable(local) << " into " << Printable(path)
              << " (" << CountText(count) << ")\n";
  return absl::OkStatus();
}

absl::Status Push(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const std::string local = args.Positional(1);
  std::string path = args.Positional(2);
  BRAMBLE_RETURN_IF_ERROR(CheckInside(path));
  if (args.Has("recursive")) {
    return PushTree(args, session, path);
  }
  if (path.back() == '/' && local != "-") {
    path += std::filesystem::path(local).filename().string();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto uid, args.Int("uid", {.min = 0, .max = 65535}));
  BRAMBLE_ASSIGN_OR_RETURN(const auto gid, args.Int("gid", {.min = 0, .max = 65535}));
  BRAMBLE_ASSIGN_OR_RETURN(const OpenedFile file, OpenForUpload(local, session.in));
  ApiRequest request;
  request.method = "PUT";
  request.path = ApiPath({"containers", name, "files"});
  request.query = {{"path", path}, {"mode", args.Text("mode", OctalText(file.mode))}};
  if (uid.has_value()) {
    request.query.emplace_back("uid", std::to_string(*uid));
  }
  if (gid.has_value()) {
    request.query.emplace_back("gid", std::to_string(*gid));
  }
  request.content_type = "application/octet-stream";
  request.file = file.fd.get();
  request.file_bytes = file.bytes;
  BRAMBLE_RETURN_IF_ERROR(
      Explained(Upload(session, std::move(request), name), name,
                "; its directory must be there: `container exec NAME -- mkdir -p DIR`"));
  session.out << Printable(name) << ": wrote " << Printable(path) << " ("
              << ToString(Bytes{static_cast<int64_t>(file.bytes)}) << ")\n";
  return absl::OkStatus();
}

// What the container put into the archive is not trusted: it is unpacked beneath the directory, no
// symlink in it is followed, and no file of it is anybody else's or runs as somebody else.
absl::Status PullTree(const Args& args, Session& session, const std::string& path) {
  const std::string name = args.Positional(0);
  const std::string local = args.Positional(2).empty() ? "." : args.Positional(2);
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(local));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd directory, OpenFile(local, O_RDONLY | O_DIRECTORY));
  BRAMBLE_ASSIGN_OR_RETURN(const Fd spool, MakeUnnamedFile());
  ApiRequest request = Get(ApiPath({"containers", name, "files"}));
  request.query = {{"path", path}, {"format", "tar"}};
  const absl::StatusOr<ApiReply> reply =
      session.controller.SendForBytes(std::move(request), [&spool](std::string_view bytes) {
        return WriteAll(spool.get(), bytes, "a temporary file in /var/tmp");
      });
  BRAMBLE_RETURN_IF_ERROR(
      Explained(reply.status(), name, "; `container exec NAME -- ls DIR` shows what is there"));
  off_t at = 0;
  TarReader archive([&spool, &at](char* out, size_t size) -> absl::StatusOr<size_t> {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = ::pread(spool.get(), out + done, size - done, at);
      if (got < 0) {
        return ErrnoStatus(errno, "a temporary file in /var/tmp");
      }
      if (got == 0) {
        break;
      }
      at += got;
      done += static_cast<size_t>(got);
    }
    return done;
  });
  UnpackTreeOptions options;
  options.mode_mask = 0777;
  const absl::StatusOr<TreeCount> count = UnpackTree(directory.get(), options, archive);
  BRAMBLE_RETURN_IF_ERROR(Annotate(count.status(), local));
  SaySkipped(*count, session);
  session.out << Printable(local) << ": " << CountText(*count) << '\n';
  return absl::OkStatus();
}

absl::Status Pull(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const std::string path = args.Positional(1);
  BRAMBLE_RETURN_IF_ERROR(CheckInside(path));
  if (args.Has("recursive")) {
    return PullTree(args, session, path);
  }
  std::string local = args.Positional(2);
  std::error_code ignored;
  const std::filesystem::path base = std::filesystem::path(path).filename();
  if (local.empty()) {
    local = base.string();
  } else if (local != "-" && std::filesystem::is_directory(local, ignored)) {
    local = (std::filesystem::path(local) / base).string();
  }
  if (local.empty()) {
    return Misuse(StrCat("\"", path, "\": name a file, or copy a directory with -r"));
  }
  ApiRequest request = Get(ApiPath({"containers", name, "files"}));
  request.query = {{"path", path}};
  DownloadedFile file(local, session.out);
  BRAMBLE_RETURN_IF_ERROR(file.Open(0644));
  const absl::StatusOr<ApiReply> reply = session.controller.SendForBytes(
      std::move(request), [&file](std::string_view bytes) { return file.Write(bytes); });
  BRAMBLE_RETURN_IF_ERROR(
      Explained(reply.status(), name, "; `container exec NAME -- ls DIR` shows what is there"));
  BRAMBLE_RETURN_IF_ERROR(file.Finish());
  if (local != "-") {
    session.out << Printable(local) << ": " << ToString(Bytes{static_cast<int64_t>(file.bytes())})
                << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ContainerFileCommands() {
  const Positional name = {
      .name = "NAME", .help = "the container", .completes = Completes::kContainers};
  return {
      {.path = "container push",
       .summary = "Write a file, or with -r a directory, into a container.",
       .positionals = {name,
                       {.name = "FILE",
                        .help = "a file or directory here, or - for stdin",
                        .completes = Completes::kFiles},
                       {.name = "PATH", .help = "where; ending in / it keeps its name"}},
       .flags = {{.name = "recursive",
                  .value = "",
                  .help = "a directory, into the directory PATH",
                  .letter = 'r'},
                 {.name = "mode", .value = "OCTAL", .help = "permissions (as here)"},
                 {.name = "uid", .value = "N", .help = "owner inside (0)"},
                 {.name = "gid", .value = "N", .help = "group inside (0)"}},
       .details =
           "A file appears whole or not at all.  With -r PATH is made when missing, DIR becomes\n"
           "PATH/DIR, and DIR/. only what is in it; modes and links are kept, links that are "
           "there\n"
           "are not followed, and the owner is root unless --uid and --gid say otherwise.",
       .examples = "bramble container push web index.html /var/www/html/\n"
                   "bramble container push web -r site/. /var/www/html\n"
                   "echo hello | bramble container push web - /etc/motd",
       .run = Push},
      {.path = "container pull",
       .summary = "Copy a file, or with -r a directory, out of a container.",
       .positionals = {name,
                       {.name = "PATH", .help = "inside the container"},
                       {.name = "FILE",
                        .help = "where to; - for stdout (its own name, here)",
                        .completes = Completes::kFiles,
                        .optional = true}},
       .flags = {{.name = "recursive",
                  .value = "",
                  .help = "a directory, into the directory FILE",
                  .letter = 'r'}},
       .examples = "bramble container pull web /etc/hostname -\n"
                   "bramble container pull web -r /var/log logs\n"
                   "bramble container pull web /var/log/syslog logs/",
       .run = Pull},
  };
}

}  // namespace bramble::cli
