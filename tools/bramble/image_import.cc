// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "api/image.h"
#include "base/hash.h"
#include "base/status.h"
#include "tools/bramble/elf_architecture.h"
#include "tools/bramble/image_upload.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/spooled_file.h"

namespace bramble::cli {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

absl::StatusOr<std::string> DigestOf(const OpenedFile& file, ProgressLine& progress) {
  Sha256Stream digest;
  std::string chunk(kChunkBytes, '\0');
  uint64_t done = 0;
  while (done < file.bytes) {
    const ssize_t got =
        ::pread(file.fd.get(), chunk.data(), chunk.size(), static_cast<off_t>(done));
    if (got < 0) {
      return ErrnoStatus(errno, "reading the image");
    }
    if (got == 0) {
      return absl::UnavailableError("the file became shorter while it was read");
    }
    digest.Update(std::string_view(chunk).substr(0, static_cast<size_t>(got)));
    done += static_cast<uint64_t>(got);
    progress.Show(PartText("hashing", done, file.bytes));
  }
  return digest.Finish().Hex();
}

absl::Status Import(const Args& args, Session& session) {
  const std::string path = args.Positional(0);
  const std::string name = args.Text("name");
  const std::string tag = args.Text("tag", "latest");
  if (const auto reference = api::ParseImageReference(StrCat(name, ":", tag)); !reference.ok()) {
    return Misuse(MessageOf(reference.status()));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto labels, args.Map("label"));
  BRAMBLE_ASSIGN_OR_RETURN(const OpenedFile file, OpenForUpload(path, session.in));
  ProgressLine progress(session);
  std::string architecture = args.Text("architecture");
  if (architecture.empty()) {
    progress.Show("looking for the architecture");
    absl::StatusOr<std::string> found = ArchitectureOfArchive(file.fd.get());
    if (!found.ok()) {
      return Annotate(found.status(), path);
    }
    architecture = *std::move(found);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string digest, DigestOf(file, progress));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string upload, UploadFile(session, file, digest, progress));
  ApiRequest request = Write("POST", ApiPath({"images"}));
  request.query = {{"name", name},
                   {"tag", tag},
                   {"architecture", architecture},
                   {"sha256", digest},
                   {"upload", upload}};
  for (const auto& [key, value] : labels) {
    request.query.emplace_back("label", StrCat(key, "=", value));
  }
  absl::StatusOr<ApiReply> reply = session.controller.Send(std::move(request));
  progress.Clear();
  if (!reply.ok()) {
    return reply.status();
  }
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, ImageResource(), reply->body);
  }
  session.out << name << ':' << tag << ": " << architecture << ", "
              << ToString(Bytes{static_cast<int64_t>(file.bytes)}) << ", sha256 "
              << digest.substr(0, 12) << '\n';
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ImageImportCommands() {
  return {{.path = "image import",
           .summary = "Upload a root file system (tar: plain, gzip, xz or zstd) as an image.",
           .positionals = {{.name = "FILE",
                            .help = "the archive, or - for stdin",
                            .completes = Completes::kFiles}},
           .flags = {{.name = "name", .value = "NAME", .help = "its name", .required = true},
                     {.name = "tag", .value = "TAG", .help = "its tag (latest)"},
                     {.name = "architecture",
                      .value = "ARCH",
                      .help = "what it runs on; found out from its programs when not given",
                      .choices = {"amd64", "arm64", "armhf"}},
                     {.name = "label",
                      .value = "KEY=VALUE",
                      .help = "label it",
                      .letter = 'l',
                      .repeats = true}},
           .answers = Answers::kObject,
           .details =
               "Importing another architecture under the same name and tag adds a variant.\n"
               "An upload that was cut off, also by Ctrl-C, goes on where it was when the same\n"
               "command runs again within a day.",
           .examples = "bramble image import debian-12.tar.zst --name debian --tag 12\n"
                       "mmdebstrap --variant=minbase bookworm - | bramble image import - --name "
                       "debian --tag 12",
           .run = Import}};
}

}  // namespace bramble::cli
