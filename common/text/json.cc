#include "common/text/json.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

using nlohmann::json;

// Builds the tree from nlohmann's events. The parser that sends them does not recurse, and a false
// return stops it, so depth and duplicates are refused before anything is built on them.
class TreeBuilder final : public nlohmann::json_sax<json> {
 public:
  explicit TreeBuilder(int max_depth) : max_depth_(max_depth) {}

  bool null() override { return Add(json()); }
  bool boolean(bool value) override { return Add(json(value)); }
  bool number_integer(number_integer_t value) override { return Add(json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(json(value)); }
  bool string(string_t& value) override { return Add(json(std::move(value))); }
  bool binary(binary_t&) override { return Fail("binary value"); }
  bool start_object(std::size_t) override { return Open(json::object()); }
  bool start_array(std::size_t) override { return Open(json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    auto [field, is_new] = open_.back()->get_ref<json::object_t&>().emplace(name, nullptr);
    if (!is_new) return Fail(absl::StrCat("key \"", Printable(name), "\" appears twice"));
    slot_ = &field->second;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    absl::string_view what = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (size_t end = what.find("] "); end != absl::string_view::npos) what.remove_prefix(end + 2);
    return Fail(Printable(what, 300));
  }

  json& tree() { return tree_; }
  const std::string& error() const { return error_; }

 private:
  json* Place(json value) {
    if (open_.empty()) {
      tree_ = std::move(value);
      return &tree_;
    }
    if (open_.back()->is_array()) {
      auto& items = open_.back()->get_ref<json::array_t&>();
      items.push_back(std::move(value));
      return &items.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool Add(json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(json value) {
    if (open_.size() >= static_cast<size_t>(max_depth_)) {
      return Fail(absl::StrCat("more than ", max_depth_, " arrays and objects inside one another"));
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  bool Fail(std::string error) {
    error_ = std::move(error);
    return false;
  }

  const int max_depth_;
  json tree_;
  // Only the innermost container grows, so pointers to those around it stay valid.
  std::vector<json*> open_;
  json* slot_ = nullptr;  // value of the object field whose key was read last
  std::string error_;
};

absl::Status WrongField(const json& object, absl::string_view name, absl::string_view wanted) {
  std::string field = absl::StrCat("\"", Printable(name), "\"");
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("field ", field, ": looked for in ", object.type_name(), ", not an object"));
  }
  const json* value = FindField(object, name);
  return absl::InvalidArgumentError(
      value == nullptr
          ? absl::StrCat("field ", field, " is missing, should be ", wanted)
          : absl::StrCat("field ", field, " is ", value->type_name(), ", should be ", wanted));
}

bool FitsInt64(const json& value) {
  if (value.is_number_unsigned()) {
    return value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  }
  return value.is_number_integer();
}

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text, int max_depth, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON of ", text.size(), " bytes, at most ", max_bytes, " are accepted"));
  }
  TreeBuilder builder(max_depth);
  if (!json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(absl::StrCat("JSON: ", builder.error()));
  }
  return std::move(builder.tree());
}

const json* FindField(const json& object, absl::string_view name) {
  if (!object.is_object()) return nullptr;
  auto field = object.find(std::string(name));
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

const json* FindPath(const json& object, absl::string_view path) {
  if (const json* whole = FindField(object, path); whole != nullptr) return whole;
  const json* at = &object;
  for (absl::string_view step : absl::StrSplit(path, '.')) {
    uint32_t index;
    if (!at->is_array()) {
      at = FindField(*at, step);
    } else if (absl::SimpleAtoi(step, &index) && index < at->size()) {
      at = &(*at)[index];
    } else {
      return nullptr;
    }
    if (at == nullptr || at->is_null()) return nullptr;
  }
  return at;
}

absl::StatusOr<std::string> GetString(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !value->is_string()) return WrongField(object, name, "a string");
  return value->get_ref<const std::string&>();
}

absl::StatusOr<int64_t> GetInt(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !FitsInt64(*value)) return WrongField(object, name, "a 64-bit integer");
  return value->get<int64_t>();
}

absl::StatusOr<double> GetDouble(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !value->is_number()) return WrongField(object, name, "a number");
  return value->get<double>();
}

absl::StatusOr<bool> GetBool(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !value->is_boolean()) return WrongField(object, name, "true or false");
  return value->get<bool>();
}

absl::StatusOr<const json*> GetObject(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !value->is_object()) return WrongField(object, name, "an object");
  return value;
}

absl::StatusOr<const json*> GetArray(const json& object, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr || !value->is_array()) return WrongField(object, name, "an array");
  return value;
}

absl::StatusOr<std::string> GetStringOr(const json& object, absl::string_view name,
                                        absl::string_view otherwise) {
  if (object.is_object() && FindField(object, name) == nullptr) return std::string(otherwise);
  return GetString(object, name);
}

absl::StatusOr<int64_t> GetIntOr(const json& object, absl::string_view name, int64_t otherwise) {
  if (object.is_object() && FindField(object, name) == nullptr) return otherwise;
  return GetInt(object, name);
}

absl::StatusOr<double> GetDoubleOr(const json& object, absl::string_view name, double otherwise) {
  if (object.is_object() && FindField(object, name) == nullptr) return otherwise;
  return GetDouble(object, name);
}

absl::StatusOr<bool> GetBoolOr(const json& object, absl::string_view name, bool otherwise) {
  if (object.is_object() && FindField(object, name) == nullptr) return otherwise;
  return GetBool(object, name);
}

}  // namespace reckon
