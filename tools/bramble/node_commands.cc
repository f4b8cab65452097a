// SPDX-License-Identifier: Apache-2.0
// node list, show, approve, label, cordon.
#include <map>

#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

// "ready", "ready, cordoned", "unreachable, draining".
std::string StateText(const json::value& node) {
  std::string state = TextAt(node, "state");
  const std::string drain = TextAt(node, "drain");
  if (drain != "none" && !drain.empty()) {
    return StrCat(state, ", ", drain);
  }
  return TextAt(node, "cordoned") == "yes" ? state + ", cordoned" : state;
}

// Why it is not as it should be: its reason, or its conditions that are more than information.
std::string ReasonText(const json::value& node) {
  std::string text = TextAt(node, "reason");
  if (text.empty() && !TextAt(node, "code").empty()) {
    text = StrCat("code ", TextAt(node, "code"), ": compare it and run `bramble node approve ",
                  TextAt(node, "name"), " --code CODE`");
  }
  const json::value* conditions = At(node, "conditions");
  if (conditions != nullptr && conditions->is_array()) {
    for (const json::value& condition : conditions->get_array()) {
      if (TextAt(condition, "severity") != "info") {
        text = StrCat(text, text.empty() ? "" : "; ", TextAt(condition, "message"));
      }
    }
  }
  return text;
}

// "256MiB of 3.8GiB": what containers may use of what there is.
std::string MemoryText(const json::value& node) {
  const json::value* used = At(node, "allocated.memory_bytes");
  const json::value* all = At(node, "inventory.capacity.memory_bytes");
  if (used == nullptr || all == nullptr || !used->is_int64() || !all->is_int64()) {
    return "";
  }
  return StrCat(ToString(Bytes{used->get_int64()}), "/", ToString(Bytes{all->get_int64()}));
}

std::string CpuText(const json::value& node) {
  const json::value* used = At(node, "allocated.cpu_milli");
  const json::value* all = At(node, "inventory.capacity.cpu_milli");
  if (used == nullptr || all == nullptr || !used->is_int64() || !all->is_int64()) {
    return "";
  }
  return StrCat(ToString(MilliCpu{used->get_int64()}), "/", ToString(MilliCpu{all->get_int64()}));
}

// Which image a digest is: "debian:12 (arm64)".
std::map<std::string, std::string> NamesByDigest(const json::array& images) {
  std::map<std::string, std::string> names;
  for (const json::value& image : images) {
    const json::value* variants = At(image, "variants");
    if (variants == nullptr || !variants->is_array()) {
      continue;
    }
    for (const json::value& variant : variants->get_array()) {
      std::string& text = names[TextAt(variant, "digest")];
      text = StrCat(text, text.empty() ? "" : " = ", TextAt(image, "name"), ":",
                    TextAt(image, "tag"), " (", TextAt(variant, "architecture"), ")");
    }
  }
  return names;
}

// One line for each image of each node.
absl::Status ListImages(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const json::array nodes,
                           GetItems(session, NodeResource(), args.Text("filter")));
  BRAMBLE_ASSIGN_OR_RETURN(const json::array images, GetItems(session, ImageResource()));
  const std::map<std::string, std::string> names = NamesByDigest(images);
  json::array rows;
  for (const json::value& node : nodes) {
    const json::value* held = At(node, "images");
    const bool any = held != nullptr && held->is_array() && !held->get_array().empty();
    if (!any) {
      rows.push_back(json::object{{"name", TextAt(node, "name")}, {"image", "none"}});
      continue;
    }
    for (const json::value& digest : held->get_array()) {
      const auto named = names.find(TextOf(digest));
      rows.push_back(
          json::object{{"name", TextAt(node, "name")},
                       {"image", named == names.end() ? "no name any more" : named->second},
                       {"digest", TextOf(digest)}});
    }
  }
  const std::vector<Column> columns = {{.name = "name", .path = "name"},
                                       {.name = "image", .path = "image"},
                                       {.name = "digest", .path = "digest", .as = As::kDigest}};
  std::vector<const json::value*> objects;
  for (const json::value& row : rows) {
    objects.push_back(&row);
  }
  session.out << RenderTable(columns, objects, session.clock.Wall(), session.screen.colours);
  return absl::OkStatus();
}

absl::Status List(const Args& args, Session& session) {
  if (args.Has("images") && FormatOf(args) == Format::kTable) {
    return ListImages(args, session);
  }
  return PrintList(args, session, NodeResource());
}

absl::Status Show(const Args& args, Session& session) {
  return PrintOne(args, session, NodeResource(), args.Positional(0));
}

absl::Status Change(const Args& args, Session& session, ApiRequest request,
                    std::string_view outcome) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply, session.controller.Send(std::move(request)));
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session, NodeResource(), reply.body);
  }
  session.out << Printable(args.Positional(0)) << ": " << outcome << '\n';
  return absl::OkStatus();
}

