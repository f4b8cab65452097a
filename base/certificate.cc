// SPDX-License-Identifier: Apache-2.0
#include "base/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <ctime>

#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/openssl_handles.h"
#include "base/status.h"

namespace bramble {
namespace {

constexpr size_t kMaxKeyFileBytes = 16 * 1024;

BioPtr ReadBio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

template <typename T>
std::string DerOf(const T* value, int (*encode)(const T*, unsigned char**)) {
  unsigned char* out = nullptr;
  const int size = encode(value, &out);
  BRAMBLE_CHECK(size > 0, "what was parsed or made can be encoded");
  std::string der(reinterpret_cast<char*>(out), static_cast<size_t>(size));
  OPENSSL_free(out);
  return der;
}

bool IsP256(EVP_PKEY* key) {
  char group[64] = {};
  size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1 &&
         std::string_view(group, size) == SN_X9_62_prime256v1;
}

WallTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return {};
  }
  // Not by timegm(): the time_t of armhf ends in 2038.
  const std::chrono::sys_days day =
      std::chrono::year(parts.tm_year + 1900) / (parts.tm_mon + 1) / parts.tm_mday;
  return day + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
         std::chrono::seconds(parts.tm_sec);
}

std::vector<std::string> AlternativeNames(const X509* x509, int type) {
  std::vector<std::string> found;
  GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != type) {
      continue;
    }
    const ASN1_STRING* text = type == GEN_DNS   ? name->d.dNSName
                              : type == GEN_URI ? name->d.uniformResourceIdentifier
                                                : name->d.iPAddress;
    found.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return found;
}

}  // namespace

std::string TakeOpensslError() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (text.empty() && reason != nullptr) {
      text = reason;
    }
  }
  return text.empty() ? "OpenSSL gave no reason" : text;
}

absl::StatusOr<PublicKey> PublicKey::FromDer(std::string_view spki) {
  const auto* in = reinterpret_cast<const unsigned char*>(spki.data());
  const unsigned char* end = in + spki.size();
  PkeyPtr key(d2i_PUBKEY(nullptr, &in, static_cast<long>(spki.size())));
  if (key == nullptr || in != end || !IsP256(key.get())) {
    ERR_clear_error();
    return absl::InvalidArgumentError("not a P-256 public key");
  }
  return PublicKey(std::shared_ptr<EVP_PKEY>(std::move(key)));
}

std::string PublicKey::Der() const { return DerOf<EVP_PKEY>(key_.get(), i2d_PUBKEY); }

Sha256Digest PublicKey::Spki() const { return Sha256(Der()); }

absl::Status PublicKey::Verify(std::string_view message, std::string_view signature) const {
  MdContextPtr context(EVP_MD_CTX_new());
  const bool good =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()) == 1;
  if (!good) {
    ERR_clear_error();
    return absl::PermissionDeniedError("the signature is not this key's");
  }
  return absl::OkStatus();
}

PrivateKey PrivateKey::Generate() {
  PkeyPtr key(EVP_EC_gen("P-256"));
  BRAMBLE_CHECK(key != nullptr, "OpenSSL makes P-256 keys");
  return PrivateKey(std::shared_ptr<EVP_PKEY>(std::move(key)));
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  BioPtr bio = ReadBio(pem);
  // A password callback that has none: an encrypted key is an error and asks nobody.
  auto no_password = [](char*, int, int, void*) { return 0; };
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr || !IsP256(key.get())) {
    ERR_clear_error();
    return absl::InvalidArgumentError("not a P-256 private key in PEM");
  }
  return PrivateKey(std::shared_ptr<EVP_PKEY>(std::move(key)));
}

absl::StatusOr<PrivateKey> PrivateKey::Load(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kMaxKeyFileBytes));
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(
        StrCat(path.string(), ": others may read this key; run: chmod 600 ", path.string()));
  }
  absl::StatusOr<PrivateKey> key = FromPem(pem);
  if (!key.ok()) {
    return Annotate(key.status(), path.string());
  }
  return key;
}

absl::Status PrivateKey::Save(const std::filesystem::path& path) const {
  return WriteFileAtomically(path, Pem(), 0600);
}

