// SPDX-License-Identifier: Apache-2.0
#include "node/network/dns_answer.h"

#include <algorithm>

#include "base/strings.h"

namespace bramble::node {
namespace {

// Source: RFC 1035, 4.1.1 and 3.2.2; RFC 6891 for OPT.
constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeSoa = 6;
constexpr uint16_t kTypePtr = 12;
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kTypeAny = 255;
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kFlagAnswer = 0x8000;
constexpr uint16_t kFlagAuthority = 0x0400;
constexpr uint16_t kFlagTruncated = 0x0200;
constexpr uint16_t kFlagRecursionDesired = 0x0100;
constexpr uint16_t kFlagRecursionAvailable = 0x0080;
constexpr size_t kMaxName = 253;
constexpr size_t kMaxLabel = 63;
constexpr std::string_view kReverse = ".in-addr.arpa";

uint16_t Short(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void PutShort(uint16_t number, std::string& out) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number);
}

void PutLong(uint32_t number, std::string& out) {
  PutShort(static_cast<uint16_t>(number >> 16), out);
  PutShort(static_cast<uint16_t>(number), out);
}

void PutName(std::string_view name, std::string& out) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  out += '\0';
}

// The name at `at`, which is moved behind it.  A question has no compression to follow.
std::optional<std::string> ReadName(std::string_view message, size_t& at) {
  std::string name;
  while (at < message.size()) {
    const auto length = static_cast<uint8_t>(message[at]);
    ++at;
    if (length == 0) {
      return name;
    }
    if (length > kMaxLabel || at + length > message.size() || name.size() + length > kMaxName) {
      return std::nullopt;
    }
    name += name.empty() ? "" : ".";
    for (size_t i = 0; i < length; ++i) {
      const char c = message[at + i];
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    at += length;
  }
  return std::nullopt;
}

// "64.0.16.172.in-addr.arpa" -> 172.16.0.64.
std::optional<Ipv4> ReverseAddress(std::string_view name) {
  if (!name.ends_with(kReverse)) {
    return std::nullopt;
  }
  name.remove_suffix(kReverse.size());
  std::string forward;
  while (true) {
    const size_t dot = name.rfind('.');
    forward += StrCat(forward.empty() ? "" : ".", name.substr(dot == name.npos ? 0 : dot + 1));
    if (dot == std::string_view::npos) {
      break;
    }
    name = name.substr(0, dot);
  }
  const absl::StatusOr<Ipv4> address = Ipv4::Parse(forward);
  return address.ok() ? std::optional(*address) : std::nullopt;
}

// The additional record that says that we know EDNS.
std::optional<uint16_t> ReadEdns(std::string_view message, size_t at, uint16_t records) {
  if (records != 1 || at + 11 > message.size() || message[at] != 0 ||
      Short(message, at + 1) != kTypeOpt) {
    return std::nullopt;
  }
  return Short(message, at + 3);
}

// Who would know more: RFC 2308 has the answer "there is none" carry it, for how long to believe
// it.
std::string Authority(std::string_view zone) {
  std::string out;
  PutName(zone, out);
  PutShort(kTypeSoa, out);
  PutShort(kClassInternet, out);
  PutLong(kZoneTtlSeconds, out);
  std::string data;
  PutName(zone, data);
  PutName(StrCat("nobody.", zone), data);
  for (const uint32_t number : {1U, 3600U, 600U, 86400U, kZoneTtlSeconds}) {
    PutLong(number, data);
  }
  PutShort(static_cast<uint16_t>(data.size()), out);
  return out + data;
}

std::vector<std::string> RecordsFor(const DnsQuery& query, const DnsZone::Found& found) {
  const auto record = [](uint16_t type, std::string_view data) {
    std::string out("\xc0\x0c", 2);  // the name of the question
    PutShort(type, out);
    PutShort(kClassInternet, out);
    PutLong(kZoneTtlSeconds, out);
    PutShort(static_cast<uint16_t>(data.size()), out);
    out += data;
    return out;
  };
  std::vector<std::string> records;
  if (query.type == kTypeA || query.type == kTypeAny) {
    for (const Ipv4 address : found.addresses) {
      std::string data;
      PutLong(address.bits(), data);
      records.push_back(record(kTypeA, data));
    }
  }
  if (!found.pointer.empty() && (query.type == kTypePtr || query.type == kTypeAny)) {
    std::string data;
    PutName(found.pointer, data);
    records.push_back(record(kTypePtr, data));
  }
  return records;
}

}  // namespace

