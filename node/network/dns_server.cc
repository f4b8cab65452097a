// SPDX-License-Identifier: Apache-2.0
#include "node/network/dns_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/status.h"
#include "base/timer.h"
#include "base/undo.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxTcpMessage = 65535;
constexpr std::chrono::seconds kListenRetry{5};

// Binds to an interface as well, so that nobody on another one is answered, and port 53 of the rest
// of the machine stays free.
template <typename Socket>
absl::Status BindTo(Socket& socket, const std::string& interface,
                    const asio::ip::address_v4& address, uint16_t port) {
  using Protocol = typename Socket::protocol_type;
  boost::system::error_code error;
  socket.open(Protocol::v4(), error);
  if (!error) {
    socket.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error && !interface.empty() &&
      ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                   interface.size()) != 0) {
    return ErrnoStatus(errno, StrCat("DNS for containers on ", interface));
  }
  if (!error) {
    socket.bind(typename Protocol::endpoint(address, port), error);
  }
  if (error) {
    return absl::UnavailableError(StrCat("DNS for containers on ", interface, ", ",
                                         Protocol::v4().protocol() == IPPROTO_TCP ? "TCP" : "UDP",
                                         " port ", port, ": ", error.message()));
  }
  return absl::OkStatus();
}

Ipv4 AddressOf(const asio::ip::address& address) {
  return address.is_v4() ? Ipv4(address.to_v4().to_uint()) : Ipv4();
}

asio::ip::address_v4 AddressOf(Ipv4 address) { return asio::ip::address_v4(address.bits()); }

std::string WithId(std::string message, uint16_t id) {
  message[0] = static_cast<char>(id >> 8);
  message[1] = static_cast<char>(id);
  return message;
}

std::string WithLength(std::string_view message) {
  std::string out;
  out += static_cast<char>(message.size() >> 8);
  out += static_cast<char>(message.size());
  return out.append(message);
}

asio::awaitable<absl::StatusOr<std::string>> ReadMessage(asio::ip::tcp::socket& socket,
                                                         size_t max_bytes) {
  std::array<unsigned char, 2> length{};
  const auto [error, n] =
      co_await asio::async_read(socket, asio::buffer(length), asio::as_tuple(asio::use_awaitable));
  const size_t size = static_cast<size_t>(length[0]) << 8 | length[1];
  if (error || size == 0 || size > max_bytes) {
    co_return absl::UnavailableError("DNS: the other side closed, or sent too much");
  }
  std::string message(size, '\0');
  const auto [read_error, read] =
      co_await asio::async_read(socket, asio::buffer(message), asio::as_tuple(asio::use_awaitable));
  if (read_error) {
    co_return absl::UnavailableError("DNS: the other side closed");
  }
  co_return message;
}

