// SPDX-License-Identifier: Apache-2.0
#pragma once

// P-256 keys and X.509 certificates, by OpenSSL.  Values: copies share what they hold and never
// change.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"

#include "absl/status/statusor.h"

// OpenSSL's own names, so that its headers stay out of ours.
typedef struct evp_pkey_st EVP_PKEY;
typedef struct x509_st X509;
typedef struct X509_req_st X509_REQ;

namespace bramble {

// A public key (SubjectPublicKeyInfo).
class PublicKey {
 public:
  PublicKey() = default;
  explicit PublicKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}

  static absl::StatusOr<PublicKey> FromDer(std::string_view spki);
  std::string Der() const;
  // SHA-256 of Der(): what a pin and a join token name.
  Sha256Digest Spki() const;
  // kPermissionDenied unless `signature` (ECDSA with SHA-256, DER) is this key's for `message`.
  absl::Status Verify(std::string_view message, std::string_view signature) const;

  EVP_PKEY* native() const { return key_.get(); }
  explicit operator bool() const { return key_ != nullptr; }

 private:
  std::shared_ptr<EVP_PKEY> key_;
};

class PrivateKey {
 public:
  PrivateKey() = default;
  explicit PrivateKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}

  static PrivateKey Generate();
  static absl::StatusOr<PrivateKey> FromPem(std::string_view pem);
  // kPermissionDenied: a file that others than its owner may read.
  static absl::StatusOr<PrivateKey> Load(const std::filesystem::path& path);
  // Mode 0600, atomically.
  absl::Status Save(const std::filesystem::path& path) const;
  // Load, or Generate and Save where there is none.
  static absl::StatusOr<PrivateKey> LoadOrCreate(const std::filesystem::path& path);

  std::string Pem() const;
  PublicKey Public() const { return PublicKey(key_); }
  Sha256Digest Spki() const { return Public().Spki(); }
  // ECDSA with SHA-256, DER.
  std::string Sign(std::string_view message) const;

  EVP_PKEY* native() const { return key_.get(); }
  explicit operator bool() const { return key_ != nullptr; }

 private:
  std::shared_ptr<EVP_PKEY> key_;
};

class Certificate {
 public:
  Certificate() = default;
  explicit Certificate(std::shared_ptr<X509> x509) : x509_(std::move(x509)) {}

  // The first certificate in `pem`.
  static absl::StatusOr<Certificate> FromPem(std::string_view pem);
  // Every one.
  static absl::StatusOr<std::vector<Certificate>> ChainFromPem(std::string_view pem);
  std::string Pem() const;
  std::string Der() const;

  PublicKey Key() const;
  Sha256Digest Spki() const;
  Sha256Digest Fingerprint() const;  // SHA-256 of Der()
  std::string SerialHex() const;
  std::string CommonName() const;
  std::vector<std::string> DnsNames() const;
  std::vector<std::string> IpAddresses() const;
  std::vector<std::string> Uris() const;
  WallTime NotBefore() const;
  WallTime NotAfter() const;
  // kPermissionDenied unless `ca` signed it and may; its dates are not looked at.
  absl::Status CheckSignedBy(const Certificate& ca) const;

  X509* native() const { return x509_.get(); }
  explicit operator bool() const { return x509_ != nullptr; }

 private:
  std::shared_ptr<X509> x509_;
};

struct CertificateDates {
  WallTime not_before;
  WallTime not_after;
};

struct CertificateSubject {
  std::string common_name;  // at most 64 bytes
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> uris;
};

enum class CertificateUse { kServer, kClient, kServerAndClient };

struct Issuer {
  Certificate certificate;
  PrivateKey key;
};

// A self-signed CA that may sign leaves and no further CA.
absl::StatusOr<Certificate> MakeCaCertificate(const PrivateKey& key, std::string_view common_name,
                                              CertificateDates dates);

// A leaf with a random serial of 128 bits.
absl::StatusOr<Certificate> IssueCertificate(const Issuer& issuer, const PublicKey& key,
                                             const CertificateSubject& subject,
                                             CertificateDates dates, CertificateUse use);

// A certificate request (PKCS #10), PEM.
absl::StatusOr<std::string> MakeCertificateRequest(const PrivateKey& key,
                                                   const CertificateSubject& subject);

struct CertificateRequest {
  PublicKey key;
  CertificateSubject subject;
};
// kInvalidArgument: malformed, not P-256, or not signed by the key in it.
absl::StatusOr<CertificateRequest> ParseCertificateRequest(std::string_view pem);

}  // namespace bramble
