// SPDX-License-Identifier: Apache-2.0
#include "node/images/eviction.h"

#include <algorithm>
#include <tuple>

namespace bramble::node {

std::vector<Eviction> ChooseEvictions(std::vector<EvictionCandidate> candidates, Bytes needed) {
  std::sort(candidates.begin(), candidates.end(),
            [](const EvictionCandidate& a, const EvictionCandidate& b) {
              return std::tie(a.last_used, a.digest) < std::tie(b.last_used, b.digest);
            });
  std::vector<Eviction> chosen;
  int64_t freed = 0;
  for (const EvictionCandidate& image : candidates) {
    if (freed < needed.count && image.archive.count > 0) {
      chosen.push_back({.digest = image.digest, .archive_only = true});
      freed += image.archive.count;
    }
  }
  for (const EvictionCandidate& image : candidates) {
    if (freed < needed.count && !image.in_use) {
      chosen.push_back({.digest = image.digest});
      freed += image.tree.count;
    }
  }
  return chosen;
}

}  // namespace bramble::node
