// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every Store does.  A suite makes one by `Make`, and has it work by `Settle`.

#include <functional>
#include <memory>

#include "controller/store/store.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {

struct StoreUnderTest {
  std::shared_ptr<void> keep;  // whatever the store lives on
  Store* store = nullptr;
  std::function<void()> settle;  // returns when all commits were answered
};

class StoreContract : public testing::TestWithParam<std::function<StoreUnderTest()>> {
 protected:
  static Transaction MakeTransaction(uint64_t revision, std::vector<Row> put) {
    Transaction transaction;
    transaction.revision = revision;
    transaction.put = std::move(put);
    transaction.audit = {.time_ms = 1, .actor = "user:admin", .action = "test"};
    return transaction;
  }
  static Row NodeRow(const std::string& id, const std::string& doc) {
    return {.kind = RowKind::kNode,
            .id = id,
            .name = "name-" + id,
            .state = "ready",
            .generation = 3,
            .doc = doc};
  }

  StoreUnderTest under_test_ = GetParam()();
  Store& store_ = *under_test_.store;
};

TEST_P(StoreContract, IsEmptyAtFirst) {
  const auto snapshot = store_.Load();

  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->revision, 0u);
  EXPECT_TRUE(snapshot->rows.empty());
  EXPECT_FALSE(snapshot->restored);
}

TEST_P(StoreContract, GivesBackWhatWasCommitted) {
  absl::Status answer = absl::UnknownError("not called");
  Transaction transaction = MakeTransaction(1, {NodeRow("n1", R"({"a":1})")});
  transaction.events = {{"node.joined", "node", "n1", R"({"revision":1})"}};

  store_.Commit(std::move(transaction), [&](absl::Status status) { answer = status; });
  EXPECT_FALSE(answer.ok()) << "never from within the call";
  under_test_.settle();

  EXPECT_TRUE(answer.ok()) << answer;
  const auto snapshot = store_.Load();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->revision, 1u);
  ASSERT_EQ(snapshot->rows.size(), 1u);
  EXPECT_EQ(snapshot->rows[0].name, "name-n1");
  EXPECT_EQ(snapshot->rows[0].state, "ready");
  EXPECT_EQ(snapshot->rows[0].generation, 3u);
  EXPECT_EQ(snapshot->rows[0].doc, R"({"a":1})");
  ASSERT_EQ(snapshot->events.size(), 1u);
  EXPECT_EQ(snapshot->events[0].doc, R"({"revision":1})");
}

TEST_P(StoreContract, ReplacesAndErasesInOrder) {
  store_.Commit(MakeTransaction(1, {NodeRow("n1", "{}"), NodeRow("n2", "{}")}),
                [](absl::Status) {});
  Transaction second = MakeTransaction(2, {NodeRow("n1", R"({"b":2})")});
  second.erase = {{RowKind::kNode, "n2"}};
  store_.Commit(std::move(second), [](absl::Status) {});
  under_test_.settle();

  const auto snapshot = store_.Load();
  ASSERT_TRUE(snapshot.ok());
  ASSERT_EQ(snapshot->rows.size(), 1u);
  EXPECT_EQ(snapshot->rows[0].doc, R"({"b":2})");
}

TEST_P(StoreContract, AnswersInOrderOfTheCommits) {
  std::vector<int> order;
  for (int i = 1; i <= 50; ++i) {
    store_.Commit(MakeTransaction(static_cast<uint64_t>(i), {NodeRow("n1", "{}")}),
                  [&order, i](absl::Status status) {
                    EXPECT_TRUE(status.ok()) << status;
                    order.push_back(i);
                  });
  }
  under_test_.settle();

  EXPECT_EQ(order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_P(StoreContract, FailsEverythingAfterAFailureUntilItIsLoadedAgain) {
  std::vector<bool> answers;
  auto note = [&answers](absl::Status status) { answers.push_back(status.ok()); };
  store_.Commit(MakeTransaction(1, {NodeRow("n1", "{}")}), note);
  under_test_.settle();
  store_.Commit(MakeTransaction(7, {NodeRow("n7", "{}")}), note);  // revisions 2 to 6 are missing
  under_test_.settle();
  store_.Commit(MakeTransaction(2, {NodeRow("n2", "{}")}), note);
  under_test_.settle();
  const auto snapshot = store_.Load();
  store_.Commit(MakeTransaction(2, {NodeRow("n2", "{}")}), note);
  under_test_.settle();

  EXPECT_THAT(answers, testing::ElementsAre(true, false, false, true));
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(snapshot->revision, 1u);
  EXPECT_EQ(snapshot->rows.size(), 1u) << "nothing half-applied";
}

}  // namespace bramble::controller
