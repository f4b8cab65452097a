// SPDX-License-Identifier: Apache-2.0
// `/`: a page that shows the cluster to whoever pastes a token.  Everything comes from here; the
// policy lets nothing else in.
#include "api/http_status.h"
#include "controller/rest/embedded.h"
#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

Route FileRoute(std::string_view type, std::string_view text) {
  Route route;
  route.direct = [type, body = std::make_shared<const std::string>(text)](Request&) {
    Response response;
    response.status = api::kHttpOk;
    response.content_type = type;
    response.headers.Add("Content-Security-Policy", kPolicy);
    response.headers.Add("Cache-Control", "no-cache");
    response.body = body;
    return response;
  };
  return route;
}

}  // namespace

void AddPageRoutes(Router& router, RestContext& /*context*/) {
  router.Add("GET", "/", FileRoute("text/html; charset=utf-8", kPageHtml));
  router.Add("GET", "/page.js", FileRoute("text/javascript; charset=utf-8", kPageScript));
  router.Add("GET", "/page.css", FileRoute("text/css; charset=utf-8", kPageStyle));
}

}  // namespace bramble::controller
