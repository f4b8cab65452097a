// SPDX-License-Identifier: Apache-2.0
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/check.h"
#include "base/openssl_handles.h"
#include "base/status.h"
#include "base/timer.h"
#include "base/tls.h"
#include "base/tls_socket.h"
#include "base/tls_verify.h"

namespace bramble {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

WallTime NowOf(const Clock* clock) {
  return clock != nullptr ? clock->Wall() : SystemClock().Wall();
}

absl::Status CheckServer(const ServerCheck& check, WallTime now, X509* leaf,
                         STACK_OF(X509) * untrusted) {
  if (leaf == nullptr) {
    return absl::PermissionDeniedError("it showed no certificate");
  }
  if (const auto* pinned = std::get_if<PinnedKey>(&check)) {
    X509_up_ref(leaf);
    const Certificate certificate(std::shared_ptr<X509>(leaf, X509_free));
    if (certificate.Spki() != pinned->spki) {
      return absl::PermissionDeniedError(StrCat("its key is another one than expected: sha256 ",
                                                certificate.Spki().Hex(), ", expected ",
                                                pinned->spki.Hex()));
    }
    return absl::OkStatus();
  }
  if (std::holds_alternative<FirstUse>(check)) {
    return absl::OkStatus();
  }
  ChainCheck chain;
  chain.now = now;
  if (const auto* by_ca = std::get_if<IssuedByCa>(&check)) {
    chain.ca = &by_ca->ca;
  } else if (const auto* by_name = std::get_if<IssuedByCaForName>(&check)) {
    chain.ca = &by_name->ca;
    chain.name = by_name->name;
  } else {
    chain.name = std::get<IssuedBySystemCaForName>(check).name;
  }
  return VerifyChain(leaf, untrusted, chain);
}

PeerCertificate CheckClient(const TlsServerOptions& options, X509* leaf,
                            STACK_OF(X509) * untrusted) {
  ChainCheck check;
  check.ca = &*options.client_ca;
  check.server = false;
  if (!VerifyChain(leaf, untrusted, check).ok()) {
    return PeerCertificate::kInvalid;
  }
  check.now = NowOf(options.clock);
  return VerifyChain(leaf, untrusted, check).ok() ? PeerCertificate::kValid
                                                  : PeerCertificate::kExpired;
}

std::string AddressText(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) {
    return "";
  }
  if (peer.address().is_v6() && peer.address().to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, peer.address().to_v6()).to_string();
  }
  return peer.address().to_string();
}

absl::Status StatusOf(const error_code& error, std::string_view context) {
  if (error == asio::error::operation_aborted) {
    return absl::CancelledError(StrCat(context, ": closed"));
  }
  return absl::UnavailableError(StrCat(context, ": ", error.message()));
}

}  // namespace

struct TlsStream::State {
  explicit State(tcp::socket socket_in) : socket(std::move(socket_in)) {}
  ~State() { SSL_free(ssl); }

  absl::Status Start(SSL_CTX* context, bool server);
  asio::awaitable<absl::Status> Handshake();
  asio::awaitable<absl::Status> Wait(bool write);
  absl::Status Failure(int code, std::string_view doing);
  void LearnClient(const TlsServerOptions& options);

  tcp::socket socket;
  SSL* ssl = nullptr;
  TlsSocket bio;
  std::shared_ptr<TlsServerContext> server;
  std::shared_ptr<TlsClientContext> client;
  TlsPeer peer;
  absl::Status verdict;  // of the check of the server's certificate
  std::string name;      // of the peer, for errors
  std::string address;
  bool read_wants_write = false;
  bool write_wants_read = false;
  bool handshaken = false;
  bool failed = false;  // OpenSSL allows no further call after a fatal error
};

