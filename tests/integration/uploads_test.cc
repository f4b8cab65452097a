// SPDX-License-Identifier: Apache-2.0
// Uploads of images that are interrupted, against a real controller.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/run_on_loop.h"
#include "base/strings.h"
#include "base/timer.h"
#include "base/tls.h"
#include "tests/integration/controller_process.h"

namespace bramble::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string SomeBytes(size_t size) {
  std::string bytes;
  for (int i = 0; bytes.size() < size; ++i) {
    bytes += StrCat(i * 2654435761u, "\n");
  }
  bytes.resize(size);
  return bytes;
}

class UploadsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    controller_.Start();
    admin_.emplace(controller_, controller_.Token());
  }
  Answer Begin(size_t size, std::string sha256 = "") {
    json::object body = {{"size_bytes", size}};
    if (!sha256.empty()) {
      body["sha256"] = sha256;
    }
    return admin_->Post("/v1/uploads", body);
  }
  Answer Put(const std::string& id, size_t first, const std::string& bytes, size_t size) {
    return admin_->Send(
        "PATCH", "/v1/uploads/" + id, bytes,
        {{"Content-Range", StrCat("bytes ", first, "-", first + bytes.size() - 1, "/", size)}});
  }
  Answer Finish(const std::string& id, const std::string& sha256, HeaderList headers = {}) {
    return admin_->Send(
        "POST", StrCat("/v1/images?name=big&architecture=amd64&sha256=", sha256, "&upload=", id),
        "", std::move(headers));
  }
  int64_t Offset(const std::string& id) {
    const Answer about = admin_->Get("/v1/uploads/" + id);
    EXPECT_EQ(about.status, 200) << about.text;
    return about.status == 200 ? about.body.at("offset").as_int64() : -1;
  }
  void Restart() {
    controller_.Kill();
    controller_.Start();
    admin_.emplace(controller_, controller_.Token());
  }
  // Says that it sends all of `bytes`, sends the first `count` of them, and is gone.
  void SendAndVanish(const std::string& id, size_t first, const std::string& bytes, size_t count,
                     size_t size) {
    asio::io_context loop;
    RunOnLoop(loop, Vanish(&controller_, id, first, bytes, count, size));
  }
  static asio::awaitable<void> Vanish(ControllerProcess* controller, std::string id, size_t first,
                                      std::string bytes, size_t count, size_t size) {
    TlsClientOptions options;
    options.check = IssuedByCa{controller->Ca()};
    auto tls = TlsClientContext::Make(std::move(options)).value();
    HostPort target{"127.0.0.1", controller->people_port()};
    auto stream =
        co_await TlsStream::Connect(std::move(tls), std::move(target), std::chrono::seconds(10));
    EXPECT_TRUE(stream.ok()) << stream.status();
    const std::string head = StrCat(
        "PATCH /v1/uploads/", id, " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ",
        controller->Token(), "\r\nContent-Length: ", bytes.size(), "\r\nContent-Range: bytes ",
        first, "-", first + bytes.size() - 1, "/", size, "\r\n\r\n", bytes.substr(0, count));
    const absl::Status sent = co_await (*stream)->Write(head);
    EXPECT_TRUE(sent.ok()) << sent;
    (*stream)->Close();
  }

  ControllerProcess controller_;
  std::optional<Person> admin_;
};

TEST_F(UploadsTest, AnUploadThatIsCutOffAtAnyOffsetGoesOnThere) {
  const std::string bytes = SomeBytes(3'500'000);
  const std::string sha256 = Sha256(bytes).Hex();
  const std::string id = Begin(bytes.size(), sha256).Text("id");
  size_t at = 0;
  for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}, size_t{1} << 20,
                             (size_t{1} << 20) + 1, size_t{700'000}}) {
    SendAndVanish(id, at, bytes.substr(at), count, bytes.size());
    at += count;
    ASSERT_TRUE(Eventually([&] { return Offset(id) == static_cast<int64_t>(at); }))
        << "cut off after " << count << ": " << Offset(id) << " instead of " << at;
  }
  EXPECT_EQ(Begin(bytes.size(), sha256).Text("id"), id) << "whoever begins it again goes on";
  const Answer rest = Put(id, at, bytes.substr(at), bytes.size());
  ASSERT_EQ(rest.status, 200) << rest.text;
  ASSERT_EQ(Finish(id, sha256).status, 201);
  const Answer blob = admin_->Get(StrCat("/v1/images/big/blobs/", sha256));
  EXPECT_EQ(blob.text, bytes);
  EXPECT_EQ(admin_->Get("/v1/uploads/" + id).status, 404) << "it has ended";
}

