// SPDX-License-Identifier: Apache-2.0
// The sentences that say why a node, or every node, will not do.
#include <algorithm>
#include <functional>
#include <map>

#include "base/strings.h"
#include "controller/scheduler/placement_query.h"

namespace bramble::controller {
namespace {

std::string Nodes(int64_t count) { return StrCat(count, count == 1 ? " node" : " nodes"); }
const char* Is(int64_t count) { return count == 1 ? "is" : "are"; }
const char* Does(int64_t count) { return count == 1 ? "does" : "do"; }

std::string Joined(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    text = StrCat(text, text.empty() ? "" : separator, part);
  }
  return text;
}

std::string_view StateText(api::NodeState state) {
  switch (state) {
    case api::NodeState::kPending:
      return "waiting for approval";
    case api::NodeState::kUnreachable:
      return "unreachable";
    case api::NodeState::kHeld:
      return "held (a cloned card?)";
    case api::NodeState::kOff:
      return "switched off";
    default:
      return api::kNodeStateNames[static_cast<size_t>(state)];
  }
}

std::string VariantsText(const PlacementQuery& query) {
  std::vector<std::string> architectures;
  for (const api::ImageVariant& variant : query.request().variants) {
    architectures.push_back(variant.architecture);
  }
  return architectures.empty() ? "no variant" : StrCat("only ", Joined(architectures, ", "));
}

std::string CriticalText(const ClusterView::NodeRow& node) {
  for (const api::Condition& condition : node.conditions) {
    if (condition.severity == "critical") {
      return condition.message.empty() ? condition.type
                                       : StrCat(condition.type, ": ", condition.message);
    }
  }
  return "";
}

const ClusterView::NodeRow& FirstByName(const PlacementQuery& query,
                                        const std::vector<int32_t>& rows) {
  const std::vector<ClusterView::NodeRow>& nodes = query.view().nodes();
  return nodes[*std::min_element(rows.begin(), rows.end(), [&](int32_t a, int32_t b) {
    return nodes[a].name < nodes[b].name;
  })];
}

// One resource: what is wanted of it, what a node has left, how it is written and called.
struct ResourceText {
  Refusal refusal;
  std::string wanted;
  std::function<int64_t(const api::Resources&)> amount;
  std::function<std::string(int64_t)> write;
  std::string of;  // "512MiB of disk"
  std::string noun;
};

std::vector<ResourceText> ResourceTexts(const api::Resources& want) {
  const auto bytes = [](int64_t count) { return ToString(Bytes{count}); };
  const auto cpus = [](int64_t count) { return StrCat(ToString(MilliCpu{count}), " CPU"); };
  const auto number = [](int64_t count) { return StrCat(count, " processes"); };
  return {
      {Refusal::kMemory, bytes(want.memory.count),
       [](const api::Resources& free) { return free.memory.count; }, bytes, "", "memory"},
      {Refusal::kCpu, cpus(want.cpu.count),
       [](const api::Resources& free) { return free.cpu.count; }, cpus, "", "CPU"},
      {Refusal::kDisk, bytes(want.disk.count),
       [](const api::Resources& free) { return free.disk.count; }, bytes, " of disk", "disk"},
      {Refusal::kPids, number(want.pids), [](const api::Resources& free) { return free.pids; },
       number, "", "process ids"},
  };
}

// Every node counted under what it refused first.
struct Tally {
  std::array<std::vector<int32_t>, kRefusals> rows;
  std::map<int32_t, int64_t> by_term;            // of kLabels
  std::map<std::string_view, int64_t> by_state;  // of kState
  const std::vector<int32_t>& Of(Refusal refusal) const {
    return rows[static_cast<size_t>(refusal)];
  }
};

Tally Count(const PlacementQuery& query) {
  Tally tally;
  const std::vector<ClusterView::NodeRow>& nodes = query.view().nodes();
  for (int32_t row = 0; row < static_cast<int32_t>(nodes.size()); ++row) {
    if (!nodes[row].used) {
      continue;
    }
    const Refusal first = query.Refuse(row, /*all=*/false).First();
    tally.rows[static_cast<size_t>(first)].push_back(row);
    if (first == Refusal::kLabels) {
      ++tally.by_term[query.FailedTerm(nodes[row])];
    } else if (first == Refusal::kState) {
      ++tally.by_state[StateText(nodes[row].state)];
    }
  }
  return tally;
}

// "no node has 512MiB free: the most is 200MiB on pi-3", or with several kinds of lack one each.
void AddResources(const PlacementQuery& query, const Tally& tally,
                  std::vector<std::string>& parts) {
  const std::vector<ResourceText> texts = ResourceTexts(query.request().limits);
  const auto lacking = std::count_if(texts.begin(), texts.end(), [&](const ResourceText& text) {
    return !tally.Of(text.refusal).empty();
  });
  for (const ResourceText& text : texts) {
    const std::vector<int32_t>& rows = tally.Of(text.refusal);
    if (rows.empty()) {
      continue;
    }
    int32_t best = rows[0];
    int64_t most = -1;
    for (const int32_t row : rows) {
      const int64_t amount = text.amount(query.FreeOn(row));
      const auto& nodes = query.view().nodes();
      if (amount > most || (amount == most && nodes[row].name < nodes[best].name)) {
        best = row;
        most = amount;
      }
    }
    const std::string& name = query.view().nodes()[best].name.str();
    const auto count = static_cast<int64_t>(rows.size());
    parts.push_back(lacking == 1
                        ? StrCat("no node has ", text.wanted, text.of, " free: the most is ",
                                 text.write(most), " on ", name)
                        : StrCat(Nodes(count), count == 1 ? " lacks " : " lack ", text.noun, " (",
                                 text.wanted, text.of, " wanted, the most is ", text.write(most),
                                 " on ", name, ")"));
  }
}

}  // namespace

