// SPDX-License-Identifier: Apache-2.0
#pragma once

// Identifiers and names as types.  An id is what the system gives an object, random and never
// reused; a name is what a person gives it.

#include <compare>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "base/random.h"

#include "absl/status/statusor.h"

namespace bramble {

// OK when `text` is a DNS label (RFC 1123, lower case): 1 to 63 of [a-z0-9-], starting with a
// letter and ending with a letter or digit.  `what` names the object in the error: "container".
absl::Status CheckName(std::string_view what, std::string_view text);

// OK when `text` is 1 to 40 of [a-z0-9-], the form of every id.
absl::Status CheckId(std::string_view what, std::string_view text);

// 26 characters of Crockford's base 32 in lower case: 128 random bits.
std::string RandomIdText(Random& random);

template <typename Tag>
class StringId {
 public:
  StringId() = default;  // empty: "none"

  static absl::StatusOr<StringId> Parse(std::string_view text) {
    if (absl::Status status = Tag::Check(text); !status.ok()) {
      return status;
    }
    return StringId(std::string(text));
  }
  // For text that was checked when it was written: our own store, our own constants.
  static StringId Trusted(std::string text) { return StringId(std::move(text)); }

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }

  friend auto operator<=>(const StringId&, const StringId&) = default;
  friend bool operator==(const StringId&, const StringId&) = default;
  friend std::ostream& operator<<(std::ostream& out, const StringId& id) { return out << id.text_; }
  template <typename H>
  friend H AbslHashValue(H h, const StringId& id) {
    return H::combine(std::move(h), id.text_);
  }

 private:
  explicit StringId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

#define BRAMBLE_DEFINE_ID(Type, what, check)                                       \
  struct Type##Tag {                                                               \
    static absl::Status Check(std::string_view text) { return check(what, text); } \
  };                                                                               \
  using Type = StringId<Type##Tag>

BRAMBLE_DEFINE_ID(ClusterId, "cluster id", CheckId);
BRAMBLE_DEFINE_ID(NodeId, "node id", CheckId);
BRAMBLE_DEFINE_ID(ContainerId, "container id", CheckId);
BRAMBLE_DEFINE_ID(ImageId, "image id", CheckId);
BRAMBLE_DEFINE_ID(OperationId, "operation id", CheckId);
BRAMBLE_DEFINE_ID(TokenId, "token id", CheckId);
BRAMBLE_DEFINE_ID(UserId, "user id", CheckId);

BRAMBLE_DEFINE_ID(NodeName, "node", CheckName);
BRAMBLE_DEFINE_ID(ContainerName, "container", CheckName);
BRAMBLE_DEFINE_ID(FlavorName, "flavor", CheckName);
BRAMBLE_DEFINE_ID(ProjectName, "project", CheckName);

}  // namespace bramble

template <typename Tag>
struct std::hash<bramble::StringId<Tag>> {
  size_t operator()(const bramble::StringId<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};
