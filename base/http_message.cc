// SPDX-License-Identifier: Apache-2.0
#include "base/http_message.h"

#include <charconv>

#include "base/encoding.h"
#include "base/status.h"

namespace bramble {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

absl::StatusOr<std::string> DecodeForm(std::string_view text) {
  std::string spaced(text);
  for (char& c : spaced) {
    c = c == '+' ? ' ' : c;
  }
  return PercentDecode(spaced);
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) {
      return false;
    }
  }
  return true;
}

void HeaderList::Set(std::string_view name, std::string_view value) {
  std::erase_if(fields_,
                [name](const Field& field) { return EqualIgnoringCase(field.first, name); });
  Add(name, value);
}

std::string_view HeaderList::Get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (EqualIgnoringCase(field.first, name)) {
      return field.second;
    }
  }
  return {};
}

bool HeaderList::Has(std::string_view name) const {
  for (const Field& field : fields_) {
    if (EqualIgnoringCase(field.first, name)) {
      return true;
    }
  }
  return false;
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

absl::StatusOr<RequestTarget> ParseRequestTarget(std::string_view target) {
  if (target.empty() || target.front() != '/') {
    return absl::InvalidArgumentError("the request's target is not an absolute path");
  }
  for (const char c : target) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      return absl::InvalidArgumentError("the request's target has a character that needs escaping");
    }
  }
  RequestTarget parsed;
  const size_t question = target.find('?');
  parsed.path = target.substr(0, question);
  if (question == std::string_view::npos) {
    return parsed;
  }
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const std::string_view piece = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), piece.size() + 1));
    if (piece.empty()) {
      continue;
    }
    if (parsed.query.size() >= kMaxQueryParameters) {
      return absl::InvalidArgumentError(
          StrCat("more than ", kMaxQueryParameters, " query parameters"));
    }
    const size_t equals = piece.find('=');
    BRAMBLE_ASSIGN_OR_RETURN(std::string name, DecodeForm(piece.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      BRAMBLE_ASSIGN_OR_RETURN(value, DecodeForm(piece.substr(equals + 1)));
    }
    parsed.query.emplace_back(std::move(name), std::move(value));
  }
  return parsed;
}

absl::StatusOr<std::optional<ByteRange>> ParseByteRange(std::string_view header, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit) || header.find(',') != std::string_view::npos) {
    return std::nullopt;
  }
  header.remove_prefix(kUnit.size());
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<uint64_t> first = ParseNumber(header.substr(0, dash));
  const std::optional<uint64_t> last = ParseNumber(header.substr(dash + 1));
  if (dash == 0) {  // "-N": the last N bytes
    if (!last.has_value()) {
      return std::nullopt;
    }
    if (*last == 0 || size == 0) {
      return absl::OutOfRangeError("range: nothing there");
    }
    const uint64_t count = std::min(*last, size);
    return ByteRange{size - count, count};
  }
  const bool open = dash + 1 == header.size();
  if (!first.has_value() || (!open && !last.has_value()) || (!open && *last < *first)) {
    return std::nullopt;
  }
  if (*first >= size) {
    return absl::OutOfRangeError(StrCat("range: begins at ", *first, " of ", size, " bytes"));
  }
  const uint64_t end = open ? size - 1 : std::min(*last, size - 1);
  return ByteRange{*first, end - *first + 1};
}

}  // namespace bramble
