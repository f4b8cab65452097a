// SPDX-License-Identifier: Apache-2.0
// /v1/events as a stream: in order, resumable, and gone where it is too old.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/store/sqlite_database.h"
#include "tests/integration/controller_process.h"

namespace bramble::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class EventsTest : public ::testing::Test {
 protected:
  void SetUp() override { controller_.Start(); }

  struct Seen {
    int status = 0;
    std::vector<std::string> types;
    std::string last_id;
  };
  // Reads the stream until `count` events came.
  Seen Read(HeaderList headers, size_t count) {
    BlockingHttpClient client(
        {.target = {.host = "127.0.0.1", .port = controller_.people_port()},
         .tls = TlsClientContext::Make({.check = IssuedByCa{controller_.Ca()}}).value()});
    HttpRequest request;
    request.target = "/v1/events";
    request.headers = std::move(headers);
    request.headers.Add("Accept", "text/event-stream");
    request.headers.Add("Authorization", "Bearer " + controller_.Token());
    Seen seen;
    const auto take = [&](std::string_view line) {
      if (line.starts_with("id: ")) {
        seen.last_id = line.substr(4);
      } else if (line.starts_with("event: ")) {
        seen.types.emplace_back(line.substr(7));
      }
      return seen.types.size() < count || !line.empty();
    };
    const auto reply = client.SendForLines(std::move(request), std::chrono::seconds(10), take);
    seen.status = reply.ok() ? reply->status : 0;
    return seen;
  }
  void MakeFlavor(Person& admin, const std::string& name) {
    const json::value flavor = {{"name", name},
                                {"resources", {{"cpu_milli", 100}, {"memory_bytes", 1 << 26}}}};
    ASSERT_EQ(admin.Post("/v1/flavors", flavor).status, 201);
  }

  ControllerProcess controller_;
};

TEST_F(EventsTest, AReaderThatComesBackMissesNothingAndSeesNothingTwice) {
  Person admin(controller_, controller_.Token());
  const std::string start = admin.Get("/v1/events").Text("revision");
  for (int i = 0; i < 6; ++i) {
    MakeFlavor(admin, "f" + std::to_string(i));
  }

  const Seen first = Read({{"Last-Event-ID", start}}, 4);
  const Seen rest = Read({{"Last-Event-ID", first.last_id}}, 2);

  EXPECT_EQ(first.status, 200);
  EXPECT_THAT(first.types, SizeIs(4));
  EXPECT_THAT(rest.types, SizeIs(2));
  EXPECT_EQ(std::stoull(rest.last_id), std::stoull(first.last_id) + 2);
}

TEST_F(EventsTest, AReaderThatWasCutOffBeforeTheFirstEventMissesNothing) {
  Person admin(controller_, controller_.Token());
  const Seen nothing = Read({}, 0);
  ASSERT_NE(nothing.last_id, "") << "an id before any event";
  MakeFlavor(admin, "meanwhile");

  EXPECT_THAT(Read({{"Last-Event-ID", nothing.last_id}}, 1).types, SizeIs(1));
}

TEST_F(EventsTest, ARevisionThatIsYetToComeIsRefused) {
  Person admin(controller_, controller_.Token());
  const Answer listed = admin.Get("/v1/events?after=1000000");
  EXPECT_EQ(listed.status, 410) << listed.text;
  EXPECT_THAT(listed.Text("detail"), HasSubstr("list"));
  EXPECT_EQ(Read({{"Last-Event-ID", "1000000"}}, 1).status, 410);
}

TEST_F(EventsTest, WhatIsOlderThanWhatIsKeptIsGone) {
  Person admin(controller_, controller_.Token());
  for (int i = 0; i < 3; ++i) {
    MakeFlavor(admin, "f" + std::to_string(i));
  }
  ASSERT_EQ(controller_.Stop(), 0);
  {
    auto database = controller::SqliteDatabase::Open(controller_.state() / "controller.db").value();
    const std::string newest = "(SELECT MAX(revision) FROM events)";
    ASSERT_TRUE(database.Exec("DELETE FROM events WHERE revision < " + newest).ok());
  }
  controller_.Start();

  Person later(controller_, controller_.Token());
  const Answer listed = later.Get("/v1/events?after=1");
  EXPECT_EQ(listed.status, 410) << listed.text;
  EXPECT_THAT(listed.Text("detail"), HasSubstr("list"));
  EXPECT_EQ(Read({{"Last-Event-ID", "1"}}, 1).status, 410);
  EXPECT_EQ(later.Get("/v1/events").status, 200) << "who does not ask for the past gets what is";
}

}  // namespace
}  // namespace bramble::testing
