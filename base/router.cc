// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"
#include "base/http_server.h"

namespace bramble {
namespace {

constexpr size_t kMaxSegments = 32;

// The next segment of `path`, which begins with '/'; `path` is left at what follows.
std::string_view TakeSegment(std::string_view& path) {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool HasControl(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return true;
    }
  }
  return false;
}

}  // namespace

struct Router::Node {
  struct Entry {
    Route route;
    std::vector<std::string> names;  // of the pattern's parameters, in order
  };

  // The node that `path` leads to; appends the values of parameters to `values`.
  const Node* Find(std::string_view path, std::vector<std::string_view>& values) const {
    if (path.empty() || values.size() > kMaxSegments) {
      return path.empty() && !entries.empty() ? this : nullptr;
    }
    std::string_view rest = path;
    const std::string_view segment = TakeSegment(rest);
    if (const auto child = literal.find(segment); child != literal.end()) {
      if (const Node* found = child->second->Find(rest, values)) {
        return found;
      }
    }
    const size_t depth = values.size();
    if (parameter != nullptr && !segment.empty()) {
      values.push_back(segment);
      if (const Node* found = parameter->Find(rest, values)) {
        return found;
      }
      values.resize(depth);
    }
    if (remainder != nullptr) {
      values.push_back(path.substr(1));
      return remainder.get();
    }
    return nullptr;
  }

  std::map<std::string, std::unique_ptr<Node>, std::less<>> literal;
  std::unique_ptr<Node> parameter;
  std::unique_ptr<Node> remainder;
  std::map<std::string, Entry, std::less<>> entries;  // by method
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::Add(std::string_view method, std::string_view pattern, Route route) {
  Node* node = root_.get();
  std::vector<std::string> names;
  while (!pattern.empty()) {
    const std::string_view segment = TakeSegment(pattern);
    std::unique_ptr<Node>* child;
    if (segment.starts_with('{') && segment.ends_with("...}")) {
      names.emplace_back(segment.substr(1, segment.size() - 5));
      child = &node->remainder;
    } else if (segment.starts_with('{') && segment.ends_with('}')) {
      names.emplace_back(segment.substr(1, segment.size() - 2));
      child = &node->parameter;
    } else {
      child = &node->literal[std::string(segment)];
    }
    if (*child == nullptr) {
      *child = std::make_unique<Node>();
    }
    node = child->get();
  }
  node->entries[std::string(method)] = {std::move(route), std::move(names)};
}

void Router::SetFallback(Route route) { fallback_ = std::make_unique<Route>(std::move(route)); }

Router::Match Router::Find(std::string_view method, std::string_view path,
                           std::map<std::string, std::string, std::less<>>& params) const {
  Match match;
  std::vector<std::string_view> values;
  const Node* node = root_->Find(path, values);
  if (node == nullptr) {
    match.route = fallback_.get();
    return match;
  }
  auto entry = node->entries.find(method);
  if (entry == node->entries.end() && method == "HEAD") {
    entry = node->entries.find("GET");
  }
  if (entry == node->entries.end()) {
    for (const auto& [allowed, unused] : node->entries) {
      match.allowed += (match.allowed.empty() ? "" : ", ") + allowed;
    }
    return match;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    absl::StatusOr<std::string> value = PercentDecode(values[i]);
    if (!value.ok() || HasControl(*value)) {
      return match;  // no object has such a name
    }
    params.insert_or_assign(entry->second.names[i], *std::move(value));
  }
  match.route = &entry->second.route;
  return match;
}

std::optional<std::string_view> Request::Query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) {
      return value;
    }
  }
  return std::nullopt;
}

const std::string& Request::Param(std::string_view name) const {
  static const std::string kNone;
  const auto found = params.find(name);
  return found == params.end() ? kNone : found->second;
}

}  // namespace bramble
