// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/network_map.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace bramble::cli {
namespace {

constexpr uint64_t kMaxCells = 1024;
constexpr uint64_t kNarrow = 16;  // cells of a row for up to a /24
constexpr uint64_t kWide = 64;
constexpr size_t kAddressWidth = 15;
constexpr size_t kWorthNaming = 400;  // objects in the list below the picture

// In order of importance: where a cell stands for several addresses, the first that occurs is
// shown.
constexpr char kConflict = '!';
constexpr char kForeign = '?';
constexpr std::string_view kOrder = "!?CNcFRG-.";

char SymbolOf(const api::Address& address) {
  switch (address.state) {
    case api::AddressState::kConflict:
      return kConflict;
    case api::AddressState::kForeign:
      return kForeign;
    case api::AddressState::kReserved:
      return 'R';
    case api::AddressState::kLeased:
      return 'G';
    case api::AddressState::kAssigned:
      break;
  }
  switch (address.use) {
    case api::AddressUse::kGateway:
      return 'C';
    case api::AddressUse::kFloating:
      return 'F';
    default:
      return address.owner.kind == "node" ? 'N' : address.owner.kind == "controller" ? 'C' : 'c';
  }
}

// What an address that nobody has is: free, or for nothing.
char FreeSymbol(const api::Network& network, Ipv4 address) {
  const bool usable =
      std::any_of(network.ranges.begin(), network.ranges.end(),
                  [&](const auto& range) { return range.second.Contains(address); });
  return usable ? '.' : '-';
}

std::string UseAt(const api::Network& network, Ipv4 first, Ipv4 last) {
  std::string uses;
  for (const std::string_view use : api::kAddressUseNames) {
    const auto range = network.ranges.find(std::string(use));
    if (range != network.ranges.end() && range->second.Overlaps({first, last})) {
      uses = StrCat(uses, uses.empty() ? "" : ", ", use);
    }
  }
  return uses;
}

std::string Padded(std::string text, size_t width) {
  text.append(text.size() < width ? width - text.size() : 0, ' ');
  return text;
}

std::string NamesOf(const std::vector<api::Address>& taken) {
  std::string text;
  size_t named = 0;
  for (const api::Address& address : taken) {
    if (named++ == kWorthNaming) {
      return StrCat(text, "and ", taken.size() - kWorthNaming, " more: bramble address list\n");
    }
    text +=
        StrCat(std::string(1, SymbolOf(address)), " ", Padded(address.address.str(), kAddressWidth),
               " ", address.owner.kind, address.owner.name.empty() ? "" : " ", address.owner.name,
               address.note.empty() ? "" : StrCat("  (", address.note, ")"), "\n");
  }
  return text;
}

}  // namespace

std::string RenderNetworkMap(const api::Network& network, const std::vector<api::Address>& taken) {
  const uint64_t size = network.prefix.size();
  const uint64_t of_cell = std::max<uint64_t>(1, size / kMaxCells);
  const uint64_t in_row = size / of_cell > 256 ? kWide : kNarrow;
  std::map<Ipv4, char> symbols;
  for (const api::Address& address : taken) {
    symbols[address.address] = SymbolOf(address);
  }
  std::string text =
      StrCat(network.prefix.str(),
             of_cell == 1 ? "" : StrCat(", each character ", of_cell, " addresses"), "\n");
  for (uint64_t row = 0; row < size; row += of_cell * in_row) {
    const uint64_t end = std::min(size, row + of_cell * in_row);
    std::string cells;
    for (uint64_t cell = row; cell < end; cell += of_cell) {
      size_t best = kOrder.size() - 1;
      for (uint64_t i = cell; i < cell + of_cell; ++i) {
        const Ipv4 address = network.prefix.At(i);
        const auto found = symbols.find(address);
        const char symbol = found != symbols.end() ? found->second : FreeSymbol(network, address);
        const bool only_nothing = symbol == '-' && of_cell > 1;
        best = only_nothing ? best : std::min(best, kOrder.find(symbol));
      }
      cells += kOrder[best];
    }
    text += StrCat(Padded(network.prefix.At(row).str(), kAddressWidth), "  ", cells, "  ",
                   UseAt(network, network.prefix.At(row), network.prefix.At(end - 1)), "\n");
  }
  text +=
      "C controller  N node  c container  F floating IP  R reserved  G guest\n"
      ". free  - not to be used  ? somebody else's  ! two machines\n";
  return text + NamesOf(taken);
}

}  // namespace bramble::cli