DnsZone::DnsZone(std::string domain, Ipv4Prefix prefix, const std::vector<ZoneName>& names)
    : domain_(std::move(domain)), prefix_(prefix) {
  for (const ZoneName& entry : names) {
    forward_[entry.name].push_back(entry.address);
    if (entry.reverse) {
      reverse_.emplace(entry.address, entry.name);
    }
  }
}

DnsZone::Found DnsZone::Find(std::string_view name) const {
  Found found;
  if (const std::optional<Ipv4> address = ReverseAddress(name); address.has_value()) {
    found.ours = !domain_.empty() && prefix_.Contains(*address);
    found.zone = name.substr(name.find('.') + 1);
    if (const auto at = reverse_.find(*address); found.ours && at != reverse_.end()) {
      found.exists = true;
      found.pointer = at->second;
    }
    return found;
  }
  found.ours = !domain_.empty() && (name == domain_ || name.ends_with("." + domain_));
  found.zone = domain_;
  if (const auto at = forward_.find(name); found.ours && at != forward_.end()) {
    found.exists = true;
    found.addresses = at->second;
  } else if (found.ours) {
    // A name that has names below it exists, without records (RFC 8020).
    const std::string below = StrCat(".", name);
    found.exists = name == domain_ ||
                   std::any_of(forward_.begin(), forward_.end(),
                               [&](const auto& entry) { return entry.first.ends_with(below); });
  }
  return found;
}

std::optional<DnsQuery> DecodeDnsQuery(std::string_view message) {
  if (message.size() < kHeaderBytes || message.size() > kMaxDnsQueryBytes) {
    return std::nullopt;
  }
  const uint16_t flags = Short(message, 2);
  // A standard query with one question.
  if ((flags & 0xf800) != 0 || Short(message, 4) != 1 || Short(message, 6) != 0) {
    return std::nullopt;
  }
  DnsQuery query{.id = Short(message, 0)};
  query.recursion = (flags & kFlagRecursionDesired) != 0;
  size_t at = kHeaderBytes;
  std::optional<std::string> name = ReadName(message, at);
  if (!name.has_value() || at + 4 > message.size()) {
    return std::nullopt;
  }
  query.name = *std::move(name);
  query.type = Short(message, at);
  query.dns_class = Short(message, at + 2);
  query.question_end = at + 4;
  query.edns_size = ReadEdns(message, query.question_end, Short(message, 10));
  return query;
}

std::string AnswerDns(std::string_view message, const DnsQuery& query, const DnsZone::Found& found,
                      DnsCode code, size_t max_bytes) {
  uint16_t flags = kFlagAnswer | kFlagRecursionAvailable;
  flags |= query.recursion ? kFlagRecursionDesired : 0;
  std::vector<std::string> records;
  std::string authority;
  if (found.ours && query.dns_class == kClassInternet) {
    flags |= kFlagAuthority;
    code = found.exists ? DnsCode::kOk : DnsCode::kNoName;
    records = RecordsFor(query, found);
  } else if (found.ours) {
    code = DnsCode::kRefused;
  }
  if (found.ours && records.empty()) {
    authority = Authority(found.zone);
  }
  std::string edns;
  if (query.edns_size.has_value()) {
    edns.assign(1, '\0');
    PutShort(kTypeOpt, edns);
    PutShort(kMaxDnsQueryBytes, edns);
    PutLong(0, edns);
    PutShort(0, edns);
  }
  const std::string_view question = message.substr(kHeaderBytes, query.question_end - kHeaderBytes);
  size_t size = kHeaderBytes + question.size() + edns.size() + authority.size();
  std::string answers;
  uint16_t count = 0;
  for (const std::string& record : records) {
    if (size + record.size() > max_bytes) {
      flags |= kFlagTruncated;
      break;
    }
    size += record.size();
    answers += record;
    ++count;
  }
  std::string out;
  PutShort(query.id, out);
  PutShort(flags | static_cast<uint16_t>(code), out);
  PutShort(1, out);
  PutShort(count, out);
  PutShort(authority.empty() ? 0 : 1, out);
  PutShort(edns.empty() ? 0 : 1, out);
  return StrCat(out, question, answers, authority, edns);
}

bool IsAnswerTo(std::string_view answer, std::string_view query, const DnsQuery& decoded) {
  return answer.size() >= decoded.question_end && answer.substr(0, 2) == query.substr(0, 2) &&
         (Short(answer, 2) & kFlagAnswer) != 0 && Short(answer, 4) == 1 &&
         answer.substr(kHeaderBytes, decoded.question_end - kHeaderBytes) ==
             query.substr(kHeaderBytes, decoded.question_end - kHeaderBytes);
}

}  // namespace bramble::node
