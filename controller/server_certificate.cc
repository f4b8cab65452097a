// SPDX-License-Identifier: Apache-2.0
#include "controller/server_certificate.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/ip.h"
#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxCertificateBytes = 64 * 1024;
constexpr std::chrono::hours kValid{24 * 365};
// Nodes without a clock come up with an old date: let it be valid for them too.
constexpr std::chrono::hours kBackdated{24 * 365};

void AddOwnAddresses(std::set<std::string>& addresses) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return;
  }
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) {
      continue;
    }
    const auto* address = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
    addresses.insert(Ipv4(ntohl(address->sin_addr.s_addr)).str());
  }
  ::freeifaddrs(list);
}

// Those of `want` that are not among `have`, separated by commas.
std::string Lacking(const std::vector<std::string>& have, const std::vector<std::string>& want) {
  std::string lacking;
  for (const std::string& name : want) {
    if (std::find(have.begin(), have.end(), name) == have.end()) {
      lacking = StrCat(lacking, lacking.empty() ? "" : ", ", name);
    }
  }
  return lacking;
}

// Why another is to be made; empty: it is as it should be.
std::string WhyAnother(const Certificate& certificate, const PrivateKey& key, const Issuer& ca,
                       const ServerNames& names, WallTime now) {
  if (certificate.Spki() != key.Spki()) {
    return "it was of another key";
  }
  if (!certificate.CheckSignedBy(ca.certificate).ok()) {
    return "it was signed by another certificate authority";
  }
  std::string lacking = Lacking(certificate.DnsNames(), names.dns_names);
  const std::string addresses = Lacking(certificate.IpAddresses(), names.ip_addresses);
  lacking = StrCat(lacking, lacking.empty() || addresses.empty() ? "" : ", ", addresses);
  if (!lacking.empty()) {
    return StrCat("it did not name what this machine is called now: ", lacking);
  }
  if (now < certificate.NotBefore() || now >= certificate.NotAfter() - kValid / 3) {
    return "two thirds of its life were over";
  }
  return "";
}

}  // namespace

ServerNames LocalServerNames(const std::vector<std::string>& more) {
  std::set<std::string> dns_names = {"localhost"};
  std::set<std::string> addresses = {"127.0.0.1"};
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0') {
    dns_names.insert(host);
  }
  AddOwnAddresses(addresses);
  for (const std::string& name : more) {
    (Ipv4::Parse(name).ok() ? addresses : dns_names).insert(name);
  }
  return {.dns_names = {dns_names.begin(), dns_names.end()},
          .ip_addresses = {addresses.begin(), addresses.end()}};
}

absl::StatusOr<ServerCertificate> EnsureServerCertificate(const StatePaths& paths, const Issuer& ca,
                                                          const ServerNames& names, WallTime now) {
  ServerCertificate server;
  BRAMBLE_ASSIGN_OR_RETURN(server.key, PrivateKey::LoadOrCreate(paths.ServerKey()));
  const absl::StatusOr<std::string> pem = ReadFile(paths.ServerCertificate(), kMaxCertificateBytes);
  if (pem.ok()) {
    const absl::StatusOr<Certificate> certificate = Certificate::FromPem(*pem);
    server.why = certificate.ok() ? WhyAnother(*certificate, server.key, ca, names, now)
                                  : "it could not be read";
    if (server.why.empty()) {
      server.chain = {*certificate, ca.certificate};
      return server;
    }
  } else if (!absl::IsNotFound(pem.status())) {
    return pem.status();
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const Certificate certificate,
      IssueCertificate(ca, server.key.Public(),
                       {.common_name = "bramble-controller",
                        .dns_names = names.dns_names,
                        .ip_addresses = names.ip_addresses},
                       {.not_before = now - kBackdated, .not_after = now + kValid},
                       CertificateUse::kServer));
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(paths.ServerCertificate(), certificate.Pem(), 0644));
  server.chain = {certificate, ca.certificate};
  server.renewed = true;
  return server;
}

}  // namespace bramble::controller
