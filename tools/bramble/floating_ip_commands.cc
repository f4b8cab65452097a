// SPDX-License-Identifier: Apache-2.0
// floating-ip and port-forward.
#include <charconv>

#include "api/port_forward.h"
#include "base/status.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

const Resource& FloatingIpResource() {
  static const Resource resource = {
      .kind = "floating IP",
      .collection = "floating-ips",
      .columns = {{.name = "address", .path = "address"},
                  {.name = "container", .path = "container"},
                  {.name = "node", .path = "node"},
                  {.name = "automatic", .path = "automatic"},
                  {.name = "age", .path = "attached_at", .as = As::kAge},
                  {.name = "project", .path = "project", .wide = true}},
      .name = [](const json::value& ip) { return TextAt(ip, "address"); }};
  return resource;
}

const Resource& ForwardResource() {
  static const Resource resource = {
      .kind = "port forward",
      .collection = "port-forwards",
      .columns = {{.name = "name", .path = "name"},
                  {.name = "port", .path = "port"},
                  {.name = "protocol", .path = "protocol"},
                  {.name = "container", .path = "container"},
                  {.name = "container-port", .path = "container_port"},
                  {.name = "age", .path = "created_at", .as = As::kAge}}};
  return resource;
}

absl::Status List(const Args& args, Session& session) {
  return PrintList(args, session, FloatingIpResource());
}

absl::Status Attach(const Args& args, Session& session) {
  json::object body = {{"container", args.Positional(0)}};
  if (!args.Positional(1).empty()) {
    body["address"] = args.Positional(1);
  }
  for (const std::string_view flag : {"move", "force"}) {
    if (args.Has(flag)) {
      body[flag] = true;
    }
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"floating-ips"}), json::value(body))));
  return PrintObject(args, session, FloatingIpResource(), reply.body);
}

absl::Status Detach(const Args& args, Session& session) {
  const std::string address = args.Positional(0);
  ApiRequest request = Write("DELETE", ApiPath({"floating-ips", address}));
  if (args.Has("force")) {
    request.query.emplace_back("force", "true");
  }
  BRAMBLE_RETURN_IF_ERROR(session.controller.Send(std::move(request)).status());
  session.out << Printable(address) << ": detached\n";
  return absl::OkStatus();
}

absl::Status Automatic(const Args& args, Session& session) {
  const json::object body = {{"auto_floating_ip", args.Positional(0) == "on"}};
  BRAMBLE_RETURN_IF_ERROR(
      session.controller.Send(Write("PATCH", ApiPath({"projects", "default"}), json::value(body)))
          .status());
  session.out << "new containers get " << (args.Positional(0) == "on" ? "a" : "no")
              << " floating IP\n";
  return absl::OkStatus();
}

absl::Status ListForwards(const Args& args, Session& session) {
  return PrintList(args, session, ForwardResource());
}

absl::StatusOr<int64_t> Port(const std::string& text) {
  int64_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    return Misuse(StrCat("\"", text, "\": a port is 1 to 65535"));
  }
  return port;
}

absl::Status AddForward(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const int64_t port, Port(args.Positional(0)));
  const std::string target = args.Positional(1);
  const size_t colon = target.rfind(':');
  json::object body = {{"port", port}, {"container", target.substr(0, colon)}};
  if (colon != std::string::npos) {
    BRAMBLE_ASSIGN_OR_RETURN(body["container_port"], Port(target.substr(colon + 1)));
  }
  if (args.Has("protocol")) {
    body["protocol"] = args.Text("protocol");
  }
  BRAMBLE_ASSIGN_OR_RETURN(
      const ApiReply reply,
      session.controller.Send(Write("POST", ApiPath({"port-forwards"}), json::value(body))));
  return PrintObject(args, session, ForwardResource(), reply.body);
}

absl::Status DeleteForward(const Args& args, Session& session) {
  const std::string name = args.Positional(0);
  const bool port_alone = name.find('-') == std::string::npos;
  BRAMBLE_RETURN_IF_ERROR(
      session.controller
          .Send(
              Write("DELETE", ApiPath({"port-forwards", port_alone ? StrCat("tcp-", name) : name})))
          .status());
  session.out << Printable(name) << ": deleted\n";
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> FloatingIpCommands() {
  return {
      {.path = "floating-ip list",
       .summary = "List the floating IPs that are attached.",
       .answers = Answers::kList,
       .examples = "bramble floating-ip list",
       .run = List},
      {.path = "floating-ip attach",
       .summary = "Give a container a floating IP, or move one to it.",
       .positionals =
           {{.name = "CONTAINER", .help = "the container", .completes = Completes::kContainers},
            {.name = "ADDRESS", .help = "which one (any that is free)", .optional = true}},
       .flags = {{.name = "move", .value = "", .help = "take it from the container that has it"},
                 {.name = "force",
                  .value = "",
                  .help = "its node is silent and surely off: two machines with one address harm "
                          "both"}},
       .answers = Answers::kObject,
       .details = "Neither container is restarted.",
       .examples = "bramble floating-ip attach web\n"
                   "bramble floating-ip attach web2 172.16.0.225 --move",
       .run = Attach},
      {.path = "floating-ip detach",
       .summary = "Take a floating IP from its container.",
       .positionals = {{.name = "ADDRESS", .help = "the floating IP"}},
       .flags = {{.name = "force", .value = "", .help = "its node is silent and surely off"}},
       .examples = "bramble floating-ip detach 172.16.0.225",
       .run = Detach},
      {.path = "floating-ip auto",
       .summary = "Say whether every new container gets a floating IP.",
       .positionals = {{.name = "on|off", .help = "on or off", .choices = {"on", "off"}}},
       .examples = "bramble floating-ip auto on",
       .run = Automatic},
      {.path = "port-forward list",
       .summary = "List the ports of the controller's uplink that lead to containers.",
       .answers = Answers::kList,
       .examples = "bramble port-forward list",
       .run = ListForwards},
      {.path = "port-forward add",
       .summary = "Lead a port of the controller's uplink to a container.",
       .positionals = {{.name = "PORT", .help = "at the uplink"},
                       {.name = "CONTAINER[:PORT]",
                        .help = "where to; without a port the same one",
                        .completes = Completes::kContainers}},
       .flags = {{.name = "protocol",
                  .value = "PROTOCOL",
                  .help = "tcp or udp (tcp)",
                  .choices = {"tcp", "udp"}}},
       .answers = Answers::kObject,
       .examples = "bramble port-forward add 8080 web:80",
       .run = AddForward},
      {.path = "port-forward delete",
       .summary = "End a port forward.",
       .positionals = {{.name = "NAME", .help = "its name (tcp-8080), or the port of a tcp one"}},
       .examples = "bramble port-forward delete 8080",
       .run = DeleteForward},
  };
}

}  // namespace bramble::cli
