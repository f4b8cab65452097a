// SPDX-License-Identifier: Apache-2.0
#include "base/http_server.h"

#include <unistd.h>

#include <list>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include "base/http_connection.h"
#include "base/peer_group.h"
#include "base/scope.h"
#include "base/status.h"
#include "base/timer.h"

namespace bramble {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

// After an accept that failed for want of descriptors or memory.
constexpr std::chrono::milliseconds kAcceptPause{100};
// A connection younger than this is not closed to make room for another.
constexpr std::chrono::milliseconds kMinStay{1000};
constexpr std::chrono::milliseconds kRoomCheck{200};

std::string AlwaysBytes(const HeaderList& headers) {
  std::string bytes;
  for (const auto& [name, value] : headers) {
    bytes += StrCat(name, ": ", value, "\r\n");
  }
  return bytes;
}

std::string PeerText(const tcp::endpoint& peer) {
  if (peer.address().is_v6() && peer.address().to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, peer.address().to_v6()).to_string();
  }
  return peer.address().to_string();
}

}  // namespace

struct HttpServer::State : std::enable_shared_from_this<HttpServer::State> {
  State(asio::io_context& loop, Router router, HttpServerOptions options, Logger log)
      : service(std::make_shared<HttpService>(HttpService{
            .loop = loop, .router = std::move(router), .options = std::move(options), .log = log})),
        room(loop),
        scope(loop, log) {
    service->always = AlwaysBytes(service->options.always);
  }

  struct Listener {
    Listener(asio::io_context& loop, std::shared_ptr<TlsServerContext> tls_in)
        : acceptor(loop), tls(std::move(tls_in)) {}
    tcp::acceptor acceptor;
    std::shared_ptr<TlsServerContext> tls;
  };

  asio::awaitable<void> Accept(std::shared_ptr<Listener> listener);
  asio::awaitable<void> MakeRoom();
  // Aborts the connection that has waited longest without a request under way, and no less than
  // kMinStay: of the peers `group`, or of all where it is empty.  False: there is none.
  bool AbortLongest(const std::string& group);
  void Admit(const std::shared_ptr<Listener>& listener, tcp::socket socket);
  asio::awaitable<void> Serve(std::list<HttpConnection>::iterator connection, std::string group);
  asio::awaitable<void> Sweep();
  void AbortAll();

  const std::shared_ptr<HttpService> service;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::list<HttpConnection> connections;
  std::map<std::string, size_t> per_peer;  // by PeerGroupOf
  Event room;                              // a connection has ended
  bool sweeping = false;
  bool stopped = false;
  Scope scope;  // last: its tasks use all of the above
};

asio::awaitable<void> HttpServer::State::Accept(std::shared_ptr<Listener> listener) {
  while (!stopped) {
    co_await MakeRoom();
    auto [error, socket] =
        co_await listener->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (stopped || error == asio::error::operation_aborted) {
      co_return;
    }
    if (!error) {
      Admit(listener, std::move(socket));
      continue;
    }
    // ECONNABORTED is one client's affair; EMFILE and ENOBUFS pass when others leave.
    if (error != asio::error::connection_aborted) {
      service->log.Warn("accept_failed", {{"error", error.message()}});
      co_await SleepFor(kAcceptPause);
    }
  }
}

bool HttpServer::State::AbortLongest(const std::string& group) {
  HttpConnection* longest = nullptr;
  for (HttpConnection& connection : connections) {
    if (connection.disposable() &&
        (group.empty() || PeerGroupOf(connection.peer_address()) == group) &&
        (longest == nullptr || connection.since() < longest->since())) {
      longest = &connection;
    }
  }
  if (longest == nullptr || SteadyClock::now() - longest->since() < kMinStay) {
    return false;
  }
  longest->Abort();
  return true;
}

// While all places are taken, the connection that has waited longest without a request under way
// makes room.
asio::awaitable<void> HttpServer::State::MakeRoom() {
  while (!stopped && connections.size() >= service->options.limits.connections) {
    AbortLongest("");
    room.Reset();
    co_await room.WaitFor(kRoomCheck);
  }
}

