// SPDX-License-Identifier: Apache-2.0
#include "controller/images/piece_hasher.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/status.h"

namespace bramble::controller {
namespace {

constexpr size_t kReadBytes = 1 << 20;  // at once

}  // namespace

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

absl::Status HashFrom(PieceHasher& hash, const Fd& file, int64_t end, std::string_view name) {
  std::string buffer(kReadBytes, '\0');
  while (hash.position() < end) {
    const size_t wanted = static_cast<size_t>(std::min<int64_t>(kReadBytes, end - hash.position()));
    const ssize_t got =
        ::pread(file.get(), buffer.data(), wanted, static_cast<off_t>(hash.position()));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoStatus(errno, name);
    }
    if (got == 0) {
      break;
    }
    hash.Update(std::string_view(buffer.data(), static_cast<size_t>(got)));
  }
  return absl::OkStatus();
}

}  // namespace bramble::controller
