// SPDX-License-Identifier: Apache-2.0
// /v1/cluster.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "api/http_status.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/status.h"
#include "base/tar.h"
#include "controller/backup.h"
#include "controller/coordinator_cluster.h"
#include "controller/coordinator_images.h"
#include "controller/images/blob_store.h"
#include "controller/one_shot.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::minutes kBackupLimit{5};
constexpr size_t kPieceBytes = 1 << 20;

// The one request that needs no token: it bears the set-up code.
asio::awaitable<Response> Init(RestContext& context, Request& request) {
  const absl::StatusOr<json::value> body = JsonBodyOf(request, context.limits.body.count);
  if (!body.ok()) {
    co_return ProblemResponse(body.status());
  }
  JsonObjectReader reader(*body, "init", UnknownKeys::kRefuse);
  ClusterInit init;
  init.setup_code = reader.String("setup_code", {.max = 128, .allow_empty = false});
  init.name = reader.OptionalString("name", {.max = 63}).value_or("");
  if (!init.name.empty()) {
    reader.Merge(Annotate(CheckName("cluster", init.name), "init.name"));
  }
  if (absl::Status status = reader.Finish(); !status.ok()) {
    co_return ProblemResponse(status);
  }
  OneShot<absl::StatusOr<Written>> written(context.loop);
  context.coordinator->cluster().Init(std::move(init), written.Taker());
  const absl::StatusOr<Written> result = co_await written.Wait(kWriteLimit, "cluster");
  Response response = WrittenResponse(context, api::kHttpCreated, result);
  response.headers.Add("Cache-Control", "no-store");
  co_return response;
}

absl::StatusOr<FileBody> OpenUnlinked(const std::filesystem::path& path) {
  absl::StatusOr<Fd> fd = OpenFile(path, O_RDONLY);
  ::unlink(path.c_str());
  BRAMBLE_RETURN_IF_ERROR(fd.status());
  struct stat about {};
  if (::fstat(fd->get(), &about) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  return FileBody{.fd = std::make_shared<Fd>(*std::move(fd)),
                  .size = static_cast<uint64_t>(about.st_size)};
}

// `size` bytes of a file from `offset` on, in pieces.
asio::awaitable<absl::Status> SendFile(Lane& lane, FileBody file, uint64_t size,
                                       ResponseWriter& out) {
  for (uint64_t at = 0; at < size;) {
    auto read = [fd = file.fd, at, size]() -> absl::StatusOr<std::string> {
      std::string piece(static_cast<size_t>(std::min<uint64_t>(size - at, kPieceBytes)), '\0');
      const ssize_t got = ::pread(fd->get(), piece.data(), piece.size(), static_cast<off_t>(at));
      if (got <= 0) {
        return got == 0 ? absl::DataLossError("backup: a file became shorter")
                        : ErrnoStatus(errno, "backup");
      }
      piece.resize(static_cast<size_t>(got));
      return piece;
    };
    BRAMBLE_CO_ASSIGN_OR_RETURN(std::string piece, co_await lane.Run(std::move(read)));
    at += piece.size();
    BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(piece)));
  }
  co_return absl::OkStatus();
}

// The backup but its end, then every image's blob, then the end.  A client that does not see the
// last chunk knows that it has no whole backup.
asio::awaitable<absl::Status> SendWithImages(RestContext& context, FileBody backup,
                                             ResponseWriter& out) {
  BRAMBLE_CO_RETURN_IF_ERROR(
      co_await SendFile(context.files, backup, backup.size - TarEnd().size(), out));
  const std::set<std::string> digests = context.coordinator->images().UsedDigests();
  for (const std::string& digest : digests) {
    const absl::StatusOr<OpenBlob> blob = co_await context.blobs->OpenVerified(digest);
    if (!blob.ok()) {
      // Deleted since, or missing before: the restored cluster says so of its image.
      context.log.Warn("backup_without_blob", {{"digest", digest}, {"error", blob.status()}});
      continue;
    }
    TarEntry entry;
    entry.name = StrCat(kBackupBlobs, digest);
    entry.size = blob->size;
    entry.mode = 0600;
    std::string header = TarHeader(entry);
    BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(header)));
    FileBody file;
    file.fd = blob->fd;
    file.size = blob->size;
    BRAMBLE_CO_RETURN_IF_ERROR(co_await SendFile(context.files, file, blob->size, out));
    std::string padding = TarPadding(blob->size);
    if (!padding.empty()) {
      BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(padding)));
    }
  }
  std::string end = TarEnd();
  co_return co_await out.Write(std::move(end));
}

asio::awaitable<Response> Backup(RestContext& context, Principal who, Request& request) {
  const absl::Status known = RefuseOtherQueries(request, {"images"});
  const absl::StatusOr<bool> images = BoolQuery(request, "images");
  if (!known.ok() || !images.ok()) {
    co_return ProblemResponse(known.ok() ? images.status() : known);
  }
  if (!May(who, Access::kWrite, "")) {
    co_return ProblemResponse(NotFound("cluster", "backup"));
  }
  SystemRandom random;
  const std::filesystem::path path =
      context.temporary_dir / StrCat("backup-", HexEncode(random.Bytes(8)), ".tar");
  OneShot<absl::Status> done(context.loop);
  context.backup(path, done.Taker());
  const absl::Status status = co_await done.Wait(kBackupLimit, "backup");
  if (!status.ok()) {
    ::unlink(path.c_str());
    co_return ProblemResponse(status);
  }
  absl::StatusOr<FileBody> file = OpenUnlinked(path);
  if (!file.ok()) {
    co_return ProblemResponse(file.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.content_type = "application/x-tar";
  response.headers.Add("Cache-Control", "no-store");
  response.headers.Add("Content-Disposition", "attachment; filename=\"bramble-backup.tar\"");
  if (*images) {
    StreamBody body = [&context, held = *std::move(file)](ResponseWriter& out) {
      return SendWithImages(context, held, out);
    };
    response.body = std::move(body);
  } else {
    response.body = *std::move(file);
  }
  co_return response;
}

}  // namespace

void AddClusterRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/cluster", ReadRoute(context, [&context](const Principal& who, Request&) {
               return context.coordinator->cluster().Get(who);
             }));
  Route init;
  init.handler = [&context](Request& request) { return Init(context, request); };
  init.max_body_bytes = 4096;
  init.open = true;
  router.Add("POST", "/v1/cluster/init", std::move(init));
  router.Add("GET", "/v1/cluster/backup",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return Backup(context, std::move(who), request);
             }));
  router.Add("POST", "/v1/cluster/leave-adoption",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->cluster().LeaveAdoption(call.who, std::move(call.options),
                                                            std::move(call.done));
               return absl::OkStatus();
             }));
  router.Add("POST", "/v1/cluster/allow-moves",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->cluster().AllowMoves(call.who, std::move(call.options),
                                                         std::move(call.done));
               return absl::OkStatus();
             }));
}

}  // namespace bramble::controller
