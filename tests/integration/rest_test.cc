// SPDX-License-Identifier: Apache-2.0
// What people may send to 8443, and what they must be told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/controller_process.h"

namespace bramble::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RestTest : public ::testing::Test {
 protected:
  void SetUp() override { controller_.Start(); }
  Person Admin() { return Person(controller_, controller_.Token()); }

  ControllerProcess controller_;
};

json::value WebContainer() { return {{"name", "web"}, {"image", "busybox"}}; }

TEST_F(RestTest, TheSetUpCodeWorksOnceAndItsFileGoes) {
  Person nobody(controller_, "");
  EXPECT_EQ(nobody.Post("/v1/cluster/init", {{"setup_code", "wrong-code"}}).status, 403);

  EXPECT_FALSE(controller_.Token().empty());

  const Answer again = nobody.Post("/v1/cluster/init", {{"setup_code", "wrong-code"}});
  EXPECT_THAT(again.status, ::testing::AnyOf(403, 409)) << again.text;
  EXPECT_EQ(Admin().Get("/v1/cluster").Text("initialised"), "true");
}

TEST_F(RestTest, WhoeverHasNoTokenGetsTheSameAnswerEverywhere) {
  controller_.Token();
  Person nobody(controller_, "");
  Person stranger(controller_, "brmu1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  const Answer first = nobody.Get("/v1/cluster");
  EXPECT_EQ(first.status, 401);
  EXPECT_EQ(first.Text("code"), "unauthenticated");
  for (const char* target : {"/v1/containers/web", "/v1/containers", "/v1/nothing", "/metrics",
                             "/v1/events", "/v1/operations/x", "/v1/images/a:b"}) {
    EXPECT_EQ(nobody.Get(target).text, first.text) << target;
    EXPECT_EQ(stranger.Get(target).text, first.text) << target;
    EXPECT_EQ(nobody.Post(target).text, first.text) << target;
    EXPECT_EQ(nobody.Delete(target).text, first.text) << target;
  }
}

TEST_F(RestTest, WhatIsOpenToAllSaysNothingOfTheCluster) {
  Person nobody(controller_, "");
  EXPECT_EQ(nobody.Get("/healthz").status, 200);
  EXPECT_EQ(nobody.Get("/readyz").status, 200);
  EXPECT_THAT(nobody.Get("/v1/openapi.yaml").text, HasSubstr("openapi: 3.1.0"));
  const Answer page = nobody.Get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(std::string(page.headers.Get("Content-Security-Policy")),
              HasSubstr("default-src 'none'"));
  EXPECT_EQ(page.headers.Get("X-Content-Type-Options"), "nosniff");
}

struct BadRequest {
  const char* what;
  const char* method;
  const char* target;
  std::string body;
  int status;
  const char* names;  // in the problem's detail
};

std::vector<BadRequest> BadRequests() {
  std::string deep(100, '[');
  return {
      {"not JSON", "POST", "/v1/containers", "{\"name\":", 400, "body"},
      {"too deep", "POST", "/v1/containers", "{\"name\":" + deep, 400, "body"},
      {"not UTF-8", "POST", "/v1/containers", "{\"name\":\"\xff\xfe\"}", 400, "UTF-8"},
      {"no object", "POST", "/v1/containers", "[]", 400, "object"},
      {"too large", "POST", "/v1/containers", std::string(2 << 20, ' '), 413, "limit"},
      {"an unknown field", "POST", "/v1/containers",
       R"({"name":"web","image":"busybox","imgae":"x"})", 400, "imgae"},
      {"an unknown nested field", "POST", "/v1/containers",
       R"({"name":"web","image":"busybox","limits":{"cpus":1}})", 400, "cpus"},
      {"dots in a name", "POST", "/v1/containers", R"({"name":"../etc","image":"busybox"})", 400,
       "name"},
      {"a control character in a name", "POST", "/v1/containers",
       R"({"name":"we\u0007b","image":"busybox"})", 400, "name"},
      {"no name", "POST", "/v1/containers", R"({"image":"busybox"})", 400, "name"},
      {"a counter that is ours", "POST", "/v1/containers",
       R"({"name":"web","image":"busybox","restart_count":3})", 400, "restart_count"},
      {"an image that is not there", "POST", "/v1/containers", R"({"name":"web","image":"nosuch"})",
       404, "nosuch"},
      {"no such container", "GET", "/v1/containers/nosuch", "", 404, "nosuch"},
      {"no such container's verb", "POST", "/v1/containers/nosuch/start", "", 404, "nosuch"},
      {"no such node", "POST", "/v1/nodes/nosuch/drain", "", 404, "nosuch"},
      {"a bad limit", "GET", "/v1/containers?limit=0", "", 400, "limit"},
      {"an unknown query", "GET", "/v1/containers?lmit=5", "", 400, "lmit"},
      {"a bad filter", "GET", "/v1/containers?filter=colour%3Dred", "", 400, "colour"},
      {"a bad token request", "POST", "/v1/tokens", R"({"max_uses":0})", 400, "max_uses"},
      {"a bad flavor", "POST", "/v1/flavors", R"({"name":"x","resources":{"cpu_milli":1}})", 400,
       "cpu_milli"},
      {"an image without architecture", "POST", "/v1/images?name=a", "x", 400, "architecture"},
      {"an image of a foreign architecture", "POST", "/v1/images?name=a&architecture=sparc", "x",
       400, "sparc"},
      {"an image with a bad name", "POST", "/v1/images?name=..%2Fa&architecture=amd64", "x", 400,
       "name"},
      {"a path that leads out", "GET", "/v1/containers/web/files?path=/etc/../../x", "", 400,
       "path"},
      {"an unknown route", "GET", "/v1/nothing", "", 404, ""},
      {"a wrong method", "PUT", "/v1/containers", "", 405, ""},
      {"an unknown ticket", "GET", "/v1/streams/abc", "", 404, "ticket"},
      {"a bad event id", "GET", "/v1/events?after=x", "", 400, "Last-Event-ID"},
  };
}

TEST_F(RestTest, WhatIsWrongIsNamedAndHarmsNothing) {
  Person admin = Admin();
  for (const BadRequest& bad : BadRequests()) {
    const Answer answer = admin.Send(bad.method, bad.target, bad.body);
    EXPECT_EQ(answer.status, bad.status) << bad.what << ": " << answer.text;
    EXPECT_THAT(answer.Text("detail"), HasSubstr(bad.names)) << bad.what;
    EXPECT_EQ(answer.headers.Get("Content-Type"), "application/problem+json") << bad.what;
    EXPECT_FALSE(answer.Text("code").empty()) << bad.what;
  }
  EXPECT_EQ(admin.Get("/v1/cluster").status, 200);
  EXPECT_EQ(admin.Get("/v1/containers").body.at("items").as_array().size(), 0u);
}

class RestImageTest : public RestTest {
 protected:
  Answer Upload(Person& admin, std::string bytes, std::string more = "") {
    return admin.Send("POST", "/v1/images?name=busybox&architecture=amd64" + more,
                      std::move(bytes));
  }
};

TEST_F(RestImageTest, AnImageIsKnownByTheDigestOfItsBytes) {
  Person admin = Admin();
  const Answer answer = Upload(admin, "not really a tar");

  EXPECT_EQ(answer.status, 201) << answer.text;
  const json::value& variant = answer.body.at("variants").at(0);
  EXPECT_EQ(variant.at("digest").as_string(),
            "5e9a5ec87ab511bc877cf1fc7950c3caffb902cb2cfe1f682401a976907014bc");
  EXPECT_EQ(variant.at("size_bytes").as_int64(), 16);
  EXPECT_EQ(admin.Get("/v1/images/busybox:latest").status, 200);
  EXPECT_EQ(admin.Post("/v1/images/busybox:latest/tag", {{"tag", "stable"}}).status, 201);
  EXPECT_EQ(admin.Get("/v1/images").body.at("items").as_array().size(), 2u);
  EXPECT_EQ(admin.Delete("/v1/images/busybox:stable").status, 204);
}

TEST_F(RestImageTest, AnEmptyImageAndAWrongDigestAreRefused) {
  Person admin = Admin();
  EXPECT_EQ(Upload(admin, "").status, 400);
  const Answer wrong = Upload(admin, "bytes", "&sha256=" + std::string(64, '0'));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.Text("detail"), HasSubstr("SHA-256"));
  EXPECT_EQ(admin.Get("/v1/images").body.at("items").as_array().size(), 0u);
}

