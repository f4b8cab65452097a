// SPDX-License-Identifier: Apache-2.0
#include "controller/network/gateway_table.h"

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

// In quotes in the text: neither they nor what ends a line may be in it.
absl::Status CheckInterface(const std::string& name) {
  const bool good = !name.empty() && name.size() <= kMaxInterfaceName &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '/' && c != '*';
                    });
  return good ? absl::OkStatus()
              : absl::InvalidArgumentError(
                    "nftables table: an interface's name cannot be written into it");
}

std::string ProtocolText(api::Protocol protocol) {
  return std::string(api::kProtocolNames[static_cast<size_t>(protocol)]);
}

}  // namespace

absl::StatusOr<std::string> WriteGatewayTable(const GatewaySettings& settings) {
  // `add` before `delete`: deleting a table that is not there is an error.
  std::string text =
      StrCat("add table ip ", kGatewayTable, "\ndelete table ip ", kGatewayTable, "\n");
  if (!settings.Routes()) {
    return text;
  }
  BRAMBLE_RETURN_IF_ERROR(CheckInterface(settings.interface));
  BRAMBLE_RETURN_IF_ERROR(CheckInterface(settings.uplink));
  const std::string in = StrCat("iifname \"", settings.interface, "\" ");
  const std::string from_uplink = StrCat("iifname \"", settings.uplink, "\" ");
  const std::string to_uplink = StrCat("oifname \"", settings.uplink, "\" ");
  const std::string to_cluster = StrCat("oifname \"", settings.interface, "\" ");
  const auto line = [&text](auto... parts) { text += StrCat(parts..., "\n"); };
  line("table ip ", kGatewayTable, " {");
  line("  chain prerouting {");
  line("    type nat hook prerouting priority dstnat; policy accept;");
  for (const GatewaySettings::Forward& forward : settings.forwards) {
    line("    ", from_uplink, "fib daddr type local ", ProtocolText(forward.protocol), " dport ",
         forward.port, " dnat to ", forward.address.str(), ":", forward.to_port);
  }
  line("  }");
  line("  chain postrouting {");
  line("    type nat hook postrouting priority srcnat; policy accept;");
  if (settings.masquerade) {
    line("    ", to_uplink, "ip saddr ", settings.prefix.str(), " masquerade");
  }
  line("  }");
  // Forwarding is on for the whole machine: between cluster and uplink only what was asked for.
  line("  chain forward {");
  line("    type filter hook forward priority filter; policy accept;");
  line("    ct state established,related accept");
  if (settings.masquerade) {
    line("    ", in, to_uplink, "ip saddr ", settings.prefix.str(), " accept");
  }
  line("    ", from_uplink, to_cluster, "ct status dnat accept");
  line("    ", in, StrCat("oifname != \"", settings.interface, "\""), " drop");
  line("    ", StrCat("iifname != \"", settings.interface, "\" "), to_cluster, "drop");
  line("  }");
  line("}");
  return text;
}

}  // namespace bramble::controller
