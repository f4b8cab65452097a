// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/controller_client.h"

#include <cstdio>

#include "base/ids.h"
#include "base/random.h"

namespace bramble::cli {
namespace {

// RFC 3986, section 2.3: everything but the unreserved characters is encoded.
void AppendEncoded(std::string_view text, std::string& out) {
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
    } else {
      char escaped[4];
      std::snprintf(escaped, sizeof(escaped), "%%%02X", static_cast<unsigned char>(c));
      out += escaped;
    }
  }
}

}  // namespace

std::string ApiPath(std::initializer_list<std::string_view> parts) {
  std::string path = "/v1";
  for (const std::string_view part : parts) {
    path += '/';
    AppendEncoded(part, path);
  }
  return path;
}

std::string RequestTargetOf(const ApiRequest& request) {
  std::string target = request.path;
  char separator = '?';
  for (const auto& [key, value] : request.query) {
    target += separator;
    AppendEncoded(key, target);
    target += '=';
    AppendEncoded(value, target);
    separator = '&';
  }
  return target;
}

ApiRequest Get(std::string path) {
  ApiRequest request;
  request.path = std::move(path);
  return request;
}

ApiRequest Write(std::string method, std::string path) {
  SystemRandom random;
  ApiRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.idempotency_key = RandomIdText(random);
  return request;
}

ApiRequest Write(std::string method, std::string path, const json::value& body) {
  ApiRequest request = Write(std::move(method), std::move(path));
  request.body = json::serialize(body);
  return request;
}

}  // namespace bramble::cli
