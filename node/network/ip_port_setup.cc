// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/async_subprocess.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "node/network/bridge_plan.h"
#include "node/network/ip_command.h"
#include "node/network/port_setup.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxStatBytes = 4096;
constexpr size_t kMaxFactsBytes = 4 << 20;
constexpr std::string_view kShaperPrefix = "ib-";

// Field 22 of /proc/PID/stat; 0: no such process.  Source: proc(5).
uint64_t StartTicks(pid_t pid) {
  const absl::StatusOr<std::string> stat = ReadFile(StrCat("/proc/", pid, "/stat"), kMaxStatBytes);
  if (!stat.ok()) {
    return 0;
  }
  size_t at = stat->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) {
    at = stat->find(' ', at + 1);
  }
  return at == std::string::npos ? 0 : strtoull(stat->c_str() + at, nullptr, 10);
}

std::map<std::string, int64_t> IndexesIn(std::string_view links) {
  std::map<std::string, int64_t> indexes;
  const absl::StatusOr<json::value> value = ParseJson(links, kMaxFactsBytes);
  if (value.ok() && value->is_array()) {
    for (const json::value& link : value->get_array()) {
      JsonObjectReader reader(link, "link");
      indexes[reader.OptionalString("ifname").value_or("")] =
          reader.OptionalInt("ifindex").value_or(0);
    }
  }
  return indexes;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    text += line + "\n";
  }
  return text;
}

}  // namespace

asio::awaitable<absl::Status> IpPortSetup::SetRates(std::vector<PortRate> rates) {
  const bool any = std::any_of(rates.begin(), rates.end(), [](const PortRate& rate) {
    return rate.in_bits_per_second > 0 || rate.out_bits_per_second > 0;
  });
  if (!any && set_.empty() && swept_) {
    co_return absl::OkStatus();
  }
  swept_ = true;  // of what an agent before this one left
  std::vector<std::string> show = {"ip", "-json", "link", "show"};
  absl::StatusOr<std::string> links = co_await RunIp(std::move(show), "");
  if (!links.ok()) {
    co_return links.status();
  }
  const std::map<std::string, int64_t> indexes = IndexesIn(*links);
  std::vector<std::string> link_lines;
  std::vector<std::string> tc_lines;
  std::set<std::string> shapers;
  absl::Status bad;
  for (const PortRate& rate : rates) {
    const auto port = indexes.find(rate.interface);
    const std::string shaper = ShaperOf(rate.interface);
    const bool has_shaper = indexes.contains(shaper);
    const bool limited = rate.in_bits_per_second > 0 || rate.out_bits_per_second > 0;
    if (port == indexes.end()) {
      set_.erase(rate.interface);
      continue;
    }
    if (rate.out_bits_per_second > 0) {
      shapers.insert(shaper);
    }
    const auto before = set_.find(rate.interface);
    const bool known = before != set_.end() && before->second.first == port->second;
    if (known ? before->second.second == rate : !limited && !has_shaper) {
      continue;
    }
    absl::StatusOr<RatePlan> plan = PlanRate(rate, has_shaper);
    if (!plan.ok()) {
      bad = plan.status();
      continue;
    }
    link_lines.insert(link_lines.end(), plan->link_lines.begin(), plan->link_lines.end());
    tc_lines.insert(tc_lines.end(), plan->tc_lines.begin(), plan->tc_lines.end());
    if (limited) {
      set_[rate.interface] = {port->second, rate};
    } else {
      set_.erase(rate.interface);
    }
    log_.Info("bandwidth", {{"port", rate.interface},
                            {"in_bps", rate.in_bits_per_second},
                            {"out_bps", rate.out_bits_per_second}});
  }
  for (const auto& [name, index] : indexes) {
    if (name.starts_with(kShaperPrefix) && !shapers.contains(name) &&
        std::find(link_lines.begin(), link_lines.end(), StrCat("link del dev ", name)) ==
            link_lines.end()) {
      link_lines.push_back(StrCat("link del dev ", name));
    }
  }
  if (!link_lines.empty()) {
    std::vector<std::string> batch = {"ip", "-force", "-batch", "-"};
    (void)co_await RunIp(std::move(batch), Joined(link_lines));
  }
  if (!tc_lines.empty()) {
    // Taking away what is not there is an error to tc and none to us: what counts is what is set.
    std::vector<std::string> batch = {"tc", "-force", "-batch", "-"};
    const absl::StatusOr<std::string> done = co_await RunIp(std::move(batch), Joined(tc_lines));
    const bool only_removals =
        std::all_of(tc_lines.begin(), tc_lines.end(),
                    [](const std::string& line) { return line.starts_with("qdisc del"); });
    const bool has_removals =
        std::any_of(tc_lines.begin(), tc_lines.end(),
                    [](const std::string& line) { return line.starts_with("qdisc del"); });
    if (!done.ok() && !only_removals && !has_removals) {
      set_.clear();
      co_return Annotate(done.status(), "bandwidth limits");
    }
  }
  co_return bad;
}