TEST_F(RestImageTest, AContainerWithoutANodeIsPendingAndSaysWhy) {
  Person admin = Admin();
  Upload(admin, "not really a tar");

  const Answer created = admin.Post("/v1/containers", WebContainer());

  EXPECT_EQ(created.status, 202) << created.text;
  EXPECT_EQ(std::string(created.headers.Get("Location")), "/v1/operations/" + created.Text("id"));
  const Answer web = admin.Get("/v1/containers/web");
  EXPECT_EQ(web.Text("status.state"), "pending");
  EXPECT_THAT(web.Text("status.reason"), HasSubstr("node"));
  EXPECT_EQ(admin.Post("/v1/containers", WebContainer()).status, 409) << "the name is taken";
}

TEST_F(RestImageTest, AKeyIsKeptShownAndForgotten) {
  Person admin = Admin();
  const json::value ada = {
      {"name", "ada"},
      {"public_key",
       "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFehgrrWBv7nn74gfCImceREzxN1bo4x1Ew3NdtWKAWQ"
       " ada@lab"}};

  const Answer added = admin.Post("/v1/keys", ada);

  EXPECT_EQ(added.status, 201) << added.text;
  EXPECT_EQ(added.Text("fingerprint"), "SHA256:veqXWwBCto2QAoAGct89IoyxlEX+OtDe2HroDhpwuMk");
  EXPECT_EQ(admin.Post("/v1/keys", ada).status, 409);
  EXPECT_EQ(admin.Get("/v1/keys/ada").Text("type"), "ssh-ed25519");
  EXPECT_THAT(admin.Get("/v1/keys").text, HasSubstr("ada@lab"));
  EXPECT_EQ(admin.Post("/v1/keys", {{"name", "bob"}, {"public_key", "ssh-rsa AAAA"}}).status, 400);
  EXPECT_EQ(admin.Post("/v1/keys", {{"name", "bob"}}).status, 400);
  EXPECT_EQ(admin.Delete("/v1/keys/ada").status, 204);
  EXPECT_EQ(admin.Get("/v1/keys/ada").status, 404);
}

