// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <charconv>

#include "base/status.h"

namespace bramble {
namespace {

// A decimal number without sign and leading zeros that is all of `text`; -1 when it is not.
int64_t ParseDecimal(std::string_view text, int64_t max) {
  int64_t value = -1;
  if (text.empty() || text.front() < '0' || text.front() > '9' ||
      (text.size() > 1 && text.front() == '0')) {
    return -1;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= max ? value : -1;
}

absl::Status Bad(std::string_view text, std::string_view expected) {
  return absl::InvalidArgumentError(StrCat("\"", text.substr(0, 60), "\": expected ", expected));
}

struct AddressAndLength {
  Ipv4 address;
  int length = 0;
};

absl::StatusOr<AddressAndLength> ParseWithLength(std::string_view text, std::string_view example) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return Bad(text, example);
  }
  const absl::StatusOr<Ipv4> address = Ipv4::Parse(text.substr(0, slash));
  const int64_t length = ParseDecimal(text.substr(slash + 1), 32);
  if (!address.ok() || length < 0) {
    return Bad(text, example);
  }
  return AddressAndLength{*address, static_cast<int>(length)};
}

}  // namespace

absl::StatusOr<Ipv4> Ipv4::Parse(std::string_view text) {
  uint32_t bits = 0;
  std::string_view rest = text;
  for (int i = 0; i < 4; ++i) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    const int64_t value = ParseDecimal(part, 255);
    const bool last = part.size() == rest.size();
    if (value < 0 || last != (i == 3)) {
      return Bad(text, "an IPv4 address such as \"172.16.0.1\"");
    }
    bits = bits << 8 | static_cast<uint32_t>(value);
    rest.remove_prefix(last ? part.size() : part.size() + 1);
  }
  return Ipv4(bits);
}

std::string Ipv4::str() const {
  return StrCat(bits_ >> 24, ".", bits_ >> 16 & 255, ".", bits_ >> 8 & 255, ".", bits_ & 255);
}

absl::StatusOr<Ipv4Prefix> Ipv4Prefix::Parse(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const AddressAndLength parsed,
                           ParseWithLength(text, "a network such as \"172.16.0.0/24\""));
  const Ipv4Prefix prefix(parsed.address, parsed.length);
  if (prefix.network() != parsed.address) {
    return absl::InvalidArgumentError(StrCat(
        "\"", text, "\" is an address within a network; the network is \"", prefix.str(), "\""));
  }
  return prefix;
}

std::string Ipv4Prefix::str() const { return StrCat(network_.str(), "/", int{length_}); }

absl::StatusOr<Ipv4Interface> Ipv4Interface::Parse(std::string_view text) {
  BRAMBLE_ASSIGN_OR_RETURN(const AddressAndLength parsed,
                           ParseWithLength(text, "an address such as \"172.16.0.64/24\""));
  return Ipv4Interface{parsed.address, parsed.length};
}

std::string Ipv4Interface::str() const { return StrCat(address.str(), "/", length); }

absl::StatusOr<HostPort> HostPort::Parse(std::string_view text, uint16_t default_port) {
  constexpr std::string_view kExample = "HOST:PORT such as \"172.16.0.1:8443\"";
  HostPort parsed;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) {
      return Bad(text, kExample);
    }
    parsed.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const size_t colon = text.find(':');
    parsed.host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  for (const char c : parsed.host) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '/' || c == '@') {
      return Bad(text, kExample);
    }
  }
  int64_t number = default_port;
  if (!port.empty()) {
    number = port.front() == ':' ? ParseDecimal(port.substr(1), 65535) : -1;
  }
  if (parsed.host.empty() || number <= 0) {
    return Bad(text, kExample);
  }
  parsed.port = static_cast<uint16_t>(number);
  return parsed;
}

std::string HostPort::str() const {
  return host.find(':') != std::string::npos ? StrCat("[", host, "]:", port)
                                             : StrCat(host, ":", port);
}

}  // namespace bramble
