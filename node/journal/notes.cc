// SPDX-License-Identifier: Apache-2.0
#include "node/journal/notes.h"

#include "base/json.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxNotesBytes = 4 << 20;

ContainerNotes NotesOf(const json::value& value) {
  JsonObjectReader reader(value, "notes");
  ContainerNotes notes;
  notes.exit_code = reader.OptionalInt("exit_code");
  notes.restarts = reader.OptionalInt("restarts", {.min = 0}).value_or(0);
  notes.failures = reader.OptionalInt("failures", {.min = 0}).value_or(0);
  if (const auto at = reader.OptionalInt("retry_at_boot_ns"); at.has_value()) {
    notes.retry_at = BootTime(std::chrono::nanoseconds(*at));
  }
  notes.gave_up = reader.OptionalBool("gave_up").value_or(false);
  notes.started = reader.OptionalBool("started").value_or(false);
  notes.ran = reader.OptionalBool("ran").value_or(true);
  notes.reason = reader.OptionalString("reason", {.allow_control = true}).value_or("");
  notes.generation = reader.OptionalInt("generation", {.min = 0}).value_or(0);
  return notes;
}

}  // namespace

std::string EncodeNotes(const std::map<ContainerId, ContainerNotes>& notes,
                        std::string_view boot_id) {
  json::object containers;
  for (const auto& [id, note] : notes) {
    json::object entry = {{"restarts", note.restarts},
                          {"failures", note.failures},
                          {"gave_up", note.gave_up},
                          {"started", note.started},
                          {"generation", note.generation},
                          {"reason", note.reason},
                          {"ran", note.ran}};
    if (note.exit_code.has_value()) {
      entry["exit_code"] = *note.exit_code;
    }
    if (note.retry_at.has_value()) {
      entry["retry_at_boot_ns"] = note.retry_at->time_since_epoch().count();
    }
    containers[id.str()] = std::move(entry);
  }
  const json::object all = {{"boot_id", boot_id}, {"containers", std::move(containers)}};
  return json::serialize(all);
}

std::map<ContainerId, ContainerNotes> DecodeNotes(std::string_view text, std::string_view boot_id) {
  std::map<ContainerId, ContainerNotes> notes;
  const absl::StatusOr<json::value> value = ParseJson(text, kMaxNotesBytes);
  if (!value.ok()) {
    return notes;
  }
  JsonObjectReader reader(*value, "notes");
  const json::value* containers = reader.Find("containers");
  if (reader.OptionalString("boot_id") != boot_id || containers == nullptr ||
      !containers->is_object()) {
    return notes;
  }
  for (const auto& [id, entry] : containers->get_object()) {
    if (absl::StatusOr<ContainerId> parsed = ContainerId::Parse(std::string_view(id));
        parsed.ok()) {
      notes[*std::move(parsed)] = NotesOf(entry);
    }
  }
  return notes;
}

}  // namespace bramble::node
