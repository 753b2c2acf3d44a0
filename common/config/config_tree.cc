#include "common/config/config_tree.h"

#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"

namespace reckon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const FieldDescriptor* FindConfigField(const Descriptor& type, const std::string& key) {
  const FieldDescriptor* field = type.FindFieldByName(key);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(key);
}

bool IsMessageField(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

std::string EnumNames(const google::protobuf::EnumDescriptor& type) {
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) {
    absl::StrAppend(&names, i == 0 ? "" : ", ", type.value(i)->name());
  }
  return names;
}

// A whole number, also as JSON may write it: "5", "5.0", "1e3".
template <typename T>
bool ReadWhole(const std::string& text, T* value) {
  if (absl::SimpleAtoi(text, value)) return true;
  double number;
  if (!absl::SimpleAtod(text, &number) || std::floor(number) != number) return false;
  // Doubles above this do not hold every whole number.
  if (std::abs(number) > std::pow(2.0, 53) ||
      number < static_cast<double>(std::numeric_limits<T>::min()) ||
      number > static_cast<double>(std::numeric_limits<T>::max())) {
    return false;
  }
  *value = static_cast<T>(number);
  return true;
}

class TreeReader {
 public:
  TreeReader(const std::string& path, bool plain_strings, ConfigLines* lines)
      : path_(path), plain_strings_(plain_strings), lines_(lines) {}

  absl::Status FillMessage(const ConfigNode& node, const std::string& at, Message* message) {
    // A key without a value in YAML.
    if (plain_strings_ && node.kind == ConfigNode::kNull && node.text.empty()) {
      return absl::OkStatus();
    }
    if (node.kind != ConfigNode::kMap) return Wrong(node, at, "fields with their values");
    std::set<const FieldDescriptor*> given;
    for (const ConfigNode& child : node.children) {
      const FieldDescriptor* field = FindConfigField(*message->GetDescriptor(), child.key);
      if (field == nullptr) {
        return AtKey(child, absl::StrCat("no field named '", Printable(child.key), "'",
                                         SuggestField(*message->GetDescriptor(), child.key)));
      }
      if (!given.insert(field).second) {
        return AtKey(child,
                     absl::StrCat("'", field->name(), "' is given twice; delete one of them"));
      }
      RETURN_IF_ERROR(
          FillField(child, at.empty() ? field->name() : at + "." + field->name(), field, message));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status FillField(const ConfigNode& node, const std::string& at,
                         const FieldDescriptor* field, Message* message) {
    const bool empty = plain_strings_ && node.text.empty() && IsMessageField(field);
    if (node.kind == ConfigNode::kNull && (!empty || field->is_repeated())) {
      return absl::OkStatus();
    }
    const Reflection* reflection = message->GetReflection();
    if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr) {
      const FieldDescriptor* other = reflection->GetOneofFieldDescriptor(*message, oneof);
      if (other != nullptr) {
        return AtKey(node, absl::StrCat("'", other->name(), "' and '", field->name(),
                                        "' are in one entry; write an entry for each"));
      }
    }
    if (!field->is_repeated()) {
      Note(at, node.key_line);
      if (!IsMessageField(field)) return FillScalar(node, at, field, message);
      return FillMessage(node, at, reflection->MutableMessage(message, field));
    }
    if (node.kind != ConfigNode::kList) return Wrong(node, at, "a list");
    for (size_t i = 0; i < node.children.size(); ++i) {
      const ConfigNode& element = node.children[i];
      const std::string element_at = absl::StrCat(at, "[", i, "]");
      Note(element_at, element.line);
      if (IsMessageField(field)) {
        RETURN_IF_ERROR(FillMessage(element, element_at, reflection->AddMessage(message, field)));
      } else {
        RETURN_IF_ERROR(FillScalar(element, element_at, field, message));
      }
    }
    return absl::OkStatus();
  }

  absl::Status FillScalar(const ConfigNode& node, const std::string& at,
                          const FieldDescriptor* field, Message* message) {
    const Reflection* reflection = message->GetReflection();
    const bool list = field->is_repeated();
    if (node.kind != ConfigNode::kScalar) return Wrong(node, at, WantedBy(field));
    const std::string& text = node.text;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        if (!node.quoted && !plain_strings_) return Wrong(node, at, WantedBy(field));
        list ? reflection->AddString(message, field, text)
             : reflection->SetString(message, field, text);
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_BOOL:
        if (node.quoted || (text != "true" && text != "false")) {
          return Wrong(node, at, WantedBy(field));
        }
        list ? reflection->AddBool(message, field, text == "true")
             : reflection->SetBool(message, field, text == "true");
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_UINT32: {
        uint32_t value;
        if (!ReadWhole(text, &value)) return Wrong(node, at, WantedBy(field));
        list ? reflection->AddUInt32(message, field, value)
             : reflection->SetUInt32(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        uint64_t value;
        if (!ReadWhole(text, &value)) return Wrong(node, at, WantedBy(field));
        list ? reflection->AddUInt64(message, field, value)
             : reflection->SetUInt64(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        double value;
        if (!absl::SimpleAtod(text, &value)) return Wrong(node, at, WantedBy(field));
        list ? reflection->AddDouble(message, field, value)
             : reflection->SetDouble(message, field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const EnumValueDescriptor* value = field->enum_type()->FindValueByName(text);
        int32_t number;
        if (value == nullptr && absl::SimpleAtoi(text, &number)) {
          value = field->enum_type()->FindValueByNumber(number);
        }
        if (value == nullptr) return Wrong(node, at, WantedBy(field));
        list ? reflection->AddEnum(message, field, value)
             : reflection->SetEnum(message, field, value);
        return absl::OkStatus();
      }
      default:
        return absl::InternalError(absl::StrCat(at, ": the schema has no fields of this type"));
    }
  }

  static std::string WantedBy(const FieldDescriptor* field) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return "a text in quotes";
      case FieldDescriptor::CPPTYPE_BOOL:
        return "true or false";
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return "a number";
      case FieldDescriptor::CPPTYPE_ENUM:
        return "one of " + EnumNames(*field->enum_type());
      default:
        return "a whole number from 0";
    }
  }

  absl::Status Wrong(const ConfigNode& node, const std::string& at,
                     const std::string& wanted) const {
    const char* kinds[] = {"null", "", "fields", "a list"};
    const std::string is = node.kind == ConfigNode::kScalar
                               ? absl::StrCat("'", Printable(node.text), "'")
                               : std::string(kinds[node.kind]);
    return ConfigError(
        path_, node.line, node.column,
        absl::StrCat(at.empty() ? "" : at + ": ", "expected ", wanted, ", not ", is));
  }

  absl::Status AtKey(const ConfigNode& node, const std::string& what) const {
    return ConfigError(path_, node.key_line, node.key_column, what);
  }

  void Note(const std::string& at, int line) {
    if (lines_ != nullptr) (*lines_)[at] = line;
  }

  const std::string& path_;
  const bool plain_strings_;
  ConfigLines* const lines_;
};

}  // namespace

absl::Status FillFromTree(const std::string& path, const ConfigNode& root, bool plain_strings,
                          Message* message, ConfigLines* lines) {
  return TreeReader(path, plain_strings, lines).FillMessage(root, "", message);
}

absl::Status ConfigError(const std::string& path, int line, int column, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ":", line, ":", column, ": ", Printable(what, 300)));
}

}  // namespace reckon