absl::Status Approve(const Args& args, Session& session) {
  std::string code = args.Text("code");
  std::erase(code, ' ');
  const json::object body = {{"code", code}};
  return Change(args, session,
                Write("POST", ApiPath({"nodes", args.Positional(0), "approve"}), json::value(body)),
                "approved");
}

absl::Status Cordon(const Args& args, Session& session) {
  const json::object body = {{"cordoned", true}};
  return Change(args, session,
                Write("PATCH", ApiPath({"nodes", args.Positional(0)}), json::value(body)),
                "cordoned; end it with `bramble node restore`");
}

absl::Status Label(const Args& args, Session& session) {
  json::object body;
  json::object labels;
  for (size_t i = 1; i < args.positionals().size(); ++i) {
    const std::string& text = args.Positional(i);
    if (text.size() > 1 && text.back() == '-' && text.find('=') == std::string::npos) {
      labels[text.substr(0, text.size() - 1)] = nullptr;
      continue;
    }
    BRAMBLE_ASSIGN_OR_RETURN(const auto entry, ParseKeyValue("label", text));
    labels[entry.first] = entry.second;
  }
  if (!labels.empty()) {
    body["labels"] = std::move(labels);
  }
  if (args.Has("pool")) {
    body["pool"] = args.Text("pool");
  }
  if (body.empty()) {
    return Misuse("say which label: KEY=VALUE to set, KEY- to remove, or --pool POOL");
  }
  return Change(args, session,
                Write("PATCH", ApiPath({"nodes", args.Positional(0)}), json::value(body)),
                "labelled");
}

}  // namespace

const Resource& NodeResource() {
  static const Resource resource = {
      .kind = "node",
      .collection = "nodes",
      .columns = {
          {.name = "name", .path = "name"},
          {.name = "state", .as = As::kState, .text = StateText},
          {.name = "address", .path = "address"},
          {.name = "architecture", .path = "inventory.architecture"},
          {.name = "containers", .path = "container_count"},
          {.name = "cpu", .text = CpuText},
          {.name = "memory", .text = MemoryText},
          {.name = "seen", .path = "last_seen_at", .as = As::kAge, .wide = true},
          {.name = "age", .path = "joined_at", .as = As::kAge},
          {.name = "reason", .text = ReasonText},
          {.name = "pool", .path = "pool", .wide = true},
          {.name = "labels", .path = "labels", .wide = true},
          {.name = "model", .path = "inventory.model", .wide = true},
          {.name = "serial", .path = "inventory.serial", .wide = true},
          {.name = "macs", .path = "inventory.macs", .wide = true},
          {.name = "kernel", .path = "inventory.kernel", .wide = true},
          {.name = "cgroups", .path = "inventory.cgroup_layout", .wide = true},
          {.name = "lsm", .path = "inventory.lsm", .wide = true},
          {.name = "agent", .path = "inventory.agent_version", .wide = true},
          {.name = "drain-deadline", .path = "drain_deadline", .wide = true},
          {.name = "code", .path = "code", .wide = true},
          {.name = "generation", .path = "generation", .wide = true},
          {.name = "id", .path = "id", .wide = true},
      }};
  return resource;
}

std::vector<Command> NodeCommands() {
  const Positional name = {.name = "NAME", .help = "the node", .completes = Completes::kNodes};
  return {
      {.path = "node list",
       .summary = "List the nodes.",
       .flags = {{.name = "images", .help = "the images that each has on its card"}},
       .answers = Answers::kList,
       .examples = "bramble node list\nbramble node list --images\nbramble node list --filter "
                   "state=ready,label.disk=ssd\n"
                   "bramble node list --columns name,state,model,kernel",
       .run = List},
      {.path = "node show",
       .summary = "Show one node.",
       .positionals = {name},
       .answers = Answers::kObject,
       .examples = "bramble node show pi-1",
       .run = Show},
      {.path = "node approve",
       .summary = "Admit a node that asked to join without a token.",
       .positionals = {name},
       .flags = {{.name = "code",
                  .value = "CODE",
                  .help = "the six digits that the node itself shows; compare them first",
                  .required = true}},
       .answers = Answers::kObject,
       .examples = "bramble node approve pi-7 --code 481516",
       .run = Approve},
      {.path = "node label",
       .summary = "Set and remove labels of a node, or put it into a pool.",
       .positionals = {name,
                       {.name = "LABEL",
                        .help = "KEY=VALUE sets, KEY- removes",
                        .optional = true,
                        .repeats = true}},
       .flags = {{.name = "pool", .value = "POOL", .help = "the pool it belongs to"}},
       .answers = Answers::kObject,
       .examples = "bramble node label pi-1 disk=ssd rack-",
       .run = Label},
      {.path = "node cordon",
       .summary = "Place no new container on a node; what runs there stays.",
       .positionals = {name},
       .answers = Answers::kObject,
       .details = "`bramble node restore NAME` ends it.",
       .examples = "bramble node cordon pi-1",
       .run = Cordon},
  };
}

}  // namespace bramble::cli
