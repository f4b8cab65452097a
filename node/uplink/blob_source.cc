// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/blob_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble::node {
namespace {

constexpr std::chrono::milliseconds kNotYetPause{200};

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

api::NeighbourFault FaultOf(const absl::Status& status) {
  if (absl::IsDataLoss(status)) {
    return api::NeighbourFault::kWrongBytes;
  }
  return absl::IsDeadlineExceeded(status) ? api::NeighbourFault::kSlow
                                          : api::NeighbourFault::kUnreachable;
}

}  // namespace

struct BlobSource::Job {
  std::string digest;
  std::string name;  // of the file, for errors
  api::BlobPieces pieces;
  Fd fd;
  std::shared_ptr<Fd> reading;
  uint64_t good = 0;  // checked, and in the file
  std::string begun;  // of the next piece
  bool by_neighbour = false;
  std::shared_ptr<BlobBoard::Entry> entry;

  uint64_t size() const { return static_cast<uint64_t>(pieces.size.count); }
  size_t index() const { return good / static_cast<uint64_t>(pieces.piece.count); }
  uint64_t next_bytes() const {
    return std::min(static_cast<uint64_t>(pieces.piece.count), size() - good);
  }

  // Blocks.  What an earlier try left counts as far as it is right.
  absl::Status Open(const std::filesystem::path& path) {
    name = path.string();
    BRAMBLE_ASSIGN_OR_RETURN(fd, OpenFile(path, O_RDWR | O_CREAT, 0600));
    BRAMBLE_ASSIGN_OR_RETURN(Fd read, OpenFile(path, O_RDONLY));
    reading = std::make_shared<Fd>(std::move(read));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
      return ErrnoStatus(errno, name);
    }
    const uint64_t there = static_cast<uint64_t>(info.st_size);
    std::string bytes;
    while (good < size() && good + next_bytes() <= there) {
      bytes.resize(next_bytes());
      const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(good));
      if (got != static_cast<ssize_t>(bytes.size()) ||
          Sha256(bytes).Hex() != pieces.sha256[index()]) {
        break;
      }
      good += bytes.size();
    }
    if (::ftruncate(fd.get(), static_cast<off_t>(good)) != 0) {
      return ErrnoStatus(errno, name);
    }
    return absl::OkStatus();
  }
  absl::Status Append(const std::string& piece) {
    if (::lseek(fd.get(), static_cast<off_t>(good), SEEK_SET) < 0) {
      return ErrnoStatus(errno, name);
    }
    return WriteAll(fd.get(), piece, name);
  }
};

