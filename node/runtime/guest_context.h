// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a container is told at its first start (api/context.h), as files in it.  Pure.
//
//   cloud-init  the seed of its data source NoCloud; cloud-init does the rest
//   minimal     keys, a user and scripts (guest_first_start.h): for images without cloud-init
//   none        nothing
// In all of them: /context/context.sh and /context/secrets, when they were asked for.

#include <string>
#include <vector>

#include "api/context.h"
#include "node/runtime/guest_files.h"

namespace bramble::node {

// Files below /var/lib/cloud/seed/nocloud, of mode 0600, and a piece of configuration that has
// cloud-init look nowhere else.  The instance id changes with a rebuild only.
// Source: cloud-init 22.4, doc/rtd/reference/datasources/nocloud.rst, network-config-format-v2.rst.
std::vector<GuestFile> SeedFiles(const RuntimeSpec& spec, const api::Context& context);

// /context/context.sh as OpenNebula's, with the variables and SSH_PUBLIC_KEY and SET_HOSTNAME, and
// /context/secrets/NAME: root's alone.
std::vector<GuestFile> ContextFiles(const RuntimeSpec& spec, const api::Context& context);

// A multipart/mixed of RFC 2046 whose parts are base64: any bytes survive, and no part can hold the
// boundary.
std::string MultipartOf(const std::vector<api::ContextPart>& parts);

// "it's" -> 'it'\''s'.
std::string ShellQuoted(std::string_view text);

// What a minimal first start runs, in order: the parts of type x-shellscript, or user data that
// begins with "#!".
std::vector<api::ContextPart> ScriptsOf(const api::Context& context);

// What of `context` says nothing to a container of `mode`, for people: "user data of type
// text/cloud-config".  Empty: nothing.
std::vector<std::string> UnusedBy(api::ContextMode mode, const api::Context& context);

}  // namespace bramble::node
