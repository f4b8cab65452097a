// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/output.h"

#include "base/status.h"
#include "tools/bramble/yaml.h"

namespace bramble::cli {
namespace {

constexpr size_t kMaxAnswerBytes = 64 << 20;
constexpr size_t kMaxPages = 1000;

absl::StatusOr<json::value> ParseAnswer(const std::string& body) {
  absl::StatusOr<json::value> value = ParseJson(body, kMaxAnswerBytes);
  if (!value.ok()) {
    return absl::DataLossError(
        StrCat("the controller's answer is not JSON (", value.status().message(),
               "); is --controller a Bramble controller of the same version?"));
  }
  return value;
}

// The whole list, and its body as it came when one page held it all.
struct Listing {
  json::value answer;
  std::string body;
};

absl::StatusOr<Listing> GetAllPages(Session& session, const Resource& resource,
                                    const std::string& filter) {
  Listing all;
  std::string cursor;
  for (size_t page = 0; page < kMaxPages; ++page) {
    ApiRequest request = Get(ApiPath({resource.collection}));
    if (!filter.empty()) {
      request.query.emplace_back("filter", filter);
    }
    if (!cursor.empty()) {
      request.query.emplace_back("cursor", cursor);
    }
    BRAMBLE_ASSIGN_OR_RETURN(ApiReply reply, session.controller.Send(std::move(request)));
    BRAMBLE_ASSIGN_OR_RETURN(json::value value, ParseAnswer(reply.body));
    json::value* items = value.is_object() ? value.get_object().if_contains("items") : nullptr;
    if (items == nullptr || !items->is_array()) {
      return absl::DataLossError(
          StrCat("the controller's list of ", resource.collection, " has no items"));
    }
    cursor = TextAt(value, "next_cursor");
    if (page == 0) {
      all.answer = std::move(value);
      all.body = std::move(reply.body);
    } else {
      json::array& into = all.answer.get_object()["items"].get_array();
      for (json::value& item : items->get_array()) {
        into.push_back(std::move(item));
      }
    }
    if (cursor.empty()) {
      if (page > 0) {
        all.answer.get_object().erase("next_cursor");
        all.body = json::serialize(all.answer);
      }
      return all;
    }
  }
  return absl::ResourceExhaustedError(
      StrCat(resource.collection, ": more than ", kMaxPages, " pages; narrow it by --filter"));
}

std::string JoinedFilter(const Args& args) {
  std::string joined;
  for (const std::string& filter : args.Texts("filter")) {
    joined = StrCat(joined, joined.empty() ? "" : ",", filter);
  }
  return joined;
}

std::string WithNewline(const std::string& body) {
  return !body.empty() && body.back() == '\n' ? body : body + "\n";
}

}  // namespace

Format FormatOf(const Args& args) {
  const std::string text = args.Text("output", "table");
  return text == "json"   ? Format::kJson
         : text == "yaml" ? Format::kYaml
         : text == "name" ? Format::kName
                          : Format::kTable;
}

std::string NameOf(const Resource& resource, const json::value& object) {
  return resource.name != nullptr ? resource.name(object) : TextAt(object, "name");
}

absl::Status PrintObject(const Args& args, Session& session, const Resource& resource,
                         const std::string& body) {
  const Format format = FormatOf(args);
  if (format == Format::kJson) {
    session.out << WithNewline(body);
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value object, ParseAnswer(body));
  if (format == Format::kYaml) {
    session.out << ToYaml(object);
  } else if (format == Format::kName) {
    session.out << NameOf(resource, object) << '\n';
  } else {
    session.out << RenderDetails(resource.columns, object, session.clock.Wall(),
                                 session.screen.colours);
  }
  return absl::OkStatus();
}

absl::StatusOr<json::array> GetItems(Session& session, const Resource& resource,
                                     const std::string& filter) {
  BRAMBLE_ASSIGN_OR_RETURN(Listing listing, GetAllPages(session, resource, filter));
  return std::move(listing.answer.get_object().at("items").get_array());
}

absl::Status PrintList(const Args& args, Session& session, const Resource& resource) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::vector<Column> columns, ChosenColumns(resource, args));
  BRAMBLE_ASSIGN_OR_RETURN(const Listing listing,
                           GetAllPages(session, resource, JoinedFilter(args)));
  const Format format = FormatOf(args);
  if (format == Format::kJson) {
    session.out << WithNewline(listing.body);
    return absl::OkStatus();
  }
  const json::array& items = listing.answer.get_object().at("items").get_array();
  if (format == Format::kYaml) {
    session.out << ToYaml(items);
    return absl::OkStatus();
  }
  if (format == Format::kName) {
    for (const json::value& item : items) {
      session.out << NameOf(resource, item) << '\n';
    }
    return absl::OkStatus();
  }
  std::vector<const json::value*> objects;
  for (const json::value& item : items) {
    objects.push_back(&item);
  }
  session.out << RenderTable(columns, objects, session.clock.Wall(), session.screen.colours);
  if (objects.empty() && session.screen.err_is_terminal) {
    session.err << "(no " << resource.collection << ")\n";
  }
  return absl::OkStatus();
}

absl::Status PrintOne(const Args& args, Session& session, const Resource& resource,
                      std::string_view name) {
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.controller.Send(Get(ApiPath({resource.collection, name}))));
  return PrintObject(args, session, resource, reply.body);
}

}  // namespace bramble::cli
