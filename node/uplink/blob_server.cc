// SPDX-License-Identifier: Apache-2.0
#include "node/uplink/blob_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "api/image.h"
#include "api/problem.h"
#include "base/file.h"
#include "base/file_response.h"
#include "base/status.h"

namespace bramble::node {
namespace {

Response ProblemResponse(const absl::Status& status) {
  const api::Problem problem = api::ProblemOf(status);
  Response response;
  response.status = problem.status;
  response.content_type = api::kProblemMediaType;
  response.body = json::serialize(api::ToJson(problem));
  return response;
}

absl::StatusOr<FileBody> OpenWhole(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(Fd fd, OpenFile(path, O_RDONLY));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  FileBody body;
  body.fd = std::make_shared<Fd>(std::move(fd));
  body.size = static_cast<uint64_t>(info.st_size);
  return body;
}

}  // namespace

BlobServer::BlobServer(Parts parts, Options options)
    : parts_(std::move(parts)), options_(options), changed_(parts_.loop) {}

void BlobServer::SetIdentity(PeerIdentity identity) {
  const bool another = !identity_.has_value() || identity_->node != identity.node ||
                       identity_->certificate.Der() != identity.certificate.Der();
  identity_ = std::move(identity);
  if (another) {
    tls_.reset();
    changed_.Set();
  }
}

void BlobServer::SetAddress(Ipv4 address) {
  if (address != address_) {
    address_ = address;
    changed_.Set();
  }
}

asio::awaitable<void> BlobServer::Run() {
  std::string said;
  while (true) {
    changed_.Reset();
    const bool as_wanted = listening_ == address_ && tls_ != nullptr;
    if (!as_wanted && server_ != nullptr) {
      co_await server_->Stop();
      server_.reset();
      listening_ = Ipv4();
    }
    bool failed = false;
    if (server_ == nullptr && identity_.has_value() && address_ != Ipv4()) {
      const absl::Status listens = Listen();
      failed = !listens.ok();
      // Said once: the address may come later.
      if (failed && said != MessageOf(listens)) {
        said = std::string(MessageOf(listens));
        parts_.log.Warn("blobs_not_served", {{"error", listens}});
      }
    }
    if (failed) {
      co_await changed_.WaitFor(options_.try_again);
    } else {
      co_await changed_.Wait();
    }
  }
}

asio::awaitable<void> BlobServer::Stop() {
  if (server_ != nullptr) {
    co_await server_->Stop();
    server_.reset();
  }
}

absl::Status BlobServer::Listen() {
  TlsServerOptions tls{.chain = {identity_->certificate}, .key = identity_->key};
  tls.client_ca = identity_->ca;
  BRAMBLE_ASSIGN_OR_RETURN(tls_, TlsServerContext::Make(std::move(tls)));
  Router router;
  Route blob;
  blob.handler = [this](Request& request) { return Serve(request); };
  router.Add("GET", "/v1/blobs/{digest}", std::move(blob));
  HttpServerOptions options;
  options.limits.connections = kMaxBlobConnections;
  options.limits.connections_per_peer = kMaxBlobConnectionsPerPeer;
  options.file_lane = &parts_.disk;
  auto server =
      std::make_unique<HttpServer>(parts_.loop, std::move(router), std::move(options), parts_.log);
  const absl::StatusOr<uint16_t> port = server->Listen({address_.str(), options_.port}, tls_);
  if (!port.ok()) {
    tls_.reset();
    return Annotate(port.status(), "blobs for neighbours");
  }
  server_ = std::move(server);
  listening_ = address_;
  return absl::OkStatus();
}

absl::Status BlobServer::CheckTicket(const Request& request, const std::string& digest) const {
  const TlsPeer& peer = request.connection->peer();
  // The dates of a certificate mean little where clocks are wrong at boot; the ticket's do.
  if (peer.state != PeerCertificate::kValid && peer.state != PeerCertificate::kExpired) {
    return absl::UnauthenticatedError("this needs the certificate of a node of this cluster");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const api::ParsedTicket shown,
                           api::ParseTicket(request.headers.Get(api::kTicketHeader)));
  const api::BlobTicket ticket{.digest = digest,
                               .fetcher_key_sha256 = peer.spki.Hex(),
                               .server = identity_->node,
                               .expires_ms = shown.expires_ms};
  if (!identity_->controller_key.Verify(api::TicketText(ticket), shown.signature).ok() ||
      WallTime(std::chrono::milliseconds(shown.expires_ms)) < parts_.now()) {
    return absl::PermissionDeniedError("the ticket is not for this node, this image, or any more");
  }
  return absl::OkStatus();
}

// The file that has the range.  kUnavailable: not yet.
asio::awaitable<absl::StatusOr<FileBody>> BlobServer::Find(std::string digest, std::string range) {
  if (const std::shared_ptr<BlobBoard::Entry> entry = parts_.board.Find(digest)) {
    const absl::StatusOr<std::optional<ByteRange>> wanted = ParseByteRange(range, entry->size);
    if (!wanted.ok() || !wanted->has_value()) {
      co_return absl::InvalidArgumentError("Range: say which bytes");
    }
    const uint64_t end = (*wanted)->first + (*wanted)->count;
    const auto until = std::chrono::steady_clock::now() + options_.wait;
    while (entry->good < end && !entry->ended) {
      const auto left = until - std::chrono::steady_clock::now();
      entry->changed.Reset();
      bool more = false;
      if (left.count() > 0) {
        more = co_await entry->changed.WaitFor(left);
      }
      if (!more) {
        co_return absl::UnavailableError("not yet");
      }
    }
    if (entry->good >= end) {
      FileBody body;
      body.fd = entry->file;
      body.size = entry->size;
      co_return body;
    }
  }
  const std::optional<std::filesystem::path> archive = parts_.images.KeptArchive(digest);
  if (!archive.has_value()) {
    co_return absl::NotFoundError("this node does not have it (any more)");
  }
  auto open = [path = *archive] { return OpenWhole(path); };
  co_return co_await parts_.disk.Run(std::move(open));
}

asio::awaitable<Response> BlobServer::Serve(Request& request) {
  const std::string digest = request.Param("digest");
  absl::Status allowed = api::CheckDigest(digest);
  if (allowed.ok()) {
    allowed = CheckTicket(request, digest);
  }
  if (!allowed.ok()) {
    parts_.log.Warn("blob_refused",
                    {{"address", request.connection->peer_address()}, {"error", allowed}});
    co_return ProblemResponse(allowed);
  }
  const std::string range(request.headers.Get("Range"));
  absl::StatusOr<FileBody> body = co_await Find(digest, range);
  if (!body.ok()) {
    Response response = ProblemResponse(body.status());
    if (absl::IsUnavailable(body.status())) {
      response.headers.Add("Retry-After", "1");
    }
    co_return response;
  }
  const absl::StatusOr<std::optional<ByteRange>> served = ParseByteRange(range, body->size);
  if (served.ok()) {
    parts_.board.counters.to_neighbours += served->has_value() ? (*served)->count : body->size;
  }
  co_return FileResponse(digest, *std::move(body));
}

}  // namespace bramble::node
