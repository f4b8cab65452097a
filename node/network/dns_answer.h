// SPDX-License-Identifier: Apache-2.0
#pragma once

// The names of the cluster, as a node answers for them to its own containers (RFC 1035).  Pure.
//
// A query for a name of the zone, or for an address of the prefix, is answered here and nowhere
// else, so it works with the controller off and tells nobody outside of the cluster.  What is not
// ours is forwarded, where an upstream is configured, or refused.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace bramble::node {

inline constexpr uint16_t kDnsPort = 53;
inline constexpr size_t kMaxDnsQueryBytes = 1232;  // DNS flag day 2020
inline constexpr size_t kMaxPlainAnswer = 512;     // RFC 1035, 4.2.1: without EDNS

// One forward name, in lower case and without a dot at its end.
struct ZoneName {
  std::string name;
  Ipv4 address;
  bool reverse = true;  // it is what the address is called
  friend auto operator<=>(const ZoneName&, const ZoneName&) = default;
};

class DnsZone {
 public:
  DnsZone() = default;
  // `domain` is "bramble.internal"; all names of `prefix` are ours to answer in reverse.
  DnsZone(std::string domain, Ipv4Prefix prefix, const std::vector<ZoneName>& names);

  struct Found {
    bool ours = false;    // the domain or the prefix is
    std::string zone;     // of ours: the name of the zone that it is in
    bool exists = false;  // there is such a name, with records of some type
    std::vector<Ipv4> addresses;
    std::string pointer;  // of a reverse name
  };
  // `name` in lower case, without a dot at its end.
  Found Find(std::string_view name) const;
  const std::string& domain() const { return domain_; }
  size_t size() const { return forward_.size(); }

 private:
  std::string domain_;
  Ipv4Prefix prefix_;
  std::map<std::string, std::vector<Ipv4>, std::less<>> forward_;
  std::map<Ipv4, std::string> reverse_;
};

struct DnsQuery {
  uint16_t id = 0;
  std::string name;  // in lower case, without a dot at its end
  uint16_t type = 0;
  uint16_t dns_class = 0;
  bool recursion = false;
  std::optional<uint16_t> edns_size;  // what its sender takes by UDP
  size_t question_end = 0;            // where the question ends in the message
};

// nullopt: not a query with one question; nothing is answered.
std::optional<DnsQuery> DecodeDnsQuery(std::string_view message);

enum class DnsCode { kOk = 0, kFormat = 1, kServerFailure = 2, kNoName = 3, kRefused = 5 };

// The answer to `query`, which `message` was: `found` when it is ours, else an empty one with
// `code`.  At most `max_bytes`: what does not fit is cut and marked so (TC).
std::string AnswerDns(std::string_view message, const DnsQuery& query, const DnsZone::Found& found,
                      DnsCode code, size_t max_bytes);

// Whether `answer` is one to `query`: id, question and direction are the same.
bool IsAnswerTo(std::string_view answer, std::string_view query, const DnsQuery& decoded);

inline constexpr uint32_t kZoneTtlSeconds = 30;

}  // namespace bramble::node