asio::awaitable<absl::Status> WriteMessage(asio::ip::tcp::socket& socket, std::string message) {
  const std::string framed = WithLength(message);
  const auto [error, n] =
      co_await asio::async_write(socket, asio::buffer(framed), asio::as_tuple(asio::use_awaitable));
  co_return error ? absl::UnavailableError("DNS: the other side closed") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DnsServer>> DnsServer::Open(asio::io_context& loop,
                                                           const std::string& interface,
                                                           uint16_t port, Random& random,
                                                           Limits limits, Logger log) {
  Udp::socket udp(loop);
  const auto loopback = asio::ip::address_v4::loopback();
  BRAMBLE_RETURN_IF_ERROR(
      BindTo(udp, interface, interface.empty() ? loopback : asio::ip::address_v4::any(), port));
  std::unique_ptr<DnsServer> server(
      new DnsServer(loop, interface, std::move(udp), random, limits, log));
  if (interface.empty()) {
    server->address_ = Ipv4(loopback.to_uint());
    BRAMBLE_RETURN_IF_ERROR(server->Listen());
  }
  return server;
}

DnsServer::DnsServer(asio::io_context& loop, std::string interface, Udp::socket udp, Random& random,
                     Limits limits, Logger log)
    : loop_(loop),
      interface_(std::move(interface)),
      udp_(std::move(udp)),
      tcp_(loop),
      random_(random),
      limits_(limits),
      log_(log),
      port_(udp_.local_endpoint().port()),
      moved_(loop),
      scope_(loop, log) {
  Spawn(scope_, "dns_udp", ServeUdp());
  Spawn(scope_, "dns_tcp", ServeTcp());
}

DnsServer::~DnsServer() = default;

absl::Status DnsServer::Listen() {
  Tcp::acceptor tcp(loop_);
  BRAMBLE_RETURN_IF_ERROR(BindTo(tcp, interface_, AddressOf(address_), port_));
  boost::system::error_code error;
  tcp.listen(limits_.connections, error);
  if (error) {
    return absl::UnavailableError(StrCat("DNS for containers: ", error.message()));
  }
  tcp_ = std::move(tcp);
  return absl::OkStatus();
}

void DnsServer::SetAddress(Ipv4 address) {
  if (address != address_) {
    address_ = address;
    boost::system::error_code ignored;
    tcp_.close(ignored);
    moved_.Set();
  }
}

std::optional<std::string> DnsServer::AnswerHere(std::string_view message, const DnsQuery& query,
                                                 size_t max_bytes) {
  const DnsZone::Found found = zone_.Find(query.name);
  if (found.ours) {
    return AnswerDns(message, query, found, DnsCode::kOk, max_bytes);
  }
  if (forwarders_.empty() || !query.recursion) {
    return AnswerDns(message, query, found, DnsCode::kRefused, max_bytes);
  }
  return std::nullopt;
}

asio::awaitable<void> DnsServer::ServeUdp() {
  std::array<char, kMaxDnsQueryBytes + 1> buffer;
  while (true) {
    Udp::endpoint client;
    const auto [error, n] = co_await udp_.async_receive_from(asio::buffer(buffer), client,
                                                             asio::as_tuple(asio::use_awaitable));
    if (error || !clients_.contains(AddressOf(client.address()))) {
      continue;
    }
    const std::string_view message(buffer.data(), n);
    const std::optional<DnsQuery> query = DecodeDnsQuery(message);
    if (!query.has_value()) {
      continue;
    }
    const size_t max_bytes =
        std::clamp<size_t>(query->edns_size.value_or(0), kMaxPlainAnswer, kMaxDnsQueryBytes);
    std::optional<std::string> answer = AnswerHere(message, *query, max_bytes);
    if (!answer.has_value() && forwards_ >= limits_.forwards) {
      answer = AnswerDns(message, *query, {}, DnsCode::kServerFailure, max_bytes);
    }
    if (answer.has_value()) {
      boost::system::error_code ignored;  // it asks again
      udp_.send_to(asio::buffer(*answer), client, 0, ignored);
    } else {
      ++forwards_;
      Spawn(scope_, "dns_forward", ForwardUdp(std::string(message), *query, client));
    }
  }
}

asio::awaitable<void> DnsServer::ForwardUdp(std::string message, DnsQuery query,
                                            Udp::endpoint client) {
  Undo done;
  done.Add([this] { --forwards_; });
  std::optional<std::string> answer = co_await Forward(message, query, /*by_tcp=*/false);
  if (!answer.has_value()) {
    const DnsZone::Found none;
    answer = AnswerDns(message, query, none, DnsCode::kServerFailure, kMaxPlainAnswer);
  }
  boost::system::error_code ignored;
  udp_.send_to(asio::buffer(*answer), client, 0, ignored);
}

asio::awaitable<std::optional<std::string>> DnsServer::Forward(std::string message, DnsQuery query,
                                                               bool by_tcp) {
  const std::vector<std::pair<Ipv4, uint16_t>> forwarders = forwarders_;
  const std::string asked = WithId(message, static_cast<uint16_t>(random_.Below(65536)));
  for (const auto& [address, port] : forwarders) {
    absl::StatusOr<std::string> answer = absl::UnavailableError("");
    if (by_tcp) {
      const Tcp::endpoint server(AddressOf(address), port);
      auto ask = AskTcp(asked, server);
      answer = co_await WithDeadline(std::move(ask), limits_.forward_wait, "DNS");
    } else {
      const Udp::endpoint server(AddressOf(address), port);
      auto ask = AskUdp(asked, server, query);
      answer = co_await WithDeadline(std::move(ask), limits_.forward_wait, "DNS");
    }
    if (answer.ok() && IsAnswerTo(*answer, asked, query)) {
      co_return WithId(*std::move(answer), query.id);
    }
  }
  co_return std::nullopt;
}

asio::awaitable<absl::StatusOr<std::string>> DnsServer::AskUdp(std::string message,
                                                               Udp::endpoint server,
                                                               DnsQuery query) {
  // A socket of its own has a port of its own, by the kernel's random choice; connected, it takes
  // answers of this server only.
  Udp::socket socket(loop_);
  boost::system::error_code error;
  socket.open(Udp::v4(), error);
  socket.connect(server, error);
  if (!error) {
    socket.send(asio::buffer(message), 0, error);
  }
  std::string answer(kMaxDnsQueryBytes, '\0');
  while (!error) {
    const auto [failed, n] =
        co_await socket.async_receive(asio::buffer(answer), asio::as_tuple(asio::use_awaitable));
    error = failed;
    if (!error && IsAnswerTo({answer.data(), n}, message, query)) {
      answer.resize(n);
      co_return answer;
    }
  }
  co_return absl::UnavailableError(error.message());
}

asio::awaitable<absl::StatusOr<std::string>> DnsServer::AskTcp(std::string message,
                                                               Tcp::endpoint server) {
  Tcp::socket socket(loop_);
  const auto [error] = co_await socket.async_connect(server, asio::as_tuple(asio::use_awaitable));
  if (error) {
    co_return absl::UnavailableError(error.message());
  }
  const absl::Status sent = co_await WriteMessage(socket, std::move(message));
  if (!sent.ok()) {
    co_return sent;
  }
  co_return co_await ReadMessage(socket, kMaxTcpMessage);
}

asio::awaitable<void> DnsServer::ServeTcp() {
  bool told = false;
  while (true) {
    if (!tcp_.is_open() && address_.empty()) {
      co_await moved_.Wait();
    }
    if (!tcp_.is_open()) {
      moved_.Reset();
      if (const absl::Status listening = Listen(); !listening.ok()) {
        if (!std::exchange(told, true)) {
          log_.Warn("names_not_served", {{"error", listening}});
        }
        co_await moved_.WaitFor(kListenRetry);
        continue;
      }
      told = false;
    }
    auto [error, socket] = co_await tcp_.async_accept(asio::as_tuple(asio::use_awaitable));
    if (error) {
      // Out of descriptors, or the address has changed.
      co_await SleepFor(std::chrono::milliseconds(100));
      continue;
    }
    boost::system::error_code ignored;
    const auto client = socket.remote_endpoint(ignored);
    if (connections_ < limits_.connections && clients_.contains(AddressOf(client.address()))) {
      ++connections_;
      Spawn(scope_, "dns_connection", ServeConnection(std::move(socket)));
    }
  }
}

asio::awaitable<void> DnsServer::ServeConnection(Tcp::socket socket) {
  Undo done;
  done.Add([this] { --connections_; });
  auto talk = Talk(socket);
  (void)co_await WithDeadline(std::move(talk), limits_.connection_wait, "DNS connection");
}

asio::awaitable<absl::Status> DnsServer::Talk(Tcp::socket& socket) {
  while (true) {
    absl::StatusOr<std::string> message = co_await ReadMessage(socket, kMaxDnsQueryBytes);
    if (!message.ok()) {
      co_return message.status();
    }
    const std::optional<DnsQuery> query = DecodeDnsQuery(*message);
    if (!query.has_value()) {
      co_return absl::InvalidArgumentError("DNS: not a query");
    }
    std::optional<std::string> answer = AnswerHere(*message, *query, kMaxTcpMessage);
    if (!answer.has_value()) {
      answer = co_await Forward(*message, *query, /*by_tcp=*/true);
    }
    if (!answer.has_value()) {
      const DnsZone::Found none;
      answer = AnswerDns(*message, *query, none, DnsCode::kServerFailure, kMaxTcpMessage);
    }
    const absl::Status sent = co_await WriteMessage(socket, *std::move(answer));
    if (!sent.ok()) {
      co_return sent;
    }
  }
}

}  // namespace bramble::node
