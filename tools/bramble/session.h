// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>

#include "base/clock.h"
#include "tools/bramble/controller_client.h"

namespace bramble::cli {

class CredentialStore;

// What a terminal is joined to, and whether it wants colours.
struct Screen {
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colours = false;  // on `out`
  std::string type;      // TERM
  int rows = 0;          // of the terminal at `in`; 0: unknown
  int columns = 0;
};

// What a program at the other end of a name says of itself, before it is trusted.
struct ServerIdentity {
  std::string spki_sha256;  // hex
  std::string subject;
};

// Everything a command may touch.  Owned by main.
struct Session {
  ControllerClient& controller;  // reads the credential at its first use
  CredentialStore& credentials;
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // talk
  const Clock& clock;
  Screen screen;
  std::string controller_flag;  // --controller, or BRAMBLE_CONTROLLER
  int exit_code = 0;            // of `container exec`: the command's own

  // A client for `url` ("https://host:8443") with nothing but this pin ("" with `ca_pem`) and
  // token.
  struct Endpoint {
    std::string url;
    std::string token;
    std::string spki_sha256;
    std::string ca_pem;
  };
  std::function<std::unique_ptr<ControllerClient>(Endpoint)> connect;
  // The key that the server at `url` shows, unchecked.
  std::function<absl::StatusOr<ServerIdentity>(std::string url)> identify;
};

}  // namespace bramble::cli
