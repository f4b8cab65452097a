// SPDX-License-Identifier: Apache-2.0
#pragma once

// A CA, a server and a client on loopback, for tests.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/certificate.h"
#include "base/http_client.h"
#include "base/http_server.h"
#include "base/run_on_loop.h"
#include "base/tls.h"

namespace bramble {

// Certificates valid now, all made anew.
struct TestCa {
  TestCa() : key(PrivateKey::Generate()), server_key(PrivateKey::Generate()) {
    certificate = MakeCaCertificate(key, "test CA", Dates(-1000, 1000)).value();
    CertificateSubject subject;
    subject.common_name = "controller";
    subject.dns_names = {"localhost"};
    subject.ip_addresses = {"127.0.0.1"};
    server = Issue(server_key.Public(), subject, Dates(-10, 10), CertificateUse::kServer);
  }

  static CertificateDates Dates(int from_hours, int to_hours) {
    const WallTime now = SystemClock().Wall();
    return {now + std::chrono::hours(from_hours), now + std::chrono::hours(to_hours)};
  }
  Certificate Issue(const PublicKey& to, const CertificateSubject& subject, CertificateDates dates,
                    CertificateUse use) const {
    return IssueCertificate({certificate, key}, to, subject, dates, use).value();
  }

  std::shared_ptr<TlsServerContext> ServerContext(TlsVersion at_least = TlsVersion::kTls13,
                                                  bool ask_clients = true) const {
    TlsServerOptions options;
    options.chain = {server};
    options.key = server_key;
    options.at_least = at_least;
    if (ask_clients) {
      options.client_ca = certificate;
    }
    return TlsServerContext::Make(std::move(options)).value();
  }
  std::shared_ptr<TlsClientContext> ClientContext(ServerCheck check,
                                                  std::vector<Certificate> chain = {},
                                                  PrivateKey client_key = {}) const {
    TlsClientOptions options;
    options.check = std::move(check);
    options.chain = std::move(chain);
    options.key = std::move(client_key);
    return TlsClientContext::Make(std::move(options)).value();
  }
  std::shared_ptr<TlsClientContext> Pinned() const {
    return ClientContext(PinnedKey{server_key.Spki()});
  }

  PrivateKey key;
  Certificate certificate;
  PrivateKey server_key;
  Certificate server;
};

// A server on a free port, and what is needed to reach it.
class LoopbackServer {
 public:
  LoopbackServer(asio::io_context& loop, const TestCa& ca, Router router,
                 HttpServerOptions options = {}, Logger log = {})
      : server_(loop, std::move(router), std::move(options), log) {
    port_ = server_.Listen({"127.0.0.1", 0}, ca.ServerContext(TlsVersion::kTls12)).value();
  }

  HostPort address() const { return {"127.0.0.1", port_}; }
  HttpServer& server() { return server_; }
  HttpClientOptions ClientOptions(const TestCa& ca) const {
    HttpClientOptions options;
    options.target = address();
    options.tls = ca.Pinned();
    return options;
  }

 private:
  HttpServer server_;
  uint16_t port_ = 0;
};

}  // namespace bramble