absl::Status TlsStream::State::Start(SSL_CTX* context, bool is_server) {
  error_code error;
  socket.non_blocking(true, error);
  socket.set_option(tcp::no_delay(true), error);
  // A peer that lost power is noticed even where nobody pings: after a minute.
  socket.set_option(asio::socket_base::keep_alive(true), error);
  const int idle_s = 30;
  const int interval_s = 10;
  const int probes = 3;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  bio.fd = socket.native_handle();
  ssl = SSL_new(context);
  BIO* transport = NewSocketBio(bio);
  if (ssl == nullptr || transport == nullptr) {
    BIO_free(transport);
    return absl::ResourceExhaustedError(StrCat("TLS: ", TakeOpensslError()));
  }
  SSL_set_bio(ssl, transport, transport);
  SSL_set_app_data(ssl, this);
  is_server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  return absl::OkStatus();
}

asio::awaitable<absl::Status> TlsStream::State::Wait(bool write) {
  if (!socket.is_open()) {
    co_return absl::UnavailableError(StrCat(name, ": closed"));
  }
  const auto what = write ? tcp::socket::wait_write : tcp::socket::wait_read;
  auto [error] = co_await socket.async_wait(what, asio::as_tuple(asio::use_awaitable));
  if (error) {
    co_return StatusOf(error, name);
  }
  co_return absl::OkStatus();
}

absl::Status TlsStream::State::Failure(int code, std::string_view doing) {
  const int os_error = errno;
  failed = true;
  if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0) {
    return absl::UnavailableError(
        StrCat(name, ": ", doing, ": ",
               os_error != 0 ? std::string(std::strerror(os_error)) : "connection closed"));
  }
  const unsigned long reason = ERR_peek_error();
  if (ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    return absl::UnavailableError(StrCat(name, ": ", doing, ": connection closed"));
  }
  return absl::UnavailableError(StrCat(name, ": ", doing, ": TLS: ", TakeOpensslError()));
}

asio::awaitable<absl::Status> TlsStream::State::Handshake() {
  for (;;) {
    if (!socket.is_open() || failed) {
      co_return absl::UnavailableError(StrCat(name, ": closed"));
    }
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(ssl);
    if (result == 1) {
      break;
    }
    const int code = SSL_get_error(ssl, result);
    if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE) {
      absl::Status failure = Failure(code, "TLS handshake");
      if (!verdict.ok()) {
        co_return Annotate(verdict, name);
      }
      co_return failure;
    }
    absl::Status ready = co_await Wait(code == SSL_ERROR_WANT_WRITE);
    if (!ready.ok()) {
      co_return ready;
    }
  }
  handshaken = true;
  co_return absl::OkStatus();
}

void TlsStream::State::LearnClient(const TlsServerOptions& options) {
  X509* leaf = SSL_get1_peer_certificate(ssl);
  if (leaf == nullptr || !options.client_ca.has_value()) {
    X509_free(leaf);
    return;
  }
  peer.certificate = Certificate(std::shared_ptr<X509>(leaf, X509_free));
  peer.spki = peer.certificate.Spki();
  peer.state = CheckClient(options, leaf, SSL_get_peer_cert_chain(ssl));
}

TlsStream::TlsStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsStream::~TlsStream() = default;

namespace {

// A numeric address is not worth the resolver, which makes a thread.
asio::awaitable<absl::StatusOr<std::vector<tcp::endpoint>>> Resolve(HostPort target) {
  error_code error;
  const asio::ip::address numeric = asio::ip::make_address(target.host, error);
  std::vector<tcp::endpoint> endpoints;
  if (!error) {
    endpoints.emplace_back(numeric, target.port);
    co_return endpoints;
  }
  tcp::resolver resolver(co_await asio::this_coro::executor);
  const std::string port = std::to_string(target.port);
  auto [failed, found] =
      co_await resolver.async_resolve(target.host, port, asio::as_tuple(asio::use_awaitable));
  if (failed) {
    co_return StatusOf(failed, target.host);
  }
  for (const auto& entry : found) {
    endpoints.push_back(entry.endpoint());
  }
  co_return endpoints;
}

asio::awaitable<absl::StatusOr<tcp::socket>> DialTcp(HostPort target) {
  auto resolved = co_await Resolve(target);
  if (!resolved.ok()) {
    co_return resolved.status();
  }
  tcp::socket socket(co_await asio::this_coro::executor);
  auto token = asio::as_tuple(asio::use_awaitable);
  auto [error, endpoint] = co_await asio::async_connect(socket, *resolved, std::move(token));
  if (error) {
    co_return StatusOf(error, target.str());
  }
  co_return std::move(socket);
}

}  // namespace