TEST_F(RestImageTest, WhatAContainerIsToldIsCheckedAndNeverGivenBack) {
  Person admin = Admin();
  Upload(admin, "not really a tar");
  const auto told = [&admin](const json::value& context) {
    json::value body = WebContainer();
    body.as_object()["context"] = context;
    return admin.Post("/v1/containers", body);
  };
  const Answer unknown = told({{"keys", json::array{"nobody"}}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.text, HasSubstr("bramble key add"));
  EXPECT_EQ(told({{"user_data", "x"}}).status, 400);
  EXPECT_EQ(told({{"authorized_keys", json::array{"ssh-rsa x"}}}).status, 400);
  const Answer large = told({{"variables", {{"A", std::string(70'000, 'x')}}}});
  EXPECT_EQ(large.status, 400);
  EXPECT_THAT(large.text, HasSubstr("65536"));

  const Answer made = told(
      {{"secrets_base64", {{"db", "Y2FuYXJ5LTczMTk="}}}, {"variables", {{"A", "canary-7319"}}}});

  EXPECT_EQ(made.status, 202) << made.text;
  for (const char* target :
       {"/v1/containers/web", "/v1/containers", "/v1/operations", "/v1/events"}) {
    const Answer answer = admin.Get(target);
    EXPECT_THAT(answer.text, Not(HasSubstr("canary-7319"))) << target;
    EXPECT_THAT(answer.text, Not(HasSubstr("Y2FuYXJ5"))) << target;
  }
  EXPECT_THAT(admin.Get("/v1/containers/web").text, HasSubstr("\"variables\":[\"A\"]"));
  const Answer patched = admin.Patch("/v1/containers/web", {{"context", json::object()}});
  EXPECT_EQ(patched.status, 400);
}

TEST_F(RestImageTest, AnETagSavesTheBodyAndGuardsAgainstAStaleWrite) {
  Person admin = Admin();
  Upload(admin, "not really a tar");
  admin.Post("/v1/containers", WebContainer());
  const Answer web = admin.Get("/v1/containers/web");
  const std::string tag(web.headers.Get("ETag"));
  ASSERT_FALSE(tag.empty());

  EXPECT_EQ(admin.Send("GET", "/v1/containers/web", "", {{"If-None-Match", tag}}).status, 304);
  const json::value patch = {{"labels", {{"app", "web"}}}};
  EXPECT_LT(admin.Patch("/v1/containers/web", patch, {{"If-Match", tag}}).status, 300);
  const Answer stale = admin.Patch("/v1/containers/web", patch, {{"If-Match", tag}});
  EXPECT_EQ(stale.status, 412) << stale.text;
  EXPECT_THAT(stale.Text("detail"), HasSubstr("web"));
  EXPECT_EQ(admin.Send("GET", "/v1/containers/web", "", {{"If-None-Match", tag}}).status, 200);
  const Answer nonsense = admin.Patch("/v1/containers/web", patch, {{"If-Match", "x"}});
  EXPECT_EQ(nonsense.status, 400);
}

TEST_F(RestImageTest, ARepeatedWriteWithItsKeyAnswersTheSameAndHappensOnce) {
  Person admin = Admin();
  Upload(admin, "not really a tar");
  const std::string body = json::serialize(WebContainer());
  const HeaderList key = {{"Idempotency-Key", "k1"}};

  const Answer first = admin.Send("POST", "/v1/containers", body, key);
  const Answer again = admin.Send("POST", "/v1/containers", body, key);
  const Answer other =
      admin.Send("POST", "/v1/containers", R"({"name":"db","image":"busybox"})", key);

  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(again.status, 202) << again.text;
  EXPECT_EQ(again.Text("id"), first.Text("id"));
  EXPECT_EQ(other.Text("code"), "idempotency_key_reused") << other.text;
  EXPECT_EQ(admin.Get("/v1/containers").body.at("items").as_array().size(), 1u);
}

TEST_F(RestImageTest, AListComesInPagesAndFiltered) {
  Person admin = Admin();
  Upload(admin, "not really a tar");
  for (int i = 0; i < 5; ++i) {
    const json::value one = {{"name", "c" + std::to_string(i)},
                             {"image", "busybox"},
                             {"labels", {{"odd", i % 2 == 1 ? "yes" : "no"}}}};
    ASSERT_EQ(admin.Post("/v1/containers", one).status, 202);
  }
  std::vector<std::string> names;
  std::string cursor;
  do {
    const Answer page =
        admin.Get("/v1/containers?limit=2" + (cursor.empty() ? "" : "&cursor=" + cursor));
    for (const json::value& item : page.body.at("items").as_array()) {
      names.emplace_back(item.at("name").as_string());
    }
    cursor = page.Text("next_cursor");
  } while (!cursor.empty());

  EXPECT_THAT(names, ::testing::ElementsAre("c0", "c1", "c2", "c3", "c4"));
  const Answer odd = admin.Get("/v1/containers?filter=label.odd%3Dyes");
  EXPECT_EQ(odd.body.at("items").as_array().size(), 2u) << odd.text;
}

TEST_F(RestImageTest, EventsAreListedInOrderAndWhatIsTooOldIsGone) {
  Person admin = Admin();
  Upload(admin, "not really a tar");
  admin.Post("/v1/containers", WebContainer());

  const Answer events = admin.Get("/v1/events");

  ASSERT_EQ(events.status, 200) << events.text;
  EXPECT_THAT(events.text, AllOf(HasSubstr("container.created"), HasSubstr("image.")));
  int64_t before = 0;
  for (const json::value& event : events.body.at("items").as_array()) {
    const int64_t revision = event.at("revision").to_number<int64_t>();
    EXPECT_GE(revision, before);
    before = revision;
  }
}

TEST_F(RestTest, AWaitingGetOfAnOperationAnswersAtItsLimit) {
  Person admin = Admin();
  admin.Send("POST", "/v1/images?name=busybox&architecture=amd64", "not really a tar");
  const Answer created = admin.Post("/v1/containers", WebContainer());

  const Answer waited = admin.Get("/v1/operations/" + created.Text("id") + "?wait=1");

  EXPECT_EQ(waited.status, 200) << waited.text;
  EXPECT_THAT(waited.Text("state"), ::testing::AnyOf("pending", "running"));
  EXPECT_EQ(admin.Post("/v1/operations/" + created.Text("id") + "/cancel").status, 202);
}

TEST_F(RestTest, MetricsAreWhatPrometheusReads) {
  const Answer metrics = Admin().Get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.text, HasSubstr("# TYPE bramble_nodes gauge\n"));
  EXPECT_THAT(metrics.text, HasSubstr("bramble_nodes{state=\"ready\"} 0\n"));
}

}  // namespace
}  // namespace bramble::testing