asio::awaitable<absl::Status> BlobSource::Fetch(std::string digest, Bytes size,
                                                std::filesystem::path path) {
  absl::StatusOr<api::BlobPieces> pieces = co_await AskPieces(digest);
  if (absl::IsNotFound(pieces.status())) {
    // An older controller, or one without these bytes, which says so.
    co_return co_await FetchWhole(std::move(digest), size, std::move(path));
  }
  if (!pieces.ok()) {
    co_return pieces.status();
  }
  auto job = std::make_shared<Job>();
  job->digest = digest;
  job->pieces = *std::move(pieces);
  auto open = [job, path] { return job->Open(path); };
  const absl::Status opened = co_await disk_.Run(std::move(open));
  if (!opened.ok()) {
    co_return opened;
  }
  job->entry = board_.Begin(digest, job->reading, job->size(), job->good);
  const BlobBoard::Counters before = board_.counters;
  const absl::Status fetched = co_await FetchPieces(job);
  if (!fetched.ok()) {
    board_.End(digest);
    co_return fetched;
  }
  log_.Info("image_fetched",
            {{"image", digest},
             {"bytes", job->size()},
             {"from_controller", board_.counters.from_controller - before.from_controller},
             {"from_neighbours", board_.counters.from_neighbours - before.from_neighbours}});
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> BlobSource::FetchPieces(std::shared_ptr<Job> job) {
  int neighbours = 0;
  api::BlobSourceRequest request;
  while (job->good < job->size()) {
    std::optional<api::BlobNeighbour> neighbour;
    if (identity_.has_value() && neighbours < kMaxNeighbours) {
      absl::StatusOr<api::BlobSource> source = co_await AskSource(job->digest, request);
      if (source.ok()) {
        neighbour = std::move(source->neighbour);
      }
    }
    if (!neighbour.has_value()) {
      co_return co_await FromController(job);
    }
    ++neighbours;
    const absl::Status ended = co_await FromNeighbour(job, *neighbour);
    if (!ended.ok()) {
      request.failed = neighbour->node;
      request.fault = FaultOf(ended);
      log_.Warn("neighbour_failed", {{"neighbour", neighbour->node},
                                     {"address", neighbour->address},
                                     {"image", job->digest},
                                     {"error", ended}});
    }
  }
  co_return absl::OkStatus();
}

// ---- The controller

asio::awaitable<absl::StatusOr<HttpReply>> BlobSource::AskController(HttpRequest request) {
  absl::StatusOr<ControllerAccess::Dial> dial = access_.Get();
  if (!dial.ok()) {
    co_return dial.status();
  }
  HttpClientOptions http{.target = dial->target, .tls = dial->tls};
  http.max_body_bytes = api::kMaxBlobPiecesBytes;
  HttpClient client(std::move(http));
  const std::string target = request.target;
  absl::StatusOr<HttpReply> reply = co_await client.Send(std::move(request));
  if (reply.ok() && reply->status != 200) {
    const std::string text = StrCat(target, ": ", reply->status, " ", reply->body.substr(0, 300));
    co_return reply->status == 404 ? absl::NotFoundError(text) : absl::UnavailableError(text);
  }
  co_return reply;
}

asio::awaitable<absl::StatusOr<std::string>> BlobSource::FetchContext(std::string id) {
  HttpRequest request;
  request.target = StrCat("/v1/contexts/", id);
  absl::StatusOr<HttpReply> reply = co_await AskController(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  co_return std::move(reply->body);
}

asio::awaitable<absl::StatusOr<api::BlobPieces>> BlobSource::AskPieces(std::string digest) {
  HttpRequest request;
  request.target = StrCat("/v1/blobs/", digest, "/pieces");
  absl::StatusOr<HttpReply> reply = co_await AskController(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  const absl::StatusOr<json::value> value = ParseJson(reply->body, api::kMaxBlobPiecesBytes);
  if (!value.ok()) {
    co_return value.status();
  }
  co_return api::BlobPiecesFromJson(*value);
}

asio::awaitable<absl::StatusOr<api::BlobSource>> BlobSource::AskSource(
    std::string digest, api::BlobSourceRequest wanted) {
  HttpRequest request;
  request.method = "POST";
  request.target = StrCat("/v1/blobs/", digest, "/source");
  request.body = json::serialize(api::ToJson(wanted));
  absl::StatusOr<HttpReply> reply = co_await AskController(std::move(request));
  if (!reply.ok()) {
    co_return reply.status();
  }
  const absl::StatusOr<json::value> value = ParseJson(reply->body);
  if (!value.ok()) {
    co_return value.status();
  }
  co_return api::BlobSourceFromJson(*value);
}

asio::awaitable<absl::Status> BlobSource::FromController(std::shared_ptr<Job> job) {
  absl::StatusOr<ControllerAccess::Dial> dial = access_.Get();
  if (!dial.ok()) {
    co_return dial.status();
  }
  HttpClientOptions http{.target = dial->target, .tls = dial->tls};
  HttpClient client(std::move(http));
  DownloadOptions download;
  download.target = StrCat("/v1/blobs/", job->digest);
  download.resume_from = job->good;
  download.expected_size = job->size();
  job->begun.clear();
  job->by_neighbour = false;
  std::function<asio::awaitable<absl::Status>(std::string)> sink =
      std::bind_front(&BlobSource::Take, this, job);
  absl::StatusOr<uint64_t> total = co_await Download(client, std::move(download), std::move(sink));
  co_return total.status();
}

// An archive whole, with nothing known of its pieces: who unpacks it checks it.
asio::awaitable<absl::Status> BlobSource::FetchWhole(std::string digest, Bytes size,
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
  board_.counters.from_controller += *total;
  log_.Info("image_fetched", {{"image", digest}, {"bytes", *total}});
  co_return absl::OkStatus();
}

// ---- Neighbours

asio::awaitable<absl::Status> BlobSource::FromNeighbour(std::shared_ptr<Job> job,
                                                        api::BlobNeighbour neighbour) {
  const absl::StatusOr<Sha256Digest> key = Sha256Digest::FromHex(neighbour.key_sha256);
  if (!key.ok()) {
    co_return key.status();
  }
  TlsClientOptions tls{.check = PinnedKey{*key}};
  tls.chain = {identity_->certificate};
  tls.key = identity_->key;
  HttpClientOptions http{.target = {neighbour.address, options_.port},
                         .tls = nullptr,
                         .connect_limit = options_.connect_limit,
                         .reply_limit = options_.reply_limit,
                         .stall_limit = options_.stall_limit};
  absl::StatusOr<std::shared_ptr<TlsClientContext>> context =
      TlsClientContext::Make(std::move(tls));
  if (!context.ok()) {
    co_return context.status();
  }
  http.tls = *std::move(context);
  http.max_body_bytes = static_cast<size_t>(job->pieces.piece.count);
  auto client = std::make_shared<HttpClient>(std::move(http));
  job->begun.clear();
  job->by_neighbour = true;
  auto last = std::chrono::steady_clock::now();
  while (job->good < job->size()) {
    auto asking = AskPiece(job, client, neighbour.ticket);
    absl::StatusOr<std::string> piece =
        co_await WithDeadline(std::move(asking), options_.piece_limit, "a piece of the image");
    const auto now = std::chrono::steady_clock::now();
    if (absl::IsResourceExhausted(piece.status())) {
      if (now - last > options_.patience) {
        co_return absl::DeadlineExceededError("it has had nothing new for too long");
      }
      co_await SleepFor(kNotYetPause);
      continue;
    }
    if (!piece.ok()) {
      co_return piece.status();
    }
    const absl::Status taken = co_await TakePiece(job, *std::move(piece));
    if (!taken.ok()) {
      co_return taken;
    }
    last = now;
  }
  co_return absl::OkStatus();
}

// kResourceExhausted: not yet.
asio::awaitable<absl::StatusOr<std::string>> BlobSource::AskPiece(
    std::shared_ptr<Job> job, std::shared_ptr<HttpClient> client, std::string ticket) {
  HttpRequest request;
  request.target = StrCat("/v1/blobs/", job->digest);
  const uint64_t bytes = job->next_bytes();
  request.headers.Set("Range", StrCat("bytes=", job->good, "-", job->good + bytes - 1));
  request.headers.Set(api::kTicketHeader, ticket);
  absl::StatusOr<HttpReply> reply = co_await client->Send(std::move(request));
  if (!reply.ok()) {
    if (absl::IsResourceExhausted(reply.status())) {
      co_return absl::DataLossError("more bytes than were asked for");
    }
    co_return reply.status();
  }
  if (reply->status == 503) {
    co_return absl::ResourceExhaustedError("not yet");
  }
  if (reply->status != 206) {
    co_return absl::UnavailableError(
        StrCat("it answered ", reply->status, " ", reply->body.substr(0, 200)));
  }
  if (reply->body.size() != bytes) {
    co_return absl::DataLossError(
        StrCat(reply->body.size(), " bytes instead of the ", bytes, " asked for"));
  }
  co_return std::move(reply->body);
}

// ---- What came

asio::awaitable<absl::Status> BlobSource::Take(std::shared_ptr<Job> job, std::string bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t wanted = static_cast<size_t>(job->next_bytes()) - job->begun.size();
    const size_t count = std::min(wanted, bytes.size() - at);
    job->begun.append(bytes, at, count);
    at += count;
    if (count == wanted) {
      std::string piece = std::exchange(job->begun, std::string());
      const absl::Status taken = co_await TakePiece(job, std::move(piece));
      if (!taken.ok()) {
        co_return taken;
      }
    }
  }
  co_return absl::OkStatus();
}

// Nothing counts, is kept or given on, but what is right.
asio::awaitable<absl::Status> BlobSource::TakePiece(std::shared_ptr<Job> job, std::string piece) {
  const uint64_t bytes = piece.size();
  auto check = [job, piece = std::move(piece)]() -> absl::Status {
    const std::string digest = Sha256(piece).Hex();
    if (digest != job->pieces.sha256[job->index()]) {
      return absl::DataLossError(StrCat("image ", job->digest, ": the bytes from ", job->good,
                                        " on have SHA-256 ", digest, ", not ",
                                        job->pieces.sha256[job->index()]));
    }
    return job->Append(piece);
  };
  const absl::Status done = co_await disk_.Run(std::move(check));
  if (!done.ok()) {
    co_return done;
  }
  job->good += bytes;
  (job->by_neighbour ? board_.counters.from_neighbours : board_.counters.from_controller) += bytes;
  BlobBoard::Advance(*job->entry, job->good);
  co_return absl::OkStatus();
}

}  // namespace bramble::node
