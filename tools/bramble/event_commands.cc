// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>

#include "base/status.h"
#include "tools/bramble/event_stream.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr std::chrono::seconds kIdleLimit{60};  // the server keeps the stream alive
constexpr int kMaxAttempts = 20;                // in a row, half a second apart at first
constexpr int64_t kDefaultLast = 50;
constexpr int64_t kMaxLast = 10'000;

std::string NameText(const json::value& event) { return TextAt(event, "revision"); }

std::string ObjectText(const json::value& event) {
  return StrCat(TextAt(event, "object.kind"), " ", TextAt(event, "object.name"));
}

const Resource& EventResource() {
  static const Resource resource = {.kind = "event",
                                    .collection = "events",
                                    .columns =
                                        {
                                            {.name = "revision", .path = "revision"},
                                            {.name = "time", .path = "time"},
                                            {.name = "type", .path = "type"},
                                            {.name = "object", .text = ObjectText},
                                            {.name = "actor", .path = "actor"},
                                            {.name = "message", .path = "message"},
                                            {.name = "data", .path = "data", .wide = true},
                                        },
                                    .name = NameText};
  return resource;
}

// The revision that lies `count` changes back, or --after.
absl::StatusOr<int64_t> StartOf(const Args& args, Session& session, int64_t count) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto after, args.Int("after", {.min = 0}));
  if (after.has_value()) {
    return *after;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({"cluster"}))));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value cluster, ParseJson(reply.body));
  const json::value* revision = At(cluster, "revision");
  return std::max<int64_t>(
      0, (revision != nullptr && revision->is_int64() ? revision->get_int64() : 0) - count);
}

absl::Status List(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto columns, ChosenColumns(EventResource(), args));
  BRAMBLE_ASSIGN_OR_RETURN(const auto last, args.Int("last", {.min = 1, .max = kMaxLast}));
  BRAMBLE_ASSIGN_OR_RETURN(const int64_t start,
                           StartOf(args, session, last.value_or(kDefaultLast)));
  ApiRequest request = Get(ApiPath({"events"}));
  request.query = {{"after", std::to_string(start)}};
  request.headers = {{"Accept", "application/json"}};
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  if (FormatOf(args) == Format::kJson) {
    session.out << reply.body << '\n';
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value answer, ParseJson(reply.body, 64 << 20));
  const json::value* items = At(answer, "items");
  if (items == nullptr || !items->is_array() || FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, EventResource(), reply.body);
  }
  std::vector<const json::value*> events;
  for (const json::value& event : items->get_array()) {
    events.push_back(&event);
  }
  session.out << RenderTable(columns, events, session.clock.Wall(), session.screen.colours);
  return absl::OkStatus();
}

void PrintEvent(const Args& args, Session& session, const ServerSentEvent& event) {
  if (FormatOf(args) == Format::kJson) {
    session.out << event.data << std::endl;
    return;
  }
  const absl::StatusOr<json::value> value = ParseJson(event.data);
  if (value.ok()) {
    session.out << Printable(TextAt(*value, "time")) << "  " << Printable(TextAt(*value, "type"))
                << "  " << Printable(ObjectText(*value)) << "  "
                << Printable(TextAt(*value, "message")) << std::endl;
  }
}

absl::Status Follow(const Args& args, Session& session) {
  std::string last_id = args.Text("after");
  BRAMBLE_RETURN_IF_ERROR(args.Int("after", {.min = 0}).status());
  int attempts = 0;
  while (true) {
    ApiRequest request = Get(ApiPath({"events"}));
    request.headers = {{"Accept", "text/event-stream"}};
    if (!last_id.empty()) {
      request.headers.emplace_back("Last-Event-ID", last_id);
    }
    EventStreamReader reader;
    const absl::StatusOr<ApiReply> reply = session.controller.SendForLines(
        std::move(request), kIdleLimit,
        [&reader, &last_id, &attempts, &args, &session](std::string_view line) {
          attempts = 0;
          if (const auto event = reader.AddLine(line)) {
            last_id = event->id.empty() ? last_id : event->id;
            if (!event->data.empty()) {
              PrintEvent(args, session, *event);
            }
          }
          return session.out.good();
        });
    if (!session.out.good()) {
      return absl::OkStatus();  // the reader of our output left
    }
    const absl::StatusCode code = reply.status().code();
    if (code == absl::StatusCode::kOutOfRange) {
      return Annotate(reply.status(),
                      "events since then are no longer kept; list the objects anew, then follow "
                      "without --after");
    }
    if (!reply.ok() && code != absl::StatusCode::kUnavailable &&
        code != absl::StatusCode::kDeadlineExceeded) {
      return reply.status();
    }
    if (++attempts > kMaxAttempts) {
      return Annotate(reply.ok() ? absl::UnavailableError("the stream ended") : reply.status(),
                      StrCat("events: given up after ", kMaxAttempts, " attempts"));
    }
    ::usleep(static_cast<useconds_t>(std::min(attempts, 10) * 500'000));
  }
}

}  // namespace

std::vector<Command> EventCommands() {
  const Flag after = {
      .name = "after", .value = "REVISION", .help = "only what came after this revision"};
  return {
      {.path = "event list",
       .summary = "List the latest changes.",
       .flags = {after,
                 {.name = "last", .value = "N", .help = "look back this many changes (50)"},
                 {.name = "columns", .value = "LIST", .help = "choose the columns"}},
       .answers = Answers::kObject,
       .examples = "bramble event list\nbramble event list --last 500 -o json",
       .run = List},
      {.path = "event follow",
       .summary = "Print changes as they happen, until Ctrl-C.",
       .flags = {after},
       .answers = Answers::kObject,
       .details =
           "With -o json one event a line. Takes up where it was when the connection breaks.",
       .examples = "bramble event follow",
       .run = Follow},
  };
}

}  // namespace bramble::cli