asio::awaitable<absl::StatusOr<std::vector<Ipv4>>> IpPortSetup::SetAddresses(
    InsideAddresses addresses) {
  const std::string process = StrCat("/proc/", addresses.init_pid);
  absl::StatusOr<Fd> ns = OpenFile(process + "/ns/net", O_RDONLY);
  // The same process before and after: the descriptor is of its network.
  if (!ns.ok() || StartTicks(addresses.init_pid) != addresses.init_start_ticks) {
    co_return absl::NotFoundError("the container has ended");
  }
  const auto inside = [&ns](std::vector<std::string> ip, std::string input) {
    std::vector<std::string> argv = {"nsenter", "--net=/proc/self/fd/3"};
    argv.insert(argv.end(), ip.begin(), ip.end());
    return Command{.argv = std::move(argv),
                   .input = std::move(input),
                   .fds = {{.fd = ns->get(), .number = 3}},
                   .deadline = std::chrono::seconds(10)};
  };
  Command show = inside({"ip", "-json", "-4", "address", "show", "dev", "eth0"}, "");
  absl::StatusOr<CommandResult> shown = co_await RunCommandAsync(std::move(show));
  if (!shown.ok()) {
    co_return shown.status();
  }
  if (!shown->exit.ok()) {
    co_return absl::NotFoundError("the container has no eth0");
  }
  const absl::StatusOr<NetworkFacts> facts = ParseNetworkFacts(shown->out, "[]");
  const LinkFacts* eth0 = facts.ok() ? facts->Find("eth0") : nullptr;
  std::vector<Ipv4Interface> present;
  if (eth0 != nullptr) {
    present = eth0->addresses;
  }
  std::string batch;
  std::vector<Ipv4> added;
  for (const Ipv4 wanted : addresses.floating) {
    if (std::none_of(present.begin(), present.end(),
                     [&](const Ipv4Interface& have) { return have.address == wanted; })) {
      batch += StrCat("address add ", wanted.str(), "/32 dev eth0\n");
      added.push_back(wanted);
    }
  }
  for (const Ipv4Interface& have : present) {
    const bool wanted = have.address == addresses.address.address ||
                        std::find(addresses.floating.begin(), addresses.floating.end(),
                                  have.address) != addresses.floating.end();
    if (!wanted && addresses.address.prefix().Contains(have.address)) {
      batch += StrCat("address del ", have.str(), " dev eth0\n");
    }
  }
  if (batch.empty()) {
    co_return added;
  }
  Command change = inside({"ip", "-force", "-batch", "-"}, batch);
  const Command kept = change;
  absl::StatusOr<CommandResult> changed = co_await RunCommandAsync(std::move(change));
  if (!changed.ok()) {
    co_return changed.status();
  }
  if (absl::Status good = CheckOk(kept, *changed); !good.ok()) {
    co_return good;
  }
  log_.Info("floating_addresses", {{"ip", batch}});
  co_return added;
}

}  // namespace bramble::node
