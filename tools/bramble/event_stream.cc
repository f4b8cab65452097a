// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/event_stream.h"

#include <utility>

namespace bramble::cli {

std::optional<ServerSentEvent> EventStreamReader::AddLine(std::string_view line) {
  if (line.empty()) {
    const bool complete = std::exchange(has_data_, false) || !event_.id.empty();
    ServerSentEvent event = std::exchange(event_, {});
    return complete ? std::optional<ServerSentEvent>(std::move(event)) : std::nullopt;
  }
  const size_t colon = line.find(':');
  if (colon == 0) {
    return std::nullopt;  // a comment that keeps the connection alive
  }
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value[0] == ' ') {
    value.remove_prefix(1);
  }
  if (field == "data") {
    event_.data += (has_data_ ? "\n" : "");
    event_.data += value;
    has_data_ = true;
  } else if (field == "id") {
    event_.id = value;
  } else if (field == "event") {
    event_.type = value;
  }
  return std::nullopt;
}

}  // namespace bramble::cli
