// SPDX-License-Identifier: Apache-2.0
#include "controller/network/zone.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bramble::controller {
namespace {

using ::testing::ElementsAre;

Ipv4 At(std::string_view text) { return Ipv4::Parse(text).value(); }

std::vector<std::string> Texts(const std::vector<api::NameRecord>& records) {
  std::vector<std::string> texts;
  for (const api::NameRecord& record : records) {
    std::string name = record.name;
    name.resize(name.size() - std::string_view(".bramble.internal").size());
    texts.push_back(name + " " + record.address.str() + (record.reverse ? " *" : ""));
  }
  return texts;
}

TEST(ZoneTest, NamesEverythingAndSaysWhatEachAddressIsCalled) {
  const std::vector<api::NameRecord> zone = BuildZone(
      {.controller = At("172.16.0.1"),
       .nodes = {{"pi-1", At("172.16.0.11")}},
       .containers =
           {{.name = "web",
             .project = "default",
             .address = At("172.16.0.64"),
             .floating = {At("172.16.0.225")},
             .service = "shop"},
            {.name = "web2", .project = "default", .address = At("172.16.0.65"), .service = "shop"},
            {.name = "web", .project = "other", .address = At("172.16.0.66")},
            {.name = "waiting", .project = "default"}},
       .reservations = {{"printer", At("172.16.0.5")}, {"web", At("172.16.0.6")}}});

  EXPECT_THAT(Texts(zone),
              ElementsAre("controller 172.16.0.1 *", "pi-1.node 172.16.0.11 *",
                          "printer 172.16.0.5 *", "shop.service 172.16.0.64",
                          "shop.service 172.16.0.65", "web-floating.default 172.16.0.225 *",
                          "web 172.16.0.64", "web.default 172.16.0.64 *", "web.other 172.16.0.66 *",
                          "web2 172.16.0.65", "web2.default 172.16.0.65 *"));
}

TEST(ZoneTest, WhatIsNotADnsLabelHasNoName) {
  const std::vector<api::NameRecord> zone = BuildZone(
      {.controller = At("172.16.0.1"),
       .nodes = {{"Bad Name", At("172.16.0.11")}},
       .containers = {{.name = "a\nb", .project = "default", .address = At("172.16.0.64")},
                      {.name = "ok",
                       .project = "default",
                       .address = At("172.16.0.65"),
                       .service = "no dots. please"}},
       .reservations = {{"x y", At("172.16.0.5")}}});
  EXPECT_THAT(Texts(zone),
              ElementsAre("controller 172.16.0.1 *", "ok 172.16.0.65", "ok.default 172.16.0.65 *"));
}

TEST(ZoneTest, AContainerCannotTakeTheControllersName) {
  const std::vector<api::NameRecord> zone = BuildZone(
      {.controller = At("172.16.0.1"),
       .containers = {{.name = "controller", .project = "default", .address = At("172.16.0.64")}}});
  EXPECT_THAT(Texts(zone),
              ElementsAre("controller 172.16.0.1 *", "controller.default 172.16.0.64 *"));
}

}  // namespace
}  // namespace bramble::controller
