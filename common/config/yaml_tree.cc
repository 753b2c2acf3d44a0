#include "common/config/yaml_tree.h"

#include <yaml.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// One event of libyaml, freed with it.
class YamlEvent {
 public:
  YamlEvent() = default;
  ~YamlEvent() { yaml_event_delete(&event_); }
  YamlEvent(const YamlEvent&) = delete;
  YamlEvent& operator=(const YamlEvent&) = delete;
  yaml_event_t* get() { return &event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_ = {};
};

bool IsNull(absl::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

class YamlTreeReader {
 public:
  YamlTreeReader(const std::string& path, const std::string& text) : path_(path) {
    good_ = yaml_parser_initialize(&parser_) != 0;
    if (!good_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~YamlTreeReader() {
    if (good_) yaml_parser_delete(&parser_);
  }
  YamlTreeReader(const YamlTreeReader&) = delete;
  YamlTreeReader& operator=(const YamlTreeReader&) = delete;

  absl::StatusOr<ConfigNode> Read() {
    if (!good_) return absl::ResourceExhaustedError(path_ + ": no memory for a YAML parser");
    while (true) {
      YamlEvent event;
      if (yaml_parser_parse(&parser_, event.get()) == 0) return Malformed();
      if (event->type == YAML_STREAM_END_EVENT) break;
      RETURN_IF_ERROR(Take(event));
    }
    if (open_.empty() && documents_ == 0) {  // an empty file sets nothing
      root_.kind = ConfigNode::kMap;
    }
    return std::move(root_);
  }

 private:
  absl::Status Take(const YamlEvent& event) {
    switch (event->type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) return At(event, "a config is one document; delete what follows ---");
        return absl::OkStatus();
      case YAML_ALIAS_EVENT:
        return At(event, "an alias (*) is not accepted; write the value itself, or set base");
      case YAML_SCALAR_EVENT:
        return AddScalar(event);
      case YAML_MAPPING_START_EVENT:
        return Open(event, ConfigNode::kMap, event->data.mapping_start.tag);
      case YAML_SEQUENCE_START_EVENT:
        return Open(event, ConfigNode::kList, event->data.sequence_start.tag);
      case YAML_MAPPING_END_EVENT:
      case YAML_SEQUENCE_END_EVENT:
        open_.pop_back();
        return absl::OkStatus();
      default:
        return absl::OkStatus();
    }
  }

  absl::Status AddScalar(const YamlEvent& event) {
    const auto& scalar = event->data.scalar;
    if (scalar.tag != nullptr) return HasTag(event);
    std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const bool quoted = scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!open_.empty() && open_.back()->kind == ConfigNode::kMap && !has_key_) {
      has_key_ = true;
      key_ = std::move(text);
      key_mark_ = event->start_mark;
      return absl::OkStatus();
    }
    ConfigNode node;
    node.kind = !quoted && IsNull(text) ? ConfigNode::kNull : ConfigNode::kScalar;
    node.quoted = quoted;
    node.text = std::move(text);
    Place(event, std::move(node));
    return absl::OkStatus();
  }

  absl::Status Open(const YamlEvent& event, ConfigNode::Kind kind, const yaml_char_t* tag) {
    if (tag != nullptr) return HasTag(event);
    if (!open_.empty() && open_.back()->kind == ConfigNode::kMap && !has_key_) {
      return At(event, "a key must be the name of a field");
    }
    if (open_.size() >= kMaxConfigDepth) {
      return At(event, absl::StrCat("more than ", kMaxConfigDepth, " values inside one another"));
    }
    ConfigNode node;
    node.kind = kind;
    open_.push_back(Place(event, std::move(node)));
    return absl::OkStatus();
  }

  // Only the innermost container grows, so pointers to those around it stay valid.
  ConfigNode* Place(const YamlEvent& event, ConfigNode node) {
    node.line = static_cast<int>(event->start_mark.line) + 1;
    node.column = static_cast<int>(event->start_mark.column) + 1;
    if (has_key_) {
      node.key = std::move(key_);
      node.key_line = static_cast<int>(key_mark_.line) + 1;
      node.key_column = static_cast<int>(key_mark_.column) + 1;
      has_key_ = false;
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    open_.back()->children.push_back(std::move(node));
    return &open_.back()->children.back();
  }

  absl::Status HasTag(const YamlEvent& event) const {
    return At(event, "a tag (!) is not accepted; the field says what its value is");
  }

  absl::Status At(const YamlEvent& event, absl::string_view what) const {
    return ConfigError(path_, static_cast<int>(event->start_mark.line) + 1,
                       static_cast<int>(event->start_mark.column) + 1, what);
  }

  absl::Status Malformed() const {
    if (parser_.error == YAML_MEMORY_ERROR) {
      return absl::ResourceExhaustedError(path_ + ": no memory to read it");
    }
    const char* problem = parser_.problem == nullptr ? "is not YAML" : parser_.problem;
    // Where bytes are no characters there is no mark yet.
    if (parser_.error == YAML_READER_ERROR) {
      return ConfigError(path_, static_cast<int>(parser_.mark.line) + 1,
                         static_cast<int>(parser_.mark.column) + 1, problem);
    }
    return ConfigError(path_, static_cast<int>(parser_.problem_mark.line) + 1,
                       static_cast<int>(parser_.problem_mark.column) + 1, problem);
  }

  const std::string& path_;
  yaml_parser_t parser_ = {};
  bool good_ = false;
  int documents_ = 0;
  ConfigNode root_;
  std::vector<ConfigNode*> open_;  // maps and lists, from the outermost
  bool has_key_ = false;           // of the innermost map, whose value follows
  std::string key_;
  yaml_mark_t key_mark_ = {};
};

}  // namespace

absl::StatusOr<ConfigNode> ReadYamlTree(const std::string& path, const std::string& text) {
  return YamlTreeReader(path, text).Read();
}

}  // namespace reckon
