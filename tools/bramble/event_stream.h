// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bramble::cli {

struct ServerSentEvent {
  std::string id;
  std::string type;
  std::string data;
};

// Puts server-sent events together from lines (WHATWG HTML, section 9.2.6).
class EventStreamReader {
 public:
  // The event that this line, given without its end, completes.  One without data only says from
  // which id to go on.
  std::optional<ServerSentEvent> AddLine(std::string_view line);

 private:
  ServerSentEvent event_;
  bool has_data_ = false;
};

}  // namespace bramble::cli
