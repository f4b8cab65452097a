// SPDX-License-Identifier: Apache-2.0
#pragma once

// Users and keys in the files of a container that knows no other way: text in, text out.  Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/runtime/guest_user.h"

namespace bramble::node {

// What is read of a tree and written back; an absent file is nullopt, and stays away but passwd.
struct AccountFiles {
  std::optional<std::string> passwd;
  std::optional<std::string> group;
  std::optional<std::string> shadow;

  friend bool operator==(const AccountFiles&, const AccountFiles&) = default;
};

// The user `name`, made where there is none: the next id from 1000 on, a group of its own, no
// password, `shell`.  root is id 0 with or without a line.
GuestUser AddAccount(AccountFiles& files, std::string_view name, std::string_view shell);

// `text` with those of `keys` at its end that it has not.
std::string WithKeys(std::string text, const std::vector<std::string>& keys);

}  // namespace bramble::node
