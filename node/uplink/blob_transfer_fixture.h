// SPDX-License-Identifier: Apache-2.0
#pragma once

// Several nodes and a controller in one process, over real TLS, as far as archives of images go.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/temporary_directory.h"
#include "base/tls_testing.h"
#include "node/images/fake_image_cache.h"
#include "node/uplink/blob_server.h"
#include "node/uplink/blob_source.h"

namespace bramble::node {

using namespace std::chrono_literals;

inline constexpr int64_t kPiece = 64 * 1024;

inline std::string SomeBytes(size_t size) {
  std::string bytes;
  for (uint32_t i = 0; bytes.size() < size; ++i) {
    bytes += StrCat(i * 2654435761u, "\n");
  }
  bytes.resize(size);
  return bytes;
}

// One node as far as archives go.
struct Peer {
  Peer(asio::io_context& loop, Lane& disk, std::filesystem::path root, PeerIdentity identity,
       BlobSource::Options source_options, BlobServer::Options server_options)
      : identity_of(identity),
        cache(root),
        board(loop),
        source(access, board, disk, source_options, Logger()),
        server({.loop = loop,
                .board = board,
                .images = cache,
                .disk = disk,
                .now = [] { return SystemClock().Wall(); },
                .log = Logger()},
               server_options),
        scope(loop, Logger()) {
    source.SetIdentity(identity);
    server.SetIdentity(std::move(identity));
  }

  const PeerIdentity identity_of;
  ControllerAccess access;
  FakeImageCache cache;
  BlobBoard board;
  BlobSource source;
  BlobServer server;
  Scope scope;
};

class BlobTransferTest : public ::testing::Test {
 protected:
  BlobTransferTest() {
    Router router;
    Route whole;
    whole.direct = [this](Request& request) { return Whole(request); };
    router.Add("GET", "/v1/blobs/{digest}", std::move(whole));
    Route pieces;
    pieces.direct = [this](Request&) { return Pieces(); };
    router.Add("GET", "/v1/blobs/{digest}/pieces", std::move(pieces));
    Route source;
    source.direct = [this](Request& request) { return Source(request); };
    router.Add("POST", "/v1/blobs/{digest}/source", std::move(source));
    controller_ =
        std::make_unique<HttpServer>(loop_, std::move(router), HttpServerOptions(), Logger());
    controller_port_ = controller_->Listen({"127.0.0.1", 0}, ca_.ServerContext()).value();
    // One port that is free on the addresses of all nodes.
    HttpServer probe(loop_, Router(), HttpServerOptions(), Logger());
    port_ = probe.Listen({"127.0.0.2", 0}, ca_.ServerContext()).value();
  }
  ~BlobTransferTest() override {
    for (const auto& [number, peer] : peers_) {
      RunOnLoop(loop_, End(peer.get()));
    }
    RunOnLoop(loop_, controller_->Stop());
  }
  static asio::awaitable<void> End(Peer* peer) {
    co_await peer->scope.Join();
    co_await peer->server.Stop();
  }

  // Node `number` has address 127.0.0.<number>, and listens on its port when it `serves`.
  Peer& AddPeer(int number, bool serves = true) {
    const PrivateKey key = PrivateKey::Generate();
    const NodeId id = NodeId::Trusted(StrCat("n", number));
    PeerIdentity identity{
        .node = id,
        .certificate = ca_.Issue(key.Public(), {.common_name = id.str()}, TestCa::Dates(-1, 1),
                                 CertificateUse::kServerAndClient),
        .key = key,
        .ca = ca_.certificate,
        .controller_key = ca_.server_key.Public()};
    BlobSource::Options source{.port = port_};
    source.connect_limit = 2s;
    source.reply_limit = 5s;
    source.stall_limit = 3s;
    source.patience = patience_;
    BlobServer::Options server{.port = port_};
    server.wait = 50ms;
    auto peer = std::make_unique<Peer>(loop_, disk_, root_ / id.str(), identity, source, server);
    ControllerAccess::Dial dial{
        .target = {"127.0.0.1", controller_port_},
        .tls = ca_.ClientContext(PinnedKey{ca_.server_key.Spki()}, {identity.certificate}, key)};
    peer->access.Set(std::move(dial));
    std::filesystem::create_directories(root_ / id.str());
    if (serves) {
      peer->server.SetAddress(Ipv4::Parse(StrCat("127.0.0.", number)).value());
      Spawn(peer->scope, "blobs", peer->server.Run());
      RunOnLoop(loop_, Pause(20ms));
    }
    return *(peers_[number] = std::move(peer));
  }
  static asio::awaitable<void> Pause(std::chrono::milliseconds time) { co_await SleepFor(time); }

  std::filesystem::path FileOf(int number) { return peers_.at(number)->cache.ArchivePath(digest_); }
  absl::Status Fetch(int number) {
    auto fetching = peers_.at(number)->source.Fetch(digest_, {static_cast<int64_t>(bytes_.size())},
                                                    FileOf(number));
    return RunOnLoop(loop_, std::move(fetching));
  }
  std::string Fetched(int number) { return ReadFile(FileOf(number), 64 << 20).value_or("none"); }
  // Node `number` has `bytes` as what `digest_` is, checked or not.
  void Has(int number, const std::string& bytes, uint64_t good) {
    std::ofstream(FileOf(number), std::ios::binary) << bytes;
    auto file = std::make_shared<Fd>(OpenFile(FileOf(number), O_RDONLY).value());
    peers_.at(number)->board.Begin(digest_, std::move(file), bytes_.size(), good);
  }