absl::StatusOr<PrivateKey> PrivateKey::LoadOrCreate(const std::filesystem::path& path) {
  absl::StatusOr<PrivateKey> loaded = Load(path);
  if (!absl::IsNotFound(loaded.status())) {
    return loaded;
  }
  PrivateKey key = Generate();
  BRAMBLE_RETURN_IF_ERROR(key.Save(path));
  return key;
}

std::string PrivateKey::Pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  const bool written = PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0,
                                                     nullptr, nullptr) == 1;
  BRAMBLE_CHECK(written, "a key can be written");
  return TextOf(bio.get());
}

std::string PrivateKey::Sign(std::string_view message) const {
  MdContextPtr context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  bool good = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) == 1;
  std::string signature(size, '\0');
  good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                                &size, bytes, message.size()) == 1;
  BRAMBLE_CHECK(good, "a P-256 key signs");
  signature.resize(size);
  return signature;
}

absl::StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Certificate> chain, ChainFromPem(pem));
  return chain.front();
}

absl::StatusOr<std::vector<Certificate>> Certificate::ChainFromPem(std::string_view pem) {
  constexpr size_t kMaxChain = 16;
  BioPtr bio = ReadBio(pem);
  std::vector<Certificate> chain;
  while (chain.size() < kMaxChain) {
    X509Ptr x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (x509 == nullptr) {
      break;
    }
    chain.emplace_back(std::shared_ptr<X509>(std::move(x509)));
  }
  ERR_clear_error();
  if (chain.empty()) {
    return absl::InvalidArgumentError("no certificate in PEM");
  }
  return chain;
}

std::string Certificate::Pem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  BRAMBLE_CHECK(PEM_write_bio_X509(bio.get(), x509_.get()) == 1, "a certificate can be written");
  return TextOf(bio.get());
}

std::string Certificate::Der() const { return DerOf<X509>(x509_.get(), i2d_X509); }

PublicKey Certificate::Key() const {
  PkeyPtr key(X509_get_pubkey(x509_.get()));
  if (key == nullptr) {
    return {};
  }
  return PublicKey(std::shared_ptr<EVP_PKEY>(std::move(key)));
}

Sha256Digest Certificate::Spki() const {
  unsigned char* out = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509_.get()), &out);
  BRAMBLE_CHECK(size > 0, "what was parsed can be encoded");
  const Sha256Digest digest =
      Sha256(std::string_view(reinterpret_cast<char*>(out), static_cast<size_t>(size)));
  OPENSSL_free(out);
  return digest;
}

Sha256Digest Certificate::Fingerprint() const { return Sha256(Der()); }

std::string Certificate::SerialHex() const {
  BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509_.get()), nullptr));
  std::string bytes(static_cast<size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return HexEncode(bytes);
}

std::string Certificate::CommonName() const {
  const X509_NAME* subject = X509_get_subject_name(x509_.get());
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) {
    return "";
  }
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) {
    return "";
  }
  std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

std::vector<std::string> Certificate::DnsNames() const {
  return AlternativeNames(x509_.get(), GEN_DNS);
}

std::vector<std::string> Certificate::Uris() const {
  return AlternativeNames(x509_.get(), GEN_URI);
}

std::vector<std::string> Certificate::IpAddresses() const {
  std::vector<std::string> texts;
  for (const std::string& bytes : AlternativeNames(x509_.get(), GEN_IPADD)) {
    char text[INET6_ADDRSTRLEN];
    const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
    if ((bytes.size() == 4 || bytes.size() == 16) &&
        ::inet_ntop(family, bytes.data(), text, sizeof(text)) != nullptr) {
      texts.emplace_back(text);
    }
  }
  return texts;
}

WallTime Certificate::NotBefore() const { return TimeOf(X509_get0_notBefore(x509_.get())); }
WallTime Certificate::NotAfter() const { return TimeOf(X509_get0_notAfter(x509_.get())); }

absl::Status Certificate::CheckSignedBy(const Certificate& ca) const {
  const bool good = X509_check_issued(ca.native(), native()) == X509_V_OK &&
                    X509_verify(native(), X509_get0_pubkey(ca.native())) == 1;
  if (!good) {
    ERR_clear_error();
    return absl::PermissionDeniedError("not signed by this certificate authority");
  }
  return absl::OkStatus();
}

}  // namespace bramble
