// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP messages, as the server and the client share them.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace bramble {

// Header fields in their order; names compare without case.
class HeaderList {
 public:
  using Field = std::pair<std::string, std::string>;
  HeaderList() = default;
  HeaderList(std::initializer_list<Field> fields) : fields_(fields) {}

  void Add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  // Replaces.
  void Set(std::string_view name, std::string_view value);
  // The first value, or "".
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const;
  void Clear() { fields_.clear(); }

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<Field> fields_;
};

struct HttpReply {
  int status = 0;
  HeaderList headers;
  std::string body;
};

bool EqualIgnoringCase(std::string_view a, std::string_view b);

// "Not Found".
std::string_view HttpReason(int status);

// The part of a request's target before '?', and the decoded parameters after it.
struct RequestTarget {
  std::string path;                                        // still percent-encoded
  std::vector<std::pair<std::string, std::string>> query;  // in order; "+" is a space
};
inline constexpr size_t kMaxQueryParameters = 64;
// kInvalidArgument: not an absolute path, a control character, a bad escape, too many parameters.
absl::StatusOr<RequestTarget> ParseRequestTarget(std::string_view target);

// A byte range of a "Range: bytes=…" header against a file of `size` bytes.
struct ByteRange {
  uint64_t first = 0;
  uint64_t count = 0;
};
// nullopt: serve the whole (no range, several ranges, or not understood).  kOutOfRange: answer 416.
absl::StatusOr<std::optional<ByteRange>> ParseByteRange(std::string_view header, uint64_t size);

}  // namespace bramble