  std::string TicketFor(const NodeId& server, const Sha256Digest& fetcher, std::string digest,
                        std::chrono::hours valid = std::chrono::hours(1)) {
    const api::BlobTicket ticket{
        .digest = std::move(digest),
        .fetcher_key_sha256 = fetcher.Hex(),
        .server = server,
        .expires_ms = (SystemClock().Wall() + valid).time_since_epoch().count()};
    return api::FormatTicket(ticket.expires_ms, ca_.server_key.Sign(api::TicketText(ticket)));
  }

  // ---- the controller
  Response Whole(Request& request) {
    Response response;
    std::string bytes = bytes_;
    const auto range = ParseByteRange(request.headers.Get("Range"), bytes.size());
    if (range.ok() && range->has_value()) {
      response.status = 206;
      response.headers.Add("Content-Range",
                           StrCat("bytes ", (*range)->first, "-",
                                  (*range)->first + (*range)->count - 1, "/", bytes.size()));
      bytes = bytes.substr((*range)->first, (*range)->count);
    }
    from_controller_.push_back(bytes.size());
    response.body = std::move(bytes);
    return response;
  }
  Response Pieces() {
    api::BlobPieces pieces{.size = {static_cast<int64_t>(bytes_.size())}, .piece = {kPiece}};
    for (size_t at = 0; at < bytes_.size(); at += kPiece) {
      pieces.sha256.push_back(Sha256(std::string_view(bytes_).substr(at, kPiece)).Hex());
    }
    Response response;
    response.body = json::serialize(api::ToJson(pieces));
    return response;
  }
  // Gives each who asks the next of the neighbours that the test named for it.
  Response Source(Request& request) {
    const api::BlobSourceRequest asked =
        api::BlobSourceRequestFromJson(ParseJson(request.body).value()).value();
    const Sha256Digest fetcher = request.connection->peer().spki;
    if (!asked.failed.empty()) {
      faults_.push_back(StrCat(asked.failed.str(), " ",
                               api::kNeighbourFaultNames[static_cast<size_t>(asked.fault)]));
    }
    api::BlobSource source;
    for (auto& [number, peer] : peers_) {
      if (peer->identity_of.key.Spki() != fetcher || neighbours_[number].empty()) {
        continue;
      }
      const int next = neighbours_[number].front();
      neighbours_[number].erase(neighbours_[number].begin());
      const PeerIdentity& named = peers_.at(next)->identity_of;
      source.neighbour = api::BlobNeighbour{.node = named.node,
                                            .address = StrCat("127.0.0.", next),
                                            .key_sha256 = named.key.Spki().Hex(),
                                            .ticket = TicketFor(named.node, fetcher, digest_)};
    }
    Response response;
    response.body = json::serialize(api::ToJson(source));
    return response;
  }

  // Asks node `server` for a part of the archive as node `client`.
  asio::awaitable<int> AskFor(int client, int server, std::string ticket, std::string range,
                              bool with_certificate) {
    TlsClientOptions tls{.check = PinnedKey{peers_.at(server)->identity_of.key.Spki()}};
    if (with_certificate) {
      tls.chain = {peers_.at(client)->identity_of.certificate};
      tls.key = peers_.at(client)->identity_of.key;
    }
    HttpClientOptions http{.target = {StrCat("127.0.0.", server), port_}, .tls = nullptr};
    http.tls = TlsClientContext::Make(std::move(tls)).value();
    HttpClient http_client(std::move(http));
    HttpRequest request;
    request.target = StrCat("/v1/blobs/", digest_);
    request.headers.Set("Range", range);
    request.headers.Set(api::kTicketHeader, ticket);
    const absl::StatusOr<HttpReply> reply = co_await http_client.Send(std::move(request));
    co_return reply.ok() ? reply->status : 0;
  }
  int Ask(int client, int server, std::string ticket, std::string range = "bytes=0-9",
          bool with_certificate = true) {
    return RunOnLoop(loop_,
                     AskFor(client, server, std::move(ticket), std::move(range), with_certificate));
  }

  static asio::awaitable<void> Keep(asio::awaitable<absl::Status> task, absl::Status* into) {
    *into = co_await std::move(task);
  }
  asio::io_context loop_;
  Lane disk_{"blobs"};
  TemporaryDirectory root_;
  TestCa ca_;
  std::string bytes_ = SomeBytes(10 * kPiece + 1234);
  std::string digest_ = Sha256(bytes_).Hex();
  std::chrono::milliseconds patience_{5'000};
  std::unique_ptr<HttpServer> controller_;
  uint16_t controller_port_ = 0;
  uint16_t port_ = 0;
  std::map<int, std::unique_ptr<Peer>> peers_;
  std::map<int, std::vector<int>> neighbours_;
  std::vector<size_t> from_controller_;  // bytes of each answer
  std::vector<std::string> faults_;
};

}  // namespace bramble::node
