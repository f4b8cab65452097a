// SPDX-License-Identifier: Apache-2.0
// bramble.toml on a card's boot partition, which a person edited on some laptop.
// lint: allow(deps) sdcard_card as a whole makes file systems
#include "sdcard-image/card/card_settings.h"
#include "tests/fuzz/fuzz.h"

namespace bramble::fuzz {

void Try(std::string_view input) {
  if (input.size() > sdcard::kMaxSettingsBytes) {
    return;
  }
  const std::string without = sdcard::WithoutSecrets(input);
  BRAMBLE_CHECK(!sdcard::HoldsSecrets(without), "a secret that was wiped is gone");
  (void)sdcard::MaskSecrets(input);
  (void)sdcard::ParsePreseed(input, "fuzz.toml");
  const absl::StatusOr<sdcard::CardSettings> settings =
      sdcard::ParseCardSettings(input, "fuzz.toml");
  if (!settings.ok()) {
    return;
  }
  const absl::StatusOr<std::string> written = sdcard::FormatCardSettings(*settings);
  BRAMBLE_CHECK(written.ok(), std::string(written.status().message()).c_str());
  const absl::StatusOr<sdcard::CardSettings> again = sdcard::ParseCardSettings(*written, "written");
  BRAMBLE_CHECK(again.ok(), std::string(again.status().message()).c_str());
  BRAMBLE_CHECK(*sdcard::FormatCardSettings(*again) == *written, "what is written is read");
}

std::vector<std::string> Seeds() {
  return {
      "hostname = \"pi-01\"\ncontrollers = [\"172.16.0.1:8444\"]\n"
      "ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZ1eno me\"]\n"
      "timezone = \"Europe/Amsterdam\"\ngrow = false\n"
      "[network]\naddress = \"172.16.0.11/24\"\ngateway = \"172.16.0.1\"\n"
      "[wifi]\nssid = \"school\"\npassword = \"secret secret\"\ncountry = \"NL\"\nhidden = true\n"
      "[labels]\nclass = \"a\"\n",
      "join_token = \"brm1.x\"\n[wifi]\npassword = '''\nmany\nlines'''\n",
      "config_version = 1\n[system]\nhostname = \"pi\"\n[user]\nname = \"me\"\npassword = "
      "\"$6$x\"\n"
      "[ssh]\nenabled = true\nauthorized_keys = [\"ssh-ed25519 AAAA me\"]\n[wlan]\nssid = \"s\"\n",
      "\"join_token\" = \"x\"\njoin_token=\"\"\"\nx\"\"\"\nwifi = {ssid = \"a\", password = "
      "\"12345678\"}\n"};
}

}  // namespace bramble::fuzz