std::string RefusalText(const PlacementQuery& query) {
  const api::Placement& placement = query.request().placement;
  if (query.view().node_count() == 0) {
    return "the cluster has no node";
  }
  if (!placement.node.empty()) {
    const int32_t row = query.view().NodeNamed(placement.node);
    if (row < 0) {
      return StrCat("it may only run on node \"", placement.node, "\", which does not exist");
    }
    return StrCat("it may only run on node \"", placement.node,
                  "\": ", Joined(RefusalTexts(query, row), ", "));
  }
  const Tally tally = Count(query);
  std::vector<std::string> parts;
  AddResources(query, tally, parts);
  const auto count = [&](Refusal refusal) {
    return static_cast<int64_t>(tally.Of(refusal).size());
  };
  for (const auto& [term, nodes] : tally.by_term) {
    parts.push_back(
        StrCat(Nodes(nodes), " ", Does(nodes), " not match ", ToString(placement.required[term])));
  }
  if (const int64_t nodes = count(Refusal::kArchitecture); nodes > 0) {
    parts.push_back(
        StrCat(Nodes(nodes), " cannot run the image (it has ", VariantsText(query), ")"));
  }
  if (const int64_t nodes = count(Refusal::kAvoid); nodes > 0) {
    parts.push_back(StrCat(Nodes(nodes), nodes == 1 ? " holds" : " hold",
                           " a container that it avoids or that avoids it"));
  }
  if (const int64_t nodes = count(Refusal::kCritical); nodes > 0) {
    const ClusterView::NodeRow& first = FirstByName(query, tally.Of(Refusal::kCritical));
    parts.push_back(StrCat(Nodes(nodes), " ", Is(nodes), " in a critical condition (",
                           first.name.str(), ": ", CriticalText(first), ")"));
  }
  for (const auto& [state, nodes] : tally.by_state) {
    parts.push_back(StrCat(Nodes(nodes), " ", Is(nodes), " ", state));
  }
  if (const int64_t nodes = count(Refusal::kCordoned); nodes > 0) {
    parts.push_back(StrCat(Nodes(nodes), " ", Is(nodes), " cordoned"));
  }
  if (const int64_t nodes = count(Refusal::kDraining); nodes > 0) {
    parts.push_back(StrCat(Nodes(nodes), " ", Is(nodes), " drained or being drained"));
  }
  if (const int64_t nodes = count(Refusal::kExcluded); nodes > 0) {
    parts.push_back(StrCat(Nodes(nodes), " ", Is(nodes), " excluded"));
  }
  return Joined(parts, "; ");
}

std::vector<std::string> RefusalTexts(const PlacementQuery& query, int32_t row) {
  const ClusterView::NodeRow& node = query.view().nodes()[row];
  const RefusalSet refusals = query.Refuse(row, /*all=*/true);
  std::vector<std::string> texts;
  const auto add = [&](Refusal refusal, const auto& text) {
    if (refusals.Has(refusal)) {
      texts.push_back(text());
    }
  };
  add(Refusal::kOtherNode,
      [&] { return StrCat("it may only run on node \"", query.request().placement.node, "\""); });
  add(Refusal::kExcluded, [] { return std::string("it must leave this node"); });
  add(Refusal::kState, [&] { return StrCat("is ", StateText(node.state)); });
  add(Refusal::kCordoned, [] { return std::string("is cordoned"); });
  add(Refusal::kDraining, [] { return std::string("is drained or being drained"); });
  add(Refusal::kCritical,
      [&] { return StrCat("is in a critical condition: ", CriticalText(node)); });
  add(Refusal::kArchitecture, [&] {
    return StrCat("runs ", query.view().words().TextOf(node.architectures[0]),
                  ", and the image has ", VariantsText(query));
  });
  add(Refusal::kLabels, [&] {
    const size_t term = query.FailedTerm(node);
    return StrCat("does not match ", ToString(query.request().placement.required[term]));
  });
  add(Refusal::kAvoid,
      [&] { return StrCat("holds ", Joined(query.AvoidedOn(row), ", "), ", to be kept apart"); });
  const api::Resources free = query.FreeOn(row);
  for (const ResourceText& text : ResourceTexts(query.request().limits)) {
    add(text.refusal, [&] {
      return StrCat("has ", text.write(text.amount(free)), text.of, " free of the ", text.wanted,
                    " wanted");
    });
  }
  return texts;
}

}  // namespace bramble::controller
