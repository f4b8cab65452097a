// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/image_upload.h"

#include <unistd.h>

#include <algorithm>

#include "base/status.h"
#include "tools/bramble/output.h"

namespace bramble::cli {
namespace {

struct Upload {
  std::string id;
  uint64_t offset = 0;
};

absl::StatusOr<Upload> ParseUpload(const absl::StatusOr<ApiReply>& reply) {
  BRAMBLE_RETURN_IF_ERROR(reply.status());
  BRAMBLE_ASSIGN_OR_RETURN(const json::value value, ParseJson(reply->body));
  JsonObjectReader reader(value, "upload");
  Upload upload;
  upload.id = reader.String("id");
  upload.offset = static_cast<uint64_t>(reader.Int("offset", {.min = 0}));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return upload;
}

absl::StatusOr<std::string> ReadPiece(const OpenedFile& file, uint64_t offset, size_t most) {
  std::string piece(static_cast<size_t>(std::min<uint64_t>(most, file.bytes - offset)), '\0');
  size_t done = 0;
  while (done < piece.size()) {
    const ssize_t got = ::pread(file.fd.get(), piece.data() + done, piece.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return got < 0 ? ErrnoStatus(errno, "reading the image")
                     : absl::UnavailableError("the file became shorter while it was read");
    }
    done += static_cast<size_t>(got);
  }
  return piece;
}

ApiRequest PieceRequest(const Upload& upload, std::string piece, uint64_t all) {
  ApiRequest request;
  request.method = "PATCH";
  request.path = ApiPath({"uploads", upload.id});
  request.content_type = "application/octet-stream";
  request.headers = {{"Content-Range", StrCat("bytes ", upload.offset, "-",
                                              upload.offset + piece.size() - 1, "/", all)}};
  request.body = std::move(piece);
  return request;
}

// What may be over after a while: the network, the controller's restart, a piece that arrived
// though its answer did not.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsFailedPrecondition(status) || absl::IsAborted(status);
}

void Sleep(const UploadOptions& options, std::chrono::milliseconds time) {
  if (options.sleep) {
    options.sleep(time);
  } else {
    ::usleep(static_cast<useconds_t>(time.count()) * 1000);
  }
}

}  // namespace

std::string PartText(std::string_view doing, uint64_t done, uint64_t all) {
  return StrCat(doing, " ", ToString(Bytes{static_cast<int64_t>(done)}), " of ",
                ToString(Bytes{static_cast<int64_t>(all)}),
                all > 0 ? StrCat(" (", done * 100 / all, " %)") : std::string());
}

absl::StatusOr<std::string> UploadFile(Session& session, const OpenedFile& file,
                                       const std::string& digest, ProgressLine& progress,
                                       const UploadOptions& options) {
  // Begun twice it is the same upload, so it is sent again like a read.
  ApiRequest begin = Write("POST", ApiPath({"uploads"}),
                           json::object{{"size_bytes", file.bytes}, {"sha256", digest}});
  BRAMBLE_ASSIGN_OR_RETURN(Upload upload, ParseUpload(session.controller.Send(std::move(begin))));
  int failures = 0;
  std::chrono::milliseconds pause = options.first_pause;
  while (upload.offset < file.bytes) {
    progress.Show(PartText("uploading", upload.offset, file.bytes));
    BRAMBLE_ASSIGN_OR_RETURN(std::string piece,
                             ReadPiece(file, upload.offset, options.piece_bytes));
    absl::StatusOr<Upload> sent =
        ParseUpload(session.controller.Send(PieceRequest(upload, std::move(piece), file.bytes)));
    if (sent.ok()) {
      upload.offset = sent->offset;
      failures = 0;
      pause = options.first_pause;
      continue;
    }
    if (!MayPass(sent.status())) {
      return sent.status();
    }
    if (++failures > options.max_failures) {
      return Annotate(sent.status(), StrCat("the upload stopped at ", upload.offset, " of ",
                                            file.bytes, " bytes; the same command goes on there"));
    }
    progress.Show(StrCat("cut off at ", PartText("", upload.offset, file.bytes), "; going on"));
    Sleep(options, pause);
    pause = std::min(pause * 2, options.last_pause);
    const absl::StatusOr<Upload> there =
        ParseUpload(session.controller.Send(Get(ApiPath({"uploads", upload.id}))));
    if (there.ok()) {
      if (there->offset > upload.offset) {
        failures = 0;
      }
      upload.offset = there->offset;
    } else if (!MayPass(there.status())) {
      return there.status();
    }
  }
  progress.Show("uploaded; the controller stores it");
  return upload.id;
}

}  // namespace bramble::cli