namespace tls_internal {

// The address is no name: RFC 6066, 3.
bool IsNumericAddress(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

}  // namespace tls_internal

asio::awaitable<absl::StatusOr<std::unique_ptr<TlsStream>>> TlsStream::Connect(
    std::shared_ptr<TlsClientContext> context, HostPort target, std::chrono::milliseconds limit) {
  auto dial = [](std::shared_ptr<TlsClientContext> tls,
                 HostPort to) -> asio::awaitable<absl::StatusOr<std::unique_ptr<TlsStream>>> {
    auto socket = co_await DialTcp(to);
    if (!socket.ok()) {
      co_return socket.status();
    }
    auto state = std::make_unique<State>(*std::move(socket));
    state->name = to.str();
    state->address = AddressText(state->socket);
    state->client = tls;
    absl::Status started = state->Start(tls->native(), /*is_server=*/false);
    if (!started.ok()) {
      co_return started;
    }
    if (!tls_internal::IsNumericAddress(to.host)) {
      SSL_set_tlsext_host_name(state->ssl, to.host.c_str());
    }
    absl::Status shaken = co_await state->Handshake();
    if (!shaken.ok()) {
      co_return shaken;
    }
    state->peer.certificate =
        Certificate(std::shared_ptr<X509>(SSL_get1_peer_certificate(state->ssl), X509_free));
    state->peer.spki = state->peer.certificate.Spki();
    state->peer.state = PeerCertificate::kValid;
    co_return std::unique_ptr<TlsStream>(new TlsStream(std::move(state)));
  };
  std::string what = target.str();
  // Set here, once the state's type is complete; the same for every connection of the context.
  SSL_CTX_set_cert_verify_callback(
      context->native(),
      [](X509_STORE_CTX* chain, void* argument) {
        auto* ssl = static_cast<SSL*>(
            X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
        auto* state = static_cast<State*>(SSL_get_app_data(ssl));
        const auto* options = static_cast<const TlsClientOptions*>(argument);
        state->verdict =
            CheckServer(options->check, NowOf(options->clock), X509_STORE_CTX_get0_cert(chain),
                        X509_STORE_CTX_get0_untrusted(chain));
        if (!state->verdict.ok()) {
          X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
        }
        return state->verdict.ok() ? 1 : 0;
      },
      &context->options_);
  auto dialling = dial(std::move(context), std::move(target));
  co_return co_await WithDeadline(std::move(dialling), limit, std::move(what));
}

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Accepted(
    asio::io_context& loop, std::shared_ptr<TlsServerContext> context, int fd,
    std::string peer_address) {
  tcp::socket socket(loop);
  error_code error;
  socket.assign(tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    return StatusOf(error, peer_address);
  }
  auto state = std::make_unique<State>(std::move(socket));
  state->name = peer_address;
  state->address = std::move(peer_address);
  BRAMBLE_RETURN_IF_ERROR(state->Start(context->native(), /*is_server=*/true));
  state->server = std::move(context);
  return std::unique_ptr<TlsStream>(new TlsStream(std::move(state)));
}

asio::awaitable<absl::Status> TlsStream::Handshake() {
  absl::Status shaken = co_await state_->Handshake();
  if (shaken.ok()) {
    state_->LearnClient(state_->server->options_);
  }
  co_return shaken;
}

absl::StatusOr<std::optional<size_t>> TlsStream::TryRead(char* out, size_t size) {
  State& state = *state_;
  if (!state.socket.is_open() || state.failed) {
    return absl::UnavailableError(StrCat(state.name, ": closed"));
  }
  ERR_clear_error();
  errno = 0;
  size_t got = 0;
  const int result = SSL_read_ex(state.ssl, out, size, &got);
  if (result == 1) {
    return got;
  }
  const int code = SSL_get_error(state.ssl, result);
  switch (code) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      state.read_wants_write = code == SSL_ERROR_WANT_WRITE;
      return std::nullopt;
    case SSL_ERROR_ZERO_RETURN:
      return size_t{0};
    default:
      return state.Failure(code, "reading");
  }
}

absl::StatusOr<std::optional<size_t>> TlsStream::TryWrite(std::string_view bytes) {
  State& state = *state_;
  if (!state.socket.is_open() || state.failed) {
    return absl::UnavailableError(StrCat(state.name, ": closed"));
  }
  if (bytes.empty()) {
    return size_t{0};
  }
  ERR_clear_error();
  errno = 0;
  size_t taken = 0;
  const int result = SSL_write_ex(state.ssl, bytes.data(), bytes.size(), &taken);
  if (result == 1) {
    return taken;
  }
  const int code = SSL_get_error(state.ssl, result);
  if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
    state.write_wants_read = code == SSL_ERROR_WANT_READ;
    return std::nullopt;
  }
  return state.Failure(code, "writing");
}

