// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/blob_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <functional>
#include <memory>

#include "base/file.h"
#include "base/http_client.h"
#include "base/status.h"

namespace bramble::node {
namespace {

// The file of an archive that grows.
struct Part {
  Fd fd;
  uint64_t size = 0;
};

absl::StatusOr<std::shared_ptr<Part>> OpenPart(const std::filesystem::path& path, Bytes whole) {
  BRAMBLE_ASSIGN_OR_RETURN(Fd fd, OpenFile(path, O_WRONLY | O_CREAT, 0600));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  auto part = std::make_shared<Part>();
  part->size = static_cast<uint64_t>(info.st_size);
  if (whole.count > 0 && info.st_size >= whole.count) {
    // As long as it should be, or longer, and yet not taken: it is of no use.
    if (::ftruncate(fd.get(), 0) != 0) {
      return ErrnoStatus(errno, path.string());
    }
    part->size = 0;
  }
  if (::lseek(fd.get(), 0, SEEK_END) < 0) {
    return ErrnoStatus(errno, path.string());
  }
  part->fd = std::move(fd);
  return part;
}

asio::awaitable<absl::Status> WritePiece(Lane* disk, std::shared_ptr<Part> part, std::string name,
                                         std::string piece) {
  auto write = [part = std::move(part), name = std::move(name), piece = std::move(piece)] {
    return WriteAll(part->fd.get(), piece, name);
  };
  co_return co_await disk->Run(std::move(write));
}

}  // namespace

asio::awaitable<absl::Status> BlobSource::Fetch(std::string digest, Bytes size,
                                                std::filesystem::path path) {
  absl::StatusOr<ControllerAccess::Dial> dial = access_.Get();
  if (!dial.ok()) {
    co_return dial.status();
  }
  auto open = [path, size] { return OpenPart(path, size); };
  absl::StatusOr<std::shared_ptr<Part>> part = co_await disk_.Run(std::move(open));
  if (!part.ok()) {
    co_return part.status();
  }
  HttpClientOptions http{.target = dial->target, .tls = dial->tls};
  HttpClient client(std::move(http));
  DownloadOptions download;
  download.target = StrCat("/v1/blobs/", digest);
  download.resume_from = (*part)->size;
  if (size.count > 0) {
    download.expected_size = static_cast<uint64_t>(size.count);
  }
  std::function<asio::awaitable<absl::Status>(std::string)> sink =
      std::bind_front(WritePiece, &disk_, *part, path.string());
  absl::StatusOr<uint64_t> total = co_await Download(client, std::move(download), std::move(sink));
  if (!total.ok()) {
    co_return total.status();
  }
  log_.Info("image_fetched", {{"image", digest}, {"bytes", *total}});
  co_return absl::OkStatus();
}

}  // namespace bramble::node
