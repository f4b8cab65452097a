// SPDX-License-Identifier: Apache-2.0
#include "api/address.h"

#include "base/ids.h"
#include "base/status.h"

#include "absl/strings/ascii.h"

namespace bramble::api {
namespace {

json::string_view Name(std::string_view text) { return {text.data(), text.size()}; }

constexpr size_t kMacChars = 17;

}  // namespace

absl::StatusOr<std::string> ParseMac(std::string_view text) {
  std::string mac;
  bool good = text.size() == kMacChars;
  for (size_t i = 0; good && i < text.size(); ++i) {
    good = i % 3 == 2 ? text[i] == ':' : absl::ascii_isxdigit(static_cast<unsigned char>(text[i]));
    mac += absl::ascii_tolower(static_cast<unsigned char>(text[i]));
  }
  // IEEE 802: bit 0 of the first octet says group.
  constexpr std::string_view kOdd = "13579bdf";
  if (!good || kOdd.find(mac[1]) != std::string_view::npos || mac == "00:00:00:00:00:00") {
    return absl::InvalidArgumentError(StrCat("\"", text.substr(0, 40),
                                             "\": expected the MAC address of one network card, "
                                             "such as dc:a6:32:01:02:03"));
  }
  return mac;
}

json::object ToJson(const Address& address) {
  return {{"address", address.address.str()},
          {"use", Name(kAddressUseNames[static_cast<size_t>(address.use)])},
          {"state", Name(kAddressStateNames[static_cast<size_t>(address.state)])},
          {"owner", ToJson(address.owner)},
          {"mac", address.mac},
          {"note", address.note}};
}

absl::StatusOr<Address> AddressFromJson(const json::value& value, std::string path) {
  JsonObjectReader reader(value, std::move(path));
  Address address;
  address.address = reader.Parsed<Ipv4>("address");
  address.use = EnumField<AddressUse>(reader, "use", kAddressUseNames);
  address.state = EnumField<AddressState>(reader, "state", kAddressStateNames);
  if (const json::value* owner = reader.Find("owner")) {
    absl::StatusOr<ObjectReference> parsed =
        ObjectReferenceFromJson(*owner, reader.PathOf("owner"));
    reader.Merge(parsed.status());
    address.owner = std::move(parsed).value_or(ObjectReference{});
  }
  address.mac = reader.OptionalString("mac").value_or("");
  address.note = reader.OptionalString("note").value_or("");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return address;
}

json::object ToJson(const Reservation& reservation) {
  json::object object = {{"name", reservation.name},
                         {"generation", reservation.generation},
                         {"use", Name(kAddressUseNames[static_cast<size_t>(reservation.use)])},
                         {"mac", reservation.mac},
                         {"serial", reservation.serial},
                         {"note", reservation.note},
                         {"created_at", FormatTime(reservation.created_at)}};
  if (!reservation.address.empty()) {
    object["address"] = reservation.address.str();
  }
  return object;
}

absl::StatusOr<Reservation> ReservationFromJson(const json::value& value, std::string path,
                                                UnknownKeys unknown) {
  JsonObjectReader reader(value, std::move(path), unknown);
  Reservation reservation;
  reservation.name = reader.String("name");
  if (reader.ok()) {
    reader.Merge(CheckName("reservation", reservation.name));
  }
  reservation.generation = reader.OptionalInt("generation", {.min = 0}).value_or(1);
  reservation.address = reader.OptionalParsed<Ipv4>("address");
  reservation.use = EnumField<AddressUse>(reader, "use", kAddressUseNames, AddressUse::kServers);
  if (const std::string mac = reader.OptionalString("mac").value_or(""); !mac.empty()) {
    const absl::StatusOr<std::string> parsed = ParseMac(mac);
    if (parsed.ok()) {
      reservation.mac = *parsed;
    } else {
      reader.Fail("mac", MessageOf(parsed.status()));
    }
  }
  reservation.serial = reader.OptionalString("serial", {.max = 64}).value_or("");
  reservation.note = reader.OptionalString("note", {.max = 256}).value_or("");
  reservation.created_at = OptionalTimeField(reader, "created_at").value_or(WallTime{});
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return reservation;
}

}  // namespace bramble::api
