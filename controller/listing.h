// SPDX-License-Identifier: Apache-2.0
#pragma once

// Pages of a table for the API: filtered, ordered, and rendered once per change of the table.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "controller/ledger.h"

namespace bramble::controller {

struct FilterTerm {
  std::string key;
  std::string value;
  bool negated = false;
};
inline constexpr size_t kMaxFilterTerms = 20;

// "state=running,label.app!=web".  `keys`: what is known, besides "label.KEY" where `labels` is
// set.
absl::StatusOr<std::vector<FilterTerm>> ParseFilter(std::string_view text,
                                                    const std::vector<std::string_view>& keys,
                                                    bool labels);

// What a list needs to know of its records.
template <typename Record>
struct Listing {
  std::vector<std::string_view> keys;
  std::function<std::string(const Record&, std::string_view key)> field;
  std::function<const api::Labels*(const Record&)> labels;  // empty: they have none
  std::function<std::string(const Record&)> project;        // empty: objects of the cluster
  std::function<std::string(const Record&)> order;          // unique, ascending
};

template <typename Record>
class ListCache {
 public:
  explicit ListCache(Listing<Record> listing) : listing_(std::move(listing)) {}

  absl::StatusOr<Rendered> Page(const Ledger& ledger, const Table<Record>& table,
                                const Principal& who, const ListQuery& query) {
    if (version_ != table.version()) {
      version_ = table.version();
      pages_.clear();
      ordered_.clear();
    }
    const std::string key = KeyOf(who, query);
    if (const auto found = pages_.find(key); found != pages_.end()) {
      return Rendered{found->second};
    }
    BRAMBLE_ASSIGN_OR_RETURN(const std::vector<FilterTerm> terms,
                             ParseFilter(query.filter, listing_.keys, listing_.labels != nullptr));
    if (query.limit > kMaxPage) {
      return absl::InvalidArgumentError(StrCat("limit: at most ", kMaxPage));
    }
    auto body = std::make_shared<const std::string>(Make(ledger, table, who, query, terms));
    if (pages_.size() >= kMaxPages) {
      pages_.clear();
    }
    pages_[key] = body;
    return Rendered{std::move(body)};
  }

 private:
  static constexpr size_t kMaxPages = 64;

  static std::string KeyOf(const Principal& who, const ListQuery& query) {
    return StrCat(who.Actor(), "\n", query.filter, "\n", query.limit, "\n", query.cursor);
  }

  bool Matches(const Record& record, const std::vector<FilterTerm>& terms) const {
    return std::all_of(terms.begin(), terms.end(), [&](const FilterTerm& term) {
      std::string value;
      bool has = true;
      if (term.key.starts_with("label.")) {
        const api::Labels& labels = *listing_.labels(record);
        const auto found = labels.find(term.key.substr(6));
        has = found != labels.end();
        value = has ? found->second : "";
      } else {
        value = listing_.field(record, term.key);
      }
      return (has && value == term.value) != term.negated;
    });
  }

  std::string Make(const Ledger& ledger, const Table<Record>& table, const Principal& who,
                   const ListQuery& query, const std::vector<FilterTerm>& terms) {
    if (ordered_.empty()) {
      for (const auto& [id, entry] : table.entries()) {
        ordered_.emplace_back(listing_.order(entry.record), &id);
      }
      std::sort(ordered_.begin(), ordered_.end());
    }
    const size_t limit = query.limit == 0 ? kMaxPage : query.limit;
    std::string body = "{\"items\":[";
    std::string last;
    size_t count = 0;
    auto next = std::upper_bound(
        ordered_.begin(), ordered_.end(), query.cursor,
        [](const std::string& cursor, const auto& entry) { return cursor < entry.first; });
    for (; next != ordered_.end(); ++next) {
      const Record& record = *table.Find(*next->second);
      const std::string project = listing_.project ? listing_.project(record) : "";
      if (!May(who, Access::kRead, project) || !Matches(record, terms)) {
        continue;
      }
      if (count == limit) {
        return StrCat(body, "],\"next_cursor\":", json::serialize(json::value(last)), "}");
      }
      body += count++ == 0 ? "" : ",";
      body += *ledger.Body(table, *next->second);
      last = next->first;
    }
    body += "]}";
    return body;
  }

  Listing<Record> listing_;
  uint64_t version_ = ~uint64_t{0};
  std::vector<std::pair<std::string, const std::string*>> ordered_;
  std::map<std::string, SharedText> pages_;
};

// kAborted unless `if_match` is absent or `generation`.
absl::Status CheckIfMatch(const WriteOptions& options, uint64_t generation, std::string_view kind,
                          std::string_view name);

}  // namespace bramble::controller
