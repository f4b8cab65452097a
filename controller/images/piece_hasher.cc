// SPDX-License-Identifier: Apache-2.0
#include "controller/images/piece_hasher.h"

#include <algorithm>

namespace bramble::controller {

void PieceHasher::Update(std::string_view bytes) {
  whole_.Update(bytes);
  position_ += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const size_t room = static_cast<size_t>(kPieceBytes - in_piece_);
    const std::string_view part = bytes.substr(0, std::min(room, bytes.size()));
    piece_.Update(part);
    in_piece_ += static_cast<int64_t>(part.size());
    bytes.remove_prefix(part.size());
    if (in_piece_ == kPieceBytes) {
      pieces_.push_back(piece_.Finish());
      piece_ = Sha256Stream();
      in_piece_ = 0;
    }
  }
}

PieceHasher::Result PieceHasher::Finish() {
  if (in_piece_ > 0) {
    pieces_.push_back(piece_.Finish());
  }
  return {.whole = whole_.Finish(),
          .pieces = std::make_shared<const std::vector<Sha256Digest>>(std::move(pieces_))};
}

}  // namespace bramble::controller
