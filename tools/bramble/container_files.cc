// SPDX-License-Identifier: Apache-2.0
// container push, pull.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "base/status.h"
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

absl::Status Push(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const std::string local = args.Positional(1);
  std::string path = args.Positional(2);
  BRAMBLE_RETURN_IF_ERROR(CheckInside(path));
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
  ProgressLine progress(session);
  request.progress = [&progress, &name, &file](uint64_t sent) {
    progress.Show(StrCat(name, ": ", ToString(Bytes{static_cast<int64_t>(sent)}), " of ",
                         ToString(Bytes{static_cast<int64_t>(file.bytes)})));
  };
  const absl::StatusOr<ApiReply> reply = session.controller.Send(std::move(request));
  progress.Clear();
  BRAMBLE_RETURN_IF_ERROR(
      Explained(reply.status(), name,
                "; its directory must be there: `container exec NAME -- mkdir -p DIR`"));
  session.out << Printable(name) << ": wrote " << Printable(path) << " ("
              << ToString(Bytes{static_cast<int64_t>(file.bytes)}) << ")\n";
  return absl::OkStatus();
}

absl::Status Pull(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const std::string path = args.Positional(1);
  BRAMBLE_RETURN_IF_ERROR(CheckInside(path));
  std::string local = args.Positional(2);
  std::error_code ignored;
  const std::filesystem::path base = std::filesystem::path(path).filename();
  if (local.empty()) {
    local = base.string();
  } else if (local != "-" && std::filesystem::is_directory(local, ignored)) {
    local = (std::filesystem::path(local) / base).string();
  }
  if (local.empty()) {
    return Misuse(StrCat("\"", path, "\": name a file, not a directory"));
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
       .summary = "Write a file into a container; it appears whole or not at all.",
       .positionals = {name,
                       {.name = "FILE",
                        .help = "a file here, or - for stdin",
                        .completes = Completes::kFiles},
                       {.name = "PATH", .help = "where; ending in / it keeps its name"}},
       .flags = {{.name = "mode", .value = "OCTAL", .help = "permissions (as here)"},
                 {.name = "uid", .value = "N", .help = "owner inside (0)"},
                 {.name = "gid", .value = "N", .help = "group inside (0)"}},
       .details = "For a directory: tar -c DIR | bramble container exec -i NAME -- tar -x -C PATH",
       .examples = "bramble container push web index.html /var/www/html/\n"
                   "echo hello | bramble container push web - /etc/motd",
       .run = Push},
      {.path = "container pull",
       .summary = "Copy a file out of a container.",
       .positionals = {name,
                       {.name = "PATH", .help = "inside the container"},
                       {.name = "FILE",
                        .help = "where to; - for stdout (its own name, here)",
                        .completes = Completes::kFiles,
                        .optional = true}},
       .examples = "bramble container pull web /etc/hostname -\n"
                   "bramble container pull web /var/log/syslog logs/",
       .run = Pull},
  };
}

}  // namespace bramble::cli
