// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/hash.h"
#include "base/units.h"

#include "absl/status/status.h"

namespace bramble::controller {

inline constexpr int64_t kPieceBytes = kMiB;  // of a blob, as nodes check it while it comes

using PieceDigests = std::shared_ptr<const std::vector<Sha256Digest>>;

// The SHA-256 of a whole blob and of each of its pieces, of one reading.
class PieceHasher {
 public:
  void Update(std::string_view bytes);
  int64_t position() const { return position_; }

  struct Result {
    Sha256Digest whole;
    PieceDigests pieces;
  };
  // Once.
  Result Finish();

 private:
  Sha256Stream whole_;
  Sha256Stream piece_;
  int64_t in_piece_ = 0;
  int64_t position_ = 0;
  std::vector<Sha256Digest> pieces_;
};

// Gives `hash` what `file` has from the hash's position on, up to its byte `end` or the file's own
// end.  `name` is for errors.  Blocks.
absl::Status HashFrom(PieceHasher& hash, const Fd& file, int64_t end, std::string_view name);

}  // namespace bramble::controller