TEST_F(UploadsTest, AControllerThatIsKilledInTheMiddleGoesOnWhereItWas) {
  const std::string bytes = SomeBytes(2'500'000);
  const std::string sha256 = Sha256(bytes).Hex();
  const std::string id = Begin(bytes.size(), sha256).Text("id");
  ASSERT_EQ(Put(id, 0, bytes.substr(0, 1'200'000), bytes.size()).status, 200);
  Restart();
  ASSERT_EQ(Offset(id), 1'200'000);
  ASSERT_EQ(Put(id, 1'200'000, bytes.substr(1'200'000), bytes.size()).status, 200);
  Restart();
  const Answer made = Finish(id, sha256, {{"Idempotency-Key", "once"}});
  ASSERT_EQ(made.status, 201) << made.text;
  // Its answer was lost: it is asked again, also after another restart.
  EXPECT_EQ(Finish(id, sha256, {{"Idempotency-Key", "once"}}).text, made.text);
  Restart();
  EXPECT_EQ(Finish(id, sha256).status, 201);
  EXPECT_EQ(admin_->Get(StrCat("/v1/images/big/blobs/", sha256)).text, bytes);
}

TEST_F(UploadsTest, WhatDoesNotFitIsRefusedAndHarmsNothing) {
  const std::string bytes = SomeBytes(1000);
  const std::string id = Begin(bytes.size()).Text("id");
  ASSERT_EQ(Put(id, 0, bytes.substr(0, 400), bytes.size()).status, 200);
  for (const size_t overlapping : {size_t{0}, size_t{399}, size_t{401}, size_t{900}}) {
    const Answer refused = Put(id, overlapping, "xy", bytes.size());
    EXPECT_EQ(refused.status, 409) << overlapping;
    EXPECT_EQ(refused.Text("code"), "wrong_offset");
    EXPECT_THAT(refused.Text("detail"), HasSubstr("byte 400"));
  }
  EXPECT_EQ(Put(id, 400, bytes.substr(400), 2000).status, 400) << "another size";
  for (const char* bad : {"", "bytes 400-999", "bytes 400-1000/1000", "bytes 500-400/1000",
                          "items 400-999/1000", "bytes -400-999/1000"}) {
    const Answer refused =
        admin_->Send("PATCH", "/v1/uploads/" + id, bytes.substr(400), {{"Content-Range", bad}});
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_THAT(refused.Text("detail"), HasSubstr("Content-Range")) << bad;
  }
  EXPECT_EQ(Finish(id, "").status, 409) << "not whole";
  ASSERT_EQ(Offset(id), 400);
  ASSERT_EQ(Put(id, 400, bytes.substr(400), bytes.size()).status, 200);
  EXPECT_EQ(Finish(id, std::string(64, '0')).status, 400) << "other bytes than said";
  EXPECT_EQ(admin_->Get("/v1/uploads/" + id).status, 404) << "nothing of it is left";
  EXPECT_EQ(admin_->Get("/v1/images/big").status, 404);
  EXPECT_EQ(admin_->Get("/v1/uploads").body.at("items").as_array().size(), 0u);
  EXPECT_EQ(Begin(0).status, 400);
  EXPECT_EQ(Begin(10, "not a digest").status, 400);
  EXPECT_EQ(Finish("nosuch", "").status, 404);
}

TEST_F(UploadsTest, UploadsAreFewAndCanBeRemoved) {
  std::string last;
  for (int i = 0; i < 32; ++i) {
    const Answer begun = Begin(10);
    ASSERT_EQ(begun.status, 201) << begun.text;
    last = begun.Text("id");
  }
  const Answer refused = Begin(10);
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.Text("detail"), HasSubstr("32 are under way"));
  EXPECT_EQ(admin_->Delete("/v1/uploads/" + last).status, 204);
  EXPECT_EQ(admin_->Delete("/v1/uploads/" + last).status, 404);
  EXPECT_EQ(Begin(10).status, 201);
  Person nobody(controller_, "");
  EXPECT_EQ(nobody.Get("/v1/uploads").status, 401);
  EXPECT_EQ(nobody.Post("/v1/uploads", {{"size_bytes", 1}}).status, 401);
}

