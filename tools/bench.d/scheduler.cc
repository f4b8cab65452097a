// SPDX-License-Identifier: Apache-2.0
// Measures placement on a full cluster in memory.  Prints "name value" lines for tools/bench.
//
// usage: bench-scheduler [NODES [CONTAINERS [DECISIONS]]]

#include "controller/scheduler/scheduler.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "controller/scheduler/scheduler_fixture.h"

namespace bramble::controller {
namespace {

// The time of this thread on its core: what others do on the machine is not ours.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Clock, duration>;
  static time_point now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
  }
  using rep = duration::rep;
  using period = duration::period;
  static constexpr bool is_steady = true;
};

std::vector<api::Node> MakeNodes(int count) {
  std::vector<api::Node> nodes;
  for (int i = 0; i < count; ++i) {
    api::Node node = TestNode(StrCat("pi-", i), 4096, 4);
    node.inventory.capacity.pids = 4194304;
    node.pool = i % 4 == 0 ? "lab" : "default";
    node.labels = {{"disk", i % 3 == 0 ? "ssd" : "sd"}, {"room", StrCat(i % 10)}};
    node.images = {StrCat("image-", i % 7), StrCat("image-", i % 11)};
    node.cordoned = i % 50 == 0;
    nodes.push_back(std::move(node));
  }
  return nodes;
}

// A mix as a person's cluster sees it: half of the requests are plain, the rest use every rule.
PlacementRequest MakeRequest(Random& random, int64_t number) {
  PlacementRequest request =
      TestRequest(StrCat("c", number), 64 + static_cast<int64_t>(random.Below(128)), 250);
  request.limits.pids = 1024;
  const std::string image = StrCat("image-", random.Below(12));
  request.variants[0].digest = image;
  switch (random.Below(12)) {
    case 0:
      request.placement.required = {*api::ParseLabelTerm("disk=ssd")};
      break;
    case 1:
      request.placement.required = {*api::ParseLabelTerm("pool!=lab")};
      break;
    case 2:
      request.placement.preferred = {*api::ParseLabelTerm("room=3")};
      break;
    case 3:
      request.placement.avoid = {StrCat("c", random.Below(static_cast<uint64_t>(number + 1)))};
      break;
    case 4:
      request.placement.spread = {{"app", StrCat(random.Below(5))}};
      break;
    case 5:
      request.placement.spread = {{"app", StrCat(random.Below(5))}, {"tier", "front"}};
      break;
    default:
      break;
  }
  return request;
}

api::Labels MakeLabels(Random& random) {
  return {{"app", StrCat(random.Below(5))}, {"tier", random.Below(2) == 0 ? "front" : "back"}};
}

double Microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// The floor: one decision as a plain loop over API objects, filter and fullness only.
double PlainMicroseconds(const std::vector<api::Node>& nodes, Random& random, int rounds) {
  std::map<std::string, std::string> wanted = {{"disk", "ssd"}};
  int64_t best_sum = 0;
  const Clock::time_point start = Clock::now();
  for (int round = 0; round < rounds; ++round) {
    const int64_t memory = static_cast<int64_t>(64 + random.Below(128)) * kMiB;
    int64_t best = -1;
    for (const api::Node& node : nodes) {
      const auto label = node.labels.find("disk");
      if (node.state != api::NodeState::kReady || node.cordoned || label == node.labels.end() ||
          label->second != wanted["disk"] || node.inventory.architecture != "arm64" ||
          node.allocated.memory.count + memory > node.inventory.capacity.memory.count) {
        continue;
      }
      best = std::max(best, node.inventory.capacity.memory.count - node.allocated.memory.count);
    }
    best_sum += best;
  }
  const double taken = Microseconds(Clock::now() - start) / rounds;
  return best_sum == 42 ? 0 : taken;  // the sum is used, so that the loop stays
}

int Run(int node_count, int64_t container_count, int decisions) {
  SeededRandom random(1);
  const SchedulerOptions options;
  ClusterView view;
  const std::vector<api::Node> nodes = MakeNodes(node_count);
  for (const api::Node& node : nodes) {
    view.PutNode(node);
  }
  std::deque<ContainerId> live;
  std::vector<double> times;
  std::vector<double> updates;
  double total = 0;
  int64_t refused = 0;
  const int64_t rounds = container_count + decisions;
  for (int64_t i = 0; i < rounds; ++i) {
    if (static_cast<int64_t>(live.size()) >= container_count) {
      std::swap(live.front(), live[random.Below(live.size())]);
      view.RemoveContainer(live.front());
      live.pop_front();
    }
    const PlacementRequest request = MakeRequest(random, i);
    const api::Labels labels = MakeLabels(random);
    const Clock::time_point start = Clock::now();
    const PlacementResult result = Place(view, request, options);
    const Clock::time_point placed = Clock::now();
    if (result.choice.has_value()) {
      const PlacedContainer container = TestContainer(request, result.choice->node, labels);
      view.PutContainer(container);
      live.push_back(container.id);
    }
    const Clock::time_point end = Clock::now();
    if (i >= container_count) {
      times.push_back(Microseconds(placed - start));
      updates.push_back(Microseconds(end - placed));
      total += Microseconds(end - start);
      refused += result.choice.has_value() ? 0 : 1;
    }
  }
  std::sort(times.begin(), times.end());
  std::sort(updates.begin(), updates.end());
  std::printf("containers %zu\n", view.container_count());
  std::printf("placements_per_s %.0f\n", 1e6 * static_cast<double>(times.size()) / total);
  std::printf("median_us %.1f\n", times[times.size() / 2]);
  std::printf("p99_us %.1f\n", times[times.size() * 99 / 100]);
  std::printf("max_us %.1f\n", times.back());
  std::printf("update_median_us %.2f\n", updates[updates.size() / 2]);
  std::printf("refused %lld\n", static_cast<long long>(refused));
  std::printf("plain_us %.1f\n", PlainMicroseconds(nodes, random, 2000));
  return 0;
}

}  // namespace
}  // namespace bramble::controller

int main(int argc, char** argv) {
  const auto argument = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  return bramble::controller::Run(argument(1, 1000), argument(2, 20000), argument(3, 50000));
}
