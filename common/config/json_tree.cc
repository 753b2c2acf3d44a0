#include "common/config/json_tree.h"

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

using nlohmann::json;

// Tells how far the parser has read.
class TrackedPosition {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedPosition(const char* at, const char** read) : at_(at), read_(read) {}
  reference operator*() const { return *at_; }
  TrackedPosition& operator++() {
    *read_ = ++at_;
    return *this;
  }
  TrackedPosition operator++(int) {
    TrackedPosition before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackedPosition& other) const { return at_ == other.at_; }
  bool operator!=(const TrackedPosition& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** read_;
};

// Builds the tree from nlohmann's events, each of which comes when its token has just been read.
class JsonTreeBuilder final : public nlohmann::json_sax<json> {
 public:
  JsonTreeBuilder(const std::string& path, const std::string& text)
      : path_(path), end_(text.data() + text.size()), counted_(text.data()), read_(text.data()) {}

  absl::StatusOr<ConfigNode> Build(const std::string& text) && {
    const TrackedPosition begin(text.data(), &read_), end(end_, &read_);
    if (!json::sax_parse(begin, end, this)) return status_;
    return std::move(root_);
  }

  bool null() override {
    ConfigNode node;
    node.text = "null";
    return Place(std::move(node)) != nullptr;
  }
  bool boolean(bool value) override { return Scalar(value ? "true" : "false", false); }
  bool number_integer(number_integer_t value) override {
    return Scalar(absl::StrCat(value), false);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Scalar(absl::StrCat(value), false);
  }
  bool number_float(number_float_t, const string_t& text) override { return Scalar(text, false); }
  bool string(string_t& value) override { return Scalar(value, true); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(ConfigNode::kMap); }
  bool start_array(std::size_t) override { return Open(ConfigNode::kList); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    GoToToken();
    key_ = name;
    key_line_ = line_;
    key_column_ = column_;
    GoTo(read_);
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    absl::string_view what = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const size_t end = what.find(": "); end != absl::string_view::npos) {
      what.remove_prefix(end + 2);
    }
    GoTo(read_);
    status_ = ConfigError(path_, line_, column_ > 1 ? column_ - 1 : 1, what);
    return false;
  }

 private:
  bool Scalar(std::string text, bool quoted) {
    ConfigNode node;
    node.kind = ConfigNode::kScalar;
    node.text = std::move(text);
    node.quoted = quoted;
    return Place(std::move(node)) != nullptr;
  }

  bool Open(ConfigNode::Kind kind) {
    ConfigNode node;
    node.kind = kind;
    ConfigNode* placed = Place(std::move(node));
    if (open_.size() >= kMaxConfigDepth) {
      status_ =
          ConfigError(path_, line_, column_,
                      absl::StrCat("more than ", kMaxConfigDepth, " values inside one another"));
      return false;
    }
    open_.push_back(placed);
    return true;
  }

  bool Close() {
    GoTo(read_);
    open_.pop_back();
    return true;
  }

  // Only the innermost container grows, so pointers to those around it stay valid.
  ConfigNode* Place(ConfigNode node) {
    GoToToken();
    node.line = line_;
    node.column = column_;
    const bool in_map = !open_.empty() && open_.back()->kind == ConfigNode::kMap;
    GoTo(read_);
    if (in_map) {
      node.key = std::move(key_);
      node.key_line = key_line_;
      node.key_column = key_column_;
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    open_.back()->children.push_back(std::move(node));
    return &open_.back()->children.back();
  }

  // To where the token that was read begins: what lies between tokens is known.
  void GoToToken() {
    const char* at = counted_;
    while (at < read_ && absl::StrContains(" \t\r\n,:", *at)) ++at;
    GoTo(at);
  }

  void GoTo(const char* at) {
    for (; counted_ < at && counted_ < end_; ++counted_) {
      ++column_;
      if (*counted_ == '\n') {
        ++line_;
        column_ = 1;
      }
    }
  }

  const std::string& path_;
  const char* const end_;
  const char* counted_;  // line_ and column_ are its
  int line_ = 1, column_ = 1;
  const char* read_;  // by the parser
  ConfigNode root_;
  std::vector<ConfigNode*> open_;  // maps and lists, from the outermost
  std::string key_;                // of the innermost map, whose value follows
  int key_line_ = 0, key_column_ = 0;
  absl::Status status_ = absl::InvalidArgumentError("is not JSON");
};

}  // namespace

absl::StatusOr<ConfigNode> ReadJsonTree(const std::string& path, const std::string& text) {
  return JsonTreeBuilder(path, text).Build(text);
}

}  // namespace reckon