TEST_F(UploadsTest, ABlobIsDownloadedInPartsAndOnlyByTheNameOfItsImage) {
  const std::string bytes = SomeBytes(100'000);
  const std::string sha256 = Sha256(bytes).Hex();
  ASSERT_EQ(admin_->Send("POST", "/v1/images?name=big&architecture=amd64", bytes).status, 201);
  ASSERT_EQ(admin_->Send("POST", "/v1/images?name=other&architecture=amd64", "x").status, 201);
  const std::string target = StrCat("/v1/images/big/blobs/", sha256);
  const std::string etag = StrCat("\"", sha256, "\"");
  const auto part = [&](std::string range, std::string if_range) {
    HeaderList headers = {{"Range", range}};
    if (!if_range.empty()) {
      headers.Add("If-Range", if_range);
    }
    return admin_->Send("GET", target, "", headers);
  };
  EXPECT_EQ(part("bytes=10-19", "").text, bytes.substr(10, 10));
  EXPECT_EQ(part("bytes=99990-", etag).text, bytes.substr(99'990));
  EXPECT_EQ(part("bytes=10-19", "\"another\"").text, bytes) << "it is another file by now";
  EXPECT_EQ(part("bytes=100000-", "").status, 416);
  EXPECT_EQ(admin_->Get(StrCat("/v1/images/other/blobs/", sha256)).status, 404);
  EXPECT_EQ(admin_->Get("/v1/images/big/blobs/..%2F..%2Fca.key").status, 404);
}

TEST(UploadQuotaTest, WhatTakesTheRoomIsNamed) {
  ControllerProcess controller("[limits]\nimages = \"2MiB\"\nimages_per_project = \"600KiB\"\n");
  controller.Start();
  Person admin(controller, controller.Token());
  ASSERT_EQ(
      admin.Send("POST", "/v1/images?name=first&architecture=amd64", SomeBytes(500'000)).status,
      201);
  const Answer whole = admin.Post("/v1/uploads", {{"size_bytes", 1'700'000}});
  EXPECT_EQ(whole.status, 429);
  EXPECT_THAT(whole.Text("detail"), AllOf(HasSubstr("limits.images"), HasSubstr("first:latest"),
                                          HasSubstr("bramble image prune")));
  const Answer project =
      admin.Send("POST", "/v1/images?name=second&architecture=amd64", SomeBytes(400'000));
  EXPECT_EQ(project.status, 429);
  EXPECT_THAT(project.Text("detail"),
              AllOf(HasSubstr("limits.images_per_project"), HasSubstr("project \"default\""),
                    HasSubstr("first:latest")));
  // The same again is no more than it was.
  EXPECT_EQ(
      admin.Send("POST", "/v1/images?name=first&architecture=amd64", SomeBytes(400'001)).status,
      201)
      << "in place of its older bytes";
}

TEST_F(UploadsTest, AliasesVisibilityAndPruneOverRest) {
  for (const char* name : {"debian", "alpine", "used"}) {
    ASSERT_EQ(
        admin_->Send("POST", StrCat("/v1/images?name=", name, "&architecture=amd64"), name).status,
        201);
  }
  const Answer changed = admin_->Patch(
      "/v1/images/debian", {{"visibility", "public"}, {"aliases", json::array{"stable"}}});
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.Text("visibility"), "public");
  EXPECT_EQ(admin_->Get("/v1/images/stable").Text("name"), "debian");
  EXPECT_EQ(admin_->Patch("/v1/images/alpine", {{"aliases", json::array{"debian"}}}).status, 409);
  EXPECT_EQ(admin_->Patch("/v1/images/alpine", {{"aliases", json::array{"../x"}}}).status, 400);
  EXPECT_EQ(admin_->Patch("/v1/images/alpine", {{"visibility", "some"}}).status, 400);
  EXPECT_EQ(admin_->Send("POST", "/v1/images?name=stable&architecture=amd64", "x").status, 409);
  EXPECT_EQ(admin_->Get("/v1/images?filter=visibility%3Dpublic").body.at("items").as_array().size(),
            1u);
  ASSERT_EQ(admin_->Post("/v1/containers", {{"name", "web"}, {"image", "stable"}}).status, 202);
  ASSERT_EQ(admin_->Post("/v1/containers", {{"name", "db"}, {"image", "used"}}).status, 202);
  EXPECT_FALSE(admin_->Get("/v1/images/debian").Text("last_used_at").empty());
  EXPECT_EQ(admin_->Delete("/v1/images/debian").status, 409) << "in use by its alias";

  const Answer would = admin_->Post("/v1/prune/images", {{"dry_run", true}});
  ASSERT_EQ(would.status, 200) << would.text;
  ASSERT_EQ(would.body.at("images").as_array().size(), 1u) << would.text;
  EXPECT_EQ(would.body.at("images").as_array()[0].at("name").as_string(), "alpine");
  EXPECT_EQ(would.body.at("freed_bytes").as_int64(), 6);
  EXPECT_EQ(admin_->Get("/v1/images/alpine").status, 200) << "it was only asked";
  EXPECT_EQ(admin_->Post("/v1/prune/images", {{"unused_for_s", 3600}})
                .body.at("images")
                .as_array()
                .size(),
            0u)
      << "it is too new";
  EXPECT_EQ(admin_->Post("/v1/prune/images").status, 200);
  EXPECT_EQ(admin_->Get("/v1/images/alpine").status, 404);
  EXPECT_EQ(admin_->Get("/v1/images/stable").status, 200);
  EXPECT_EQ(admin_->Post("/v1/prune/images", {{"dry", true}}).status, 400);
}

}  // namespace
}  // namespace bramble::testing
