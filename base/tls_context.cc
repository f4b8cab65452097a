// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/ip.h"
#include "base/openssl_handles.h"
#include "base/status.h"
#include "base/tls.h"
#include "base/tls_verify.h"

namespace bramble {
namespace {

void SetCommonOptions(SSL_CTX* context, TlsVersion at_least) {
  SSL_CTX_set_min_proto_version(context,
                                at_least == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_read_ahead(context, 1);
}

absl::Status UseCertificate(SSL_CTX* context, const std::vector<Certificate>& chain,
                            const PrivateKey& key) {
  if (chain.empty() || !key) {
    return absl::InvalidArgumentError("TLS: a certificate and its key are needed");
  }
  STACK_OF(X509)* above = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) {
    sk_X509_push(above, chain[i].native());
  }
  const int used = SSL_CTX_use_cert_and_key(context, chain.front().native(), key.native(), above,
                                            /*override=*/1);
  sk_X509_free(above);
  if (used != 1) {
    return absl::InvalidArgumentError(
        StrCat("TLS: certificate and key do not match: ", TakeOpensslError()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsServerContext>> TlsServerContext::Make(TlsServerOptions options) {
  std::shared_ptr<TlsServerContext> made(new TlsServerContext());
  made->options_ = std::move(options);
  made->context_ = SSL_CTX_new(TLS_server_method());
  if (made->context_ == nullptr) {
    return absl::InternalError(StrCat("TLS: ", TakeOpensslError()));
  }
  SetCommonOptions(made->context_, made->options_.at_least);
  BRAMBLE_RETURN_IF_ERROR(UseCertificate(made->context_, made->options_.chain, made->options_.key));
  if (made->options_.client_ca.has_value()) {
    SSL_CTX_set_verify(made->context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_add_client_CA(made->context_, made->options_.client_ca->native());
    // Every certificate passes the handshake, which proves that the client holds its key; the
    // stream then says what it is worth.
    SSL_CTX_set_cert_verify_callback(
        made->context_, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  }
  return made;
}

TlsServerContext::~TlsServerContext() { SSL_CTX_free(context_); }

absl::Status TlsServerContext::SetCertificate(const std::vector<Certificate>& chain,
                                              const PrivateKey& key) {
  BRAMBLE_RETURN_IF_ERROR(UseCertificate(context_, chain, key));
  options_.chain = chain;
  options_.key = key;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<TlsClientContext>> TlsClientContext::Make(TlsClientOptions options) {
  std::shared_ptr<TlsClientContext> made(new TlsClientContext());
  made->options_ = std::move(options);
  made->context_ = SSL_CTX_new(TLS_client_method());
  if (made->context_ == nullptr) {
    return absl::InternalError(StrCat("TLS: ", TakeOpensslError()));
  }
  SetCommonOptions(made->context_, made->options_.at_least);
  if (!made->options_.chain.empty()) {
    BRAMBLE_RETURN_IF_ERROR(
        UseCertificate(made->context_, made->options_.chain, made->options_.key));
  }
  SSL_CTX_set_verify(made->context_, SSL_VERIFY_PEER, nullptr);
  // The check itself is set per connection, which keeps its verdict: TlsStream.
  return made;
}

TlsClientContext::~TlsClientContext() { SSL_CTX_free(context_); }

absl::Status VerifyChain(X509* leaf, STACK_OF(X509) * untrusted, const ChainCheck& check) {
  X509StorePtr store(X509_STORE_new());
  if (check.ca != nullptr) {
    X509_STORE_add_cert(store.get(), check.ca->native());
  } else {
    X509_STORE_set_default_paths(store.get());
  }
  const OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf, untrusted) != 1) {
    return absl::InternalError(StrCat("TLS: ", TakeOpensslError()));
  }
  X509_STORE_CTX_set_default(context.get(), check.server ? "ssl_server" : "ssl_client");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  if (check.now.has_value()) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*check.now);
    X509_VERIFY_PARAM_set_time(param, seconds.time_since_epoch().count());
  } else {
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
  }
  if (!check.name.empty()) {
    // An address is compared with the addresses in the certificate, anything else with its names.
    if (X509_VERIFY_PARAM_set1_ip_asc(param, check.name.c_str()) != 1) {
      X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      X509_VERIFY_PARAM_set1_host(param, check.name.c_str(), check.name.size());
    }
  }
  const int good = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (good == 1) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      StrCat("its certificate is not accepted: ", X509_verify_cert_error_string(error)));
}

}  // namespace bramble