void HttpServer::State::Admit(const std::shared_ptr<Listener>& listener, tcp::socket socket) {
  error_code error;
  const tcp::endpoint endpoint = socket.remote_endpoint(error);
  if (error) {
    return;
  }
  std::string peer = PeerText(endpoint);
  std::string group = PeerGroupOf(peer);
  // Likewise among one peer's own: who shares an address with a client that only opens connections
  // is not kept out by it.
  if (per_peer[group] >= service->options.limits.connections_per_peer && !AbortLongest(group)) {
    service->log.Debug("too_many_connections", {{"peer", group}});
    return;
  }
  const int fd = socket.release(error);
  auto stream = TlsStream::Accepted(service->loop, listener->tls, fd, peer);
  if (!stream.ok()) {
    service->log.Warn("accept_failed", {{"error", stream.status()}});
    if (per_peer[group] == 0) {
      per_peer.erase(group);
    }
    return;
  }
  ++per_peer[group];
  connections.emplace_back(service, *std::move(stream));
  Spawn(scope, "http_connection", Serve(std::prev(connections.end()), std::move(group)));
  if (!sweeping) {
    sweeping = true;
    Spawn(scope, "http_sweep", Sweep());
  }
}

asio::awaitable<void> HttpServer::State::Serve(std::list<HttpConnection>::iterator connection,
                                               std::string group) {
  struct Leave {
    ~Leave() {
      state.connections.erase(connection);
      if (auto count = state.per_peer.find(group); --count->second == 0) {
        state.per_peer.erase(count);
      }
      state.room.Set();
    }
    State& state;
    std::list<HttpConnection>::iterator connection;
    const std::string& group;
  };
  const Leave leave{*this, connection, group};
  co_await connection->Serve();
}

// One timer for every wait of every connection; none when there is no connection.
asio::awaitable<void> HttpServer::State::Sweep() {
  while (!connections.empty() && !stopped) {
    co_await SleepFor(service->options.limits.sweep);
    const auto now = SteadyClock::now();
    for (HttpConnection& connection : connections) {
      if (connection.deadline() <= now) {
        connection.Abort();
      }
    }
  }
  sweeping = false;
}

void HttpServer::State::AbortAll() {
  stopped = true;
  for (const std::shared_ptr<Listener>& listener : listeners) {
    error_code ignored;
    listener->acceptor.close(ignored);
  }
  for (HttpConnection& connection : connections) {
    connection.Abort();
  }
  room.Set();
}

HttpServer::HttpServer(asio::io_context& loop, Router router, HttpServerOptions options, Logger log)
    : state_(std::make_shared<State>(loop, std::move(router), std::move(options), log)) {}

HttpServer::~HttpServer() { state_->AbortAll(); }

absl::StatusOr<uint16_t> HttpServer::Listen(HostPort address,
                                            std::shared_ptr<TlsServerContext> tls) {
  error_code error;
  const asio::ip::address ip = asio::ip::make_address(address.host, error);
  if (error) {
    return absl::InvalidArgumentError(
        StrCat("\"", address.host, "\" is not an IP address to listen on"));
  }
  const tcp::endpoint endpoint(ip, address.port);
  auto listener = std::make_shared<State::Listener>(state_->service->loop, std::move(tls));
  tcp::acceptor& acceptor = listener->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error && ip.is_v6()) {
    acceptor.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) {
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(1024, error);
  }
  if (error) {
    return absl::UnavailableError(StrCat("port ", address.port, ": ", error.message()));
  }
  const uint16_t port = acceptor.local_endpoint().port();
  state_->listeners.push_back(listener);
  Spawn(state_->scope, "http_accept", state_->Accept(listener));
  return port;
}

asio::awaitable<void> HttpServer::Stop() {
  const std::shared_ptr<State> state = state_;
  state->AbortAll();
  co_await state->scope.Join();
}

size_t HttpServer::connections() const { return state_->connections.size(); }

}  // namespace bramble