asio::awaitable<absl::Status> TlsStream::Readable() {
  return state_->Wait(/*write=*/state_->read_wants_write);
}

asio::awaitable<absl::Status> TlsStream::Writable() {
  return state_->Wait(/*write=*/!state_->write_wants_read);
}

asio::awaitable<absl::StatusOr<size_t>> TlsStream::Read(char* out, size_t size) {
  for (;;) {
    absl::StatusOr<std::optional<size_t>> got = TryRead(out, size);
    if (!got.ok()) {
      co_return got.status();
    }
    if (got->has_value()) {
      co_return **got;
    }
    absl::Status ready = co_await Readable();
    if (!ready.ok()) {
      co_return ready;
    }
  }
}

asio::awaitable<absl::Status> TlsStream::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    absl::StatusOr<std::optional<size_t>> taken = TryWrite(bytes);
    if (!taken.ok()) {
      co_return taken.status();
    }
    if (taken->has_value()) {
      bytes.remove_prefix(**taken);
      continue;
    }
    absl::Status ready = co_await Writable();
    if (!ready.ok()) {
      co_return ready;
    }
  }
  co_return absl::OkStatus();
}

void TlsStream::CloseWrite() {
  State& state = *state_;
  if (state.socket.is_open() && state.handshaken && !state.failed &&
      (SSL_get_shutdown(state.ssl) & SSL_SENT_SHUTDOWN) == 0) {
    ERR_clear_error();
    SSL_shutdown(state.ssl);
    error_code ignored;
    state.socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
}

void TlsStream::Close() {
  CloseWrite();
  Abort();
}

void TlsStream::Abort() {
  error_code ignored;
  state_->socket.close(ignored);
  state_->bio.fd = -1;
}

bool TlsStream::is_open() const { return state_->socket.is_open() && !state_->failed; }
const TlsPeer& TlsStream::peer() const { return state_->peer; }
const std::string& TlsStream::peer_address() const { return state_->address; }
std::string TlsStream::version() const { return SSL_get_version(state_->ssl); }
uint64_t TlsStream::bytes_received() const { return state_->bio.received; }

absl::StatusOr<std::string> TlsStream::ExportKeyingMaterial(std::string_view label,
                                                            size_t bytes) const {
  std::string out(bytes, '\0');
  if (!state_->handshaken ||
      SSL_export_keying_material(state_->ssl, reinterpret_cast<unsigned char*>(out.data()), bytes,
                                 label.data(), label.size(), nullptr, 0, 0) != 1) {
    ERR_clear_error();
    return absl::FailedPreconditionError(StrCat(state_->name, ": TLS is not established"));
  }
  return out;
}

}  // namespace bramble
